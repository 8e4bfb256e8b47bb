"""Segments of orders: every value, pair and triple of the three dimensions, and the whole.

A segment's key names one value or `*` (any) for each dimension: `F/Road/*`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final, Self

ANY: Final = "*"


@dataclass(frozen=True, slots=True)
class Segment:
    """The orders that have these values; None stands for any."""

    warehouse_block: str | None = None
    mode_of_shipment: str | None = None
    product_importance: str | None = None

    @classmethod
    def of(cls, key: str) -> Self:
        """The segment of a key."""
        return cls(*(None if value == ANY else value for value in key.split("/")))

    @property
    def values(self) -> tuple[str | None, ...]:
        """The value of each dimension."""
        return (self.warehouse_block, self.mode_of_shipment, self.product_importance)

    @property
    def key(self) -> str:
        """The segment in one word."""
        return "/".join(value or ANY for value in self.values)

    @property
    def words(self) -> str:
        """The segment as a reader says it."""
        parts = [
            f"{word} {value}"
            for word, value in zip(("warehouse", "mode", "importance"), self.values, strict=True)
            if value is not None
        ]
        return f"orders of {', '.join(parts)}" if parts else "all orders"

    def overlaps(self, others: Sequence[Segment]) -> bool:
        """Whether an order can be of this segment and of one of the others."""
        return any(
            all(
                mine is None or theirs is None or mine == theirs
                for mine, theirs in zip(self.values, other.values, strict=True)
            )
            for other in others
        )


DIMENSIONS: Final = tuple(field.name for field in fields(Segment))

KEY_SQL: Final = " || '/' || ".join(f"coalesce({name}, '{ANY}')" for name in DIMENSIONS)
"""A grouped row's key, in SQL: a dimension that is not grouped by is null."""


def matches(key: str, row: str) -> str:
    """SQL: whether the row `row` is of the segment with key `key` (an SQL expression)."""
    return " AND ".join(
        f"split_part({key}, '/', {place}) IN ('{ANY}', {row}.{name})"
        for place, name in enumerate(DIMENSIONS, start=1)
    )
