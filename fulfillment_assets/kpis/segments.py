"""Segments of orders as a person names them: short or full dimensions, values in any case."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from fulfillment_assets.kpis.rollups import DIMENSIONS
from fulfillment_assets.orders.contract import BY_NAME

SHORT_NAMES: Final[Mapping[str, str]] = {
    "warehouse": "warehouse_block",
    "mode": "mode_of_shipment",
    "importance": "product_importance",
}
"""What a dimension may be called, too."""


def dimensions(names: Iterable[str]) -> tuple[str, ...]:
    """The full names of dimensions, in the order in which they are named.

    Raises:
        ValueError: a name is unknown, or a dimension is named twice.
    """
    found: list[str] = []
    for name in names:
        full = _dimension(name)
        if full in found:
            raise ValueError(f"dimension {full!r} is named twice")
        found.append(full)
    return tuple(found)


def segment_filter(where: Mapping[str, str]) -> dict[str, str]:
    """Values of dimensions, such as `{"warehouse": "a"}`, in their full names and canonical form.

    Raises:
        ValueError: a dimension or a value is unknown.
    """
    return {_dimension(name): _value(_dimension(name), value) for name, value in where.items()}


def _dimension(name: str) -> str:
    folded = name.strip().lower()
    full = SHORT_NAMES.get(folded, folded)
    if full not in DIMENSIONS:
        raise ValueError(
            f"unknown dimension {name!r}: choose from {', '.join(DIMENSIONS)} "
            f"(or, for short, {', '.join(SHORT_NAMES)})"
        )
    return full


def _value(dimension: str, value: str) -> str:
    choices = BY_NAME[dimension].choices
    for choice in choices:
        if value.strip().lower() == choice.lower():
            return choice
    raise ValueError(f"{dimension} is one of {', '.join(choices)}, not {value!r}")
