"""One enriched order as the API takes it, under the same rules as a batch."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    ModelWrapValidatorHandler,
    PrivateAttr,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from fulfillment_assets.orders.contract import BY_NAME, FIELDS, Field, Kind
from fulfillment_assets.orders.extra import extra_json, extra_text
from fulfillment_assets.orders.headers import DuplicateHeadersError, read_headers
from fulfillment_assets.orders.rules import (
    RuleBroken,
    Value,
    canonical_value,
    order_rule,
    predecessor,
)

_JSON_TYPES: Final = {
    Kind.TEXT: "string",
    Kind.CATEGORY: "string",
    Kind.INTEGER: "integer",
    Kind.NUMBER: "number",
    Kind.TIMESTAMP: "string",
}


def order_json_schema() -> dict[str, Any]:
    """Give the JSON Schema (2020-12) of an enriched order, in its canonical form.

    The readers are more tolerant than the schema: numbers may come as text, categories in any
    case, and fields under their other names.
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": EnrichedOrder.__name__,
        "description": "An order with all that is known of it when its delay risk is scored.",
        "type": "object",
        "properties": {field.name: _property(field) for field in FIELDS},
        "required": [field.name for field in FIELDS if field.required],
        "additionalProperties": True,
    }


def _describe(schema: dict[str, Any]) -> None:
    contract = order_json_schema()
    del contract["$schema"]
    schema.clear()
    schema.update(contract)


class EnrichedOrder(BaseModel):
    """An order that keeps the contract; the values are canonical.

    The types stand here for readers and type checkers; rules, descriptions and examples come
    from `contract.FIELDS`. Keys may be any accepted header. Descriptive fields that break their
    rule are None, and `extra` keeps their text.

    Raises:
        pydantic.ValidationError: a value breaks a rule; the message is the rule.
    """

    model_config = ConfigDict(frozen=True, json_schema_extra=_describe)

    order_id: str
    customer_id: str | None = None
    order_date: datetime | None = None
    promised_delivery_date: datetime | None = None
    ship_date: datetime | None = None
    delivery_date: datetime | None = None
    warehouse_block: str
    mode_of_shipment: str
    carrier_name: str | None = None
    customer_care_calls: int
    customer_rating: int
    prior_purchases: int
    gender: str
    product_importance: str
    cost_of_product: float
    discount_offered: float
    weight_in_gms: float
    payment_status: str | None = None
    order_status: str | None = None

    _extra: str | None = PrivateAttr(default=None)

    @property
    def extra(self) -> str | None:
        """The audit JSON as text: unknown keys, and descriptive values that broke their rule."""
        return self._extra

    def record(self) -> dict[str, Value]:
        """Give the canonical values by column, as in a row of `ORDER_SCHEMA` without its number."""
        return {**self.__dict__, "extra": self._extra}

    @model_validator(mode="wrap")
    @classmethod
    def _read_keys(cls, data: object, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(data, Mapping):
            return handler(data)
        values, extra = _sorted_out(data)
        order = handler(values)
        order._extra = extra_json(extra)
        return order

    @field_validator(*BY_NAME, mode="before")
    @classmethod
    def _read_value(cls, value: object, info: ValidationInfo) -> Value:
        field = BY_NAME[info.field_name or ""]
        try:
            canonical = canonical_value(field, value)
        except RuleBroken as broken:
            raise _error(str(broken)) from None
        other = predecessor(field, info.data)
        if other is not None and canonical is not None and canonical < info.data[other]:
            raise _error(order_rule(other))
        return canonical


def _sorted_out(data: Mapping[object, object]) -> tuple[dict[str, object], dict[str, str]]:
    """Split an object into values by field and the members of its audit JSON."""
    try:
        headers = read_headers([str(key) for key in data])
    except DuplicateHeadersError as error:
        raise _error(str(error)) from None
    values: dict[str, object] = dict.fromkeys(BY_NAME)
    unknown: dict[str, object] = {}
    for header, value in zip(headers, data.values(), strict=True):
        if header.name is not None:
            values[header.name] = value
        elif not header.ignored:
            unknown[header.text] = value
    broken = {name: values[name] for name in BY_NAME if _is_dropped(BY_NAME[name], values[name])}
    members = {name: extra_text(value) for name, value in (broken | unknown).items()}
    return (
        values | dict.fromkeys(broken),
        {name: text for name, text in members.items() if text is not None},
    )


def _is_dropped(field: Field, value: object) -> bool:
    if field.rejects:
        return False
    try:
        canonical_value(field, value)
    except RuleBroken:
        return True
    return False


def _error(message: str) -> PydanticCustomError:
    return PydanticCustomError("order_rule", "{message}", {"message": message})


def _property(field: Field) -> dict[str, Any]:
    kind = _JSON_TYPES[field.kind]
    limits = {
        "enum": [*field.choices, *([] if field.required else [None])] if field.choices else None,
        "minLength": 1 if field.kind is Kind.TEXT else None,
        "maxLength": field.max_length,
        "format": "date-time" if field.kind is Kind.TIMESTAMP else None,
        "minimum": field.minimum,
        "exclusiveMinimum": field.above,
        "maximum": field.maximum,
    }
    return {
        "type": kind if field.required else [kind, "null"],
        "description": _description(field),
        "examples": [_example(field)],
        **{name: limit for name, limit in limits.items() if limit is not None},
    }


def _description(field: Field) -> str:
    if field.not_before is None:
        return field.description
    return f"{field.description} Must not be before {field.not_before}."


def _example(field: Field) -> Value:
    value = canonical_value(field, field.example)
    return field.example if isinstance(value, datetime) else value
