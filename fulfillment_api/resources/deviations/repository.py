"""Reads of the deviations, by keys that do not shift."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from fulfillment_api.pagination import Slice, slice_of
from fulfillment_api.resources.deviations.schemas import Deviation, Filters

_COLUMNS: Final = ", ".join(f"d.{name}" for name in Deviation.model_fields)
_SEGMENT: Final = ("warehouse_block", "mode_of_shipment", "product_importance")


def read_deviations(
    connection: Connection, filters: Filters, *, after: uuid.UUID | None, limit: int
) -> Slice[Deviation, uuid.UUID]:
    """Deviations that pass the filters, the newest first by id."""
    conditions, values = _conditions(filters)
    if after is not None:
        conditions.append("d.id < :after")
        values["after"] = after
    rows = connection.execute(
        sa.text(
            f"SELECT {_COLUMNS} FROM deviations d WHERE {' AND '.join(conditions)} "
            "ORDER BY d.id DESC LIMIT :limit"
        ),
        values | {"limit": limit + 1},
    )
    return slice_of([Deviation.model_validate(row) for row in rows], limit, lambda one: one.id)


def _conditions(filters: Filters) -> tuple[list[str], dict[str, Any]]:
    conditions: list[str] = ["true"]
    values: dict[str, Any] = {}
    for name in ("severity", "kind", "status"):
        if given := getattr(filters, name):
            conditions.append(f"d.{name} = ANY (:{name})")
            values[name] = list(given)
    for name, column in (("order_id", "order_id"), ("batch_id", "batch_job_id")):
        if (given := getattr(filters, name)) is not None:
            conditions.append(f"d.{column} = :{name}")
            values[name] = given
    if filters.since is not None:
        conditions.append("d.created_at >= :since AND d.id >= :first_id")
        values |= {"since": filters.since, "first_id": least_id(filters.since)}
    if filters.until is not None:
        conditions.append("d.created_at < :until")
        values["until"] = filters.until
    _add_segment(filters, conditions, values)
    return conditions, values


def _add_segment(filters: Filters, conditions: list[str], values: dict[str, Any]) -> None:
    """Of a segment: its own deviations, and those of the orders in it."""
    for place, (column, value) in enumerate(
        zip(_SEGMENT, (filters.warehouse, filters.mode, filters.importance), strict=True), start=1
    ):
        if value is not None:
            conditions.append(
                f"coalesce(split_part(d.segment_key, '/', {place}), "
                f"d.context -> 'order' ->> '{column}') = :{column}"
            )
            values[column] = value


def least_id(moment: dt.datetime) -> uuid.UUID:
    """The least version-7 id that a row made at a moment can have (RFC 9562, section 5.7).

    It ends a search by id there: an id is made after its transaction has begun.
    """
    milliseconds = max(0, int(moment.timestamp() * 1_000) - 1)
    return uuid.UUID(int=milliseconds << 80)
