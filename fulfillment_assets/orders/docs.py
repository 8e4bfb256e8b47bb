"""The contract as documents: a Markdown table and a JSON Schema."""

from __future__ import annotations

import json
from typing import Final

from fulfillment_assets.orders.contract import FIELDS, Field, Kind
from fulfillment_assets.orders.model import order_json_schema
from fulfillment_assets.orders.rules import format_rule, limit_rule, order_rule

_HEAD: Final = ("Field", "Rule", "If broken", "Meaning", "Example", "Also accepted as")


def contract_table() -> str:
    """Give the contract as a Markdown table, one line per field, with a newline at the end."""
    lines = [_HEAD, tuple("---" for _ in _HEAD), *map(_line, FIELDS)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def json_schema_text() -> str:
    """Give the JSON Schema of an order as the text of `docs/order.schema.json`."""
    return json.dumps(order_json_schema(), indent=2, ensure_ascii=False) + "\n"


def _line(field: Field) -> tuple[str, ...]:
    return (
        f"`{field.name}`",
        _rule(field),
        "row rejected" if field.rejects else "stored as NULL",
        field.description,
        f"`{field.example}`",
        ", ".join(f"`{alias}`" for alias in field.aliases),
    )


def _rule(field: Field) -> str:
    rules = [format_rule(field), limit_rule(field)]
    if field.kind is Kind.TEXT:
        rules.reverse()
    if field.not_before is not None:
        rules.append(order_rule(field.not_before))
    text = "; ".join(rule.removeprefix("must be ") for rule in rules if rule)
    return f"{'required' if field.required else 'optional'}; {text}"
