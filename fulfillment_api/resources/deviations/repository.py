"""Reads of the deviations, by keys that do not shift."""

from __future__ import annotations

import datetime as dt
import itertools
import uuid
from typing import Any, Final, get_args

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from fulfillment_api.combinations import EVERYTHING, combinations
from fulfillment_api.pagination import Slice, slice_of
from fulfillment_api.resources.deviations.schemas import Deviation, Filters, Kind, Status
from fulfillment_assets.knowledge.rules import Block, Importance, Mode, Severity

LONGEST_TRANSACTION: Final = dt.timedelta(hours=1)
"""No transaction that finds deviations takes as long."""

_COLUMNS: Final = ", ".join(f"d.{name}" for name in Deviation.model_fields)
_CELL: Final = """
coalesce(d.segment_key, (d.context #>> '{order,warehouse_block}') || '/'
    || (d.context #>> '{order,mode_of_shipment}') || '/'
    || (d.context #>> '{order,product_importance}'))
"""
"""SQL of a deviation's segment, or that of its order, as the index `deviations_cell` has it."""

_PARTS: Final = {
    "warehouse": get_args(Block),
    "mode": get_args(Mode),
    "importance": get_args(Importance),
}
_VALUES: Final = {
    "kind": get_args(Kind),
    "severity": get_args(Severity),
    "status": get_args(Status),
}
_ANY: Final = "*"


def read_deviations(
    connection: Connection, filters: Filters, *, after: uuid.UUID | None, limit: int
) -> Slice[Deviation, uuid.UUID]:
    """Deviations that pass the filters, the newest first by id.

    An index leads to the newest of one kind, severity and status, or of one segment. So they are
    read from each group that passes, and put in order: however rare, they are found at once.
    """
    conditions, values = _conditions(filters)
    if after is not None:
        conditions.append("d.id < :after")
        values["after"] = after
    groups, belongs = _groups(filters, values)
    where = " AND ".join(["true", *belongs, *conditions])
    rows = connection.execute(
        sa.text(f"""
        SELECT {_COLUMNS} FROM deviations d WHERE d.id IN (
            SELECT d.id FROM {groups} CROSS JOIN LATERAL (
                SELECT d.id FROM deviations d WHERE {where} ORDER BY d.id DESC LIMIT :limit
            ) d ORDER BY d.id DESC LIMIT :limit
        ) ORDER BY d.id DESC
        """),
        values | {"limit": limit + 1},
    )
    return slice_of([Deviation.model_validate(row) for row in rows], limit, lambda one: one.id)


def _conditions(filters: Filters) -> tuple[list[str], dict[str, Any]]:
    conditions: list[str] = []
    values: dict[str, Any] = {}
    for name, column in (("order_id", "order_id"), ("batch_id", "batch_job_id")):
        if (given := getattr(filters, name)) is not None:
            conditions.append(f"d.{column} = :{name}")
            values[name] = given
    if filters.since is not None:
        conditions.append("d.created_at >= :since AND d.id >= :first_id")
        values |= {"since": filters.since, "first_id": least_id(filters.since)}
    if filters.until is not None:
        conditions.append("d.created_at < :until AND d.id < :last_id")
        last = least_id(filters.until + LONGEST_TRANSACTION)
        values |= {"until": filters.until, "last_id": last}
    return conditions, values


def _groups(filters: Filters, values: dict[str, Any]) -> tuple[str, list[str]]:
    """SQL of the groups to be read as a table `g`, and what makes a deviation one of them."""
    given = {name: list(chosen) for name in _VALUES if (chosen := getattr(filters, name))}
    among = [f"d.{name} = ANY (:{name})" for name in given]
    cells = _cells(filters)
    if filters.order_id is not None or filters.batch_id is not None:
        values |= given | ({"cells": cells} if cells else {})
        return EVERYTHING, [*among, *([f"{_CELL} = ANY (:cells)"] if cells else [])]
    if cells:
        groups, found = combinations({"cell": cells})
        values |= found | given
        return groups, [f"{_CELL} = g.cell", *among]
    if given:
        groups, found = combinations({**_VALUES, **given})
        values |= found
        return groups, [f"d.{name} = g.{name}" for name in _VALUES]
    return EVERYTHING, []


def _cells(filters: Filters) -> list[str]:
    """Every segment that passes: of orders, and of deviations of segments; none: all pass."""
    wanted = {name: getattr(filters, name) for name in _PARTS}
    if not any(wanted.values()):
        return []
    parts = [
        (*every, _ANY) if wanted[name] is None else (wanted[name],)
        for name, every in _PARTS.items()
    ]
    return ["/".join(cell) for cell in itertools.product(*parts)]


def least_id(moment: dt.datetime) -> uuid.UUID:
    """The least version-7 id that a row made at a moment can have (RFC 9562, section 5.7).

    It ends a search by id there: an id is made after its transaction has begun.
    """
    milliseconds = max(0, int(moment.timestamp() * 1_000) - 1)
    return uuid.UUID(int=milliseconds << 80)
