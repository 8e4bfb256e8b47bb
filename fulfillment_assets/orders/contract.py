"""The enriched order, declared once.

`FIELDS` is the single declaration of an order. Batch validation, the Pydantic model of the
API, the JSON Schema and the README's table are all derived from it, so they cannot disagree.

An order is rejected only for its `order_id`, one of the ten model features, or a date that is
present and wrong. Other fields are descriptive: a value that breaks their rule is stored as
NULL and kept, as it came, in the order's audit JSON (`extra`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """What a field holds, and so how its text is parsed."""

    TEXT = "text"
    CATEGORY = "category"
    INTEGER = "integer"
    NUMBER = "number"
    TIMESTAMP = "timestamp"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the enriched order.

    Attributes:
        name: canonical snake_case name, as in the tables and the API.
        kind: how the text of a cell is parsed.
        description: meaning and unit, for a reader who has never seen the project.
        example: a legal value, as text.
        required: the column must be present and no cell of it may be empty.
        rejects: a cell that breaks the rule rejects its row (otherwise it becomes NULL).
        feature: one of the ten inputs of the delay model.
        minimum: inclusive lower bound of a number.
        maximum: inclusive upper bound of a number.
        above: exclusive lower bound of a number.
        max_length: longest text, in characters.
        choices: canonical values of a category, matched without regard to case.
        not_before: name of the timestamp that this one may not precede.
        aliases: other headers under which the field is accepted.
    """

    name: str
    kind: Kind
    description: str
    example: str
    required: bool = False
    rejects: bool = False
    feature: bool = False
    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    max_length: int | None = None
    choices: tuple[str, ...] = ()
    not_before: str | None = None
    aliases: tuple[str, ...] = ()


def _feature(name: str, kind: Kind, description: str, example: str, **rules: object) -> Field:
    return Field(name, kind, description, example, True, True, True, **rules)  # type: ignore[arg-type]


LATE_HEADER: Final = "reached_on_time_y_n"
"""Normalised header of the training label; see `delay_model.label` for what it means."""

MAX_INTEGER: Final = 1_000_000
MAX_AMOUNT: Final = 10_000_000.0

FIELDS: Final[tuple[Field, ...]] = (
    Field(
        "order_id",
        Kind.TEXT,
        "The retailer's identifier of the order; printable characters.",
        "ORD-000017",
        required=True,
        rejects=True,
        max_length=64,
        aliases=("id", "order"),
    ),
    Field("customer_id", Kind.TEXT, "Who ordered.", "CUST-0042", max_length=64),
    Field(
        "order_date",
        Kind.TIMESTAMP,
        "When the order was placed.",
        "2026-03-01T09:30:00Z",
        rejects=True,
    ),
    Field(
        "promised_delivery_date",
        Kind.TIMESTAMP,
        "When delivery was promised.",
        "2026-03-06T18:00:00Z",
        rejects=True,
        not_before="order_date",
    ),
    Field(
        "ship_date",
        Kind.TIMESTAMP,
        "When the parcel left the warehouse.",
        "2026-03-02T14:00:00Z",
        rejects=True,
        not_before="order_date",
    ),
    Field(
        "delivery_date",
        Kind.TIMESTAMP,
        "When the parcel was delivered.",
        "2026-03-05T11:00:00Z",
        rejects=True,
        not_before="ship_date",
    ),
    _feature(
        "warehouse_block",
        Kind.CATEGORY,
        "Block of the warehouse that ships the order.",
        "B",
        choices=("A", "B", "C", "D", "E", "F"),
        aliases=("warehouse",),
    ),
    _feature(
        "mode_of_shipment",
        Kind.CATEGORY,
        "How the parcel travels.",
        "Ship",
        choices=("Ship", "Flight", "Road"),
        aliases=("shipment_mode",),
    ),
    Field("carrier_name", Kind.TEXT, "Who carries the parcel.", "Northline", max_length=64),
    _feature(
        "customer_care_calls",
        Kind.INTEGER,
        "Calls of the customer about this order.",
        "3",
        minimum=0,
        maximum=50,
    ),
    _feature(
        "customer_rating",
        Kind.INTEGER,
        "The customer's rating of the retailer, 1 (worst) to 5.",
        "4",
        minimum=1,
        maximum=5,
    ),
    _feature(
        "prior_purchases",
        Kind.INTEGER,
        "Purchases of the customer before this one.",
        "3",
        minimum=0,
        maximum=MAX_INTEGER,
    ),
    _feature("gender", Kind.CATEGORY, "The customer's gender.", "F", choices=("F", "M")),
    _feature(
        "product_importance",
        Kind.CATEGORY,
        "How important the product is to the retailer.",
        "medium",
        choices=("low", "medium", "high"),
    ),
    _feature(
        "cost_of_product",
        Kind.NUMBER,
        "Cost of the product, in US dollars.",
        "219",
        above=0,
        maximum=MAX_AMOUNT,
        aliases=("cost_of_the_product",),
    ),
    _feature(
        "discount_offered",
        Kind.NUMBER,
        "Discount on the order, in percent.",
        "5",
        minimum=0,
        maximum=100,
    ),
    _feature(
        "weight_in_gms",
        Kind.NUMBER,
        "Weight of the parcel, in grams.",
        "4120",
        above=0,
        maximum=MAX_AMOUNT,
        aliases=("weight_in_grams",),
    ),
    Field(
        "payment_status",
        Kind.CATEGORY,
        "State of the payment.",
        "paid",
        choices=("paid", "pending", "refunded"),
    ),
    Field(
        "order_status",
        Kind.CATEGORY,
        "Where the order stands.",
        "shipped",
        choices=("processing", "shipped", "delivered", "delayed", "cancelled"),
        aliases=("status",),
    ),
)

CLOSED_STATUSES: Final = ("delivered", "cancelled")
"""Values of `order_status` after which an order can no longer be late, or no longer matters."""

BY_NAME: Final[Mapping[str, Field]] = {field.name: field for field in FIELDS}
FEATURES: Final[tuple[str, ...]] = tuple(field.name for field in FIELDS if field.feature)
"""The ten model features, in contract order."""

REQUIRED: Final[tuple[str, ...]] = tuple(field.name for field in FIELDS if field.required)


def normalise_header(header: str) -> str:
    """Fold a CSV header to the form that field names and aliases have.

    Case, surrounding space, dots, dashes and spaces do not matter:
    `"Reached.on.Time_Y.N"` gives `"reached_on_time_y_n"`.
    """
    folded = header.strip().lower()
    return "_".join(part for part in _words(folded) if part)


def _words(text: str) -> list[str]:
    return "".join(char if char.isalnum() else " " for char in text).split()


HEADERS: Final[Mapping[str, str]] = {
    header: field.name for field in FIELDS for header in (field.name, *field.aliases)
}
"""Every accepted header, normalised, to the field that it names."""
