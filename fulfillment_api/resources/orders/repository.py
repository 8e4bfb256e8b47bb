"""Reads of orders: lists by their id, which does not change, and all that concerns one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from fulfillment_api.pagination import Slice, slice_of
from fulfillment_api.resources.agents.schemas import Effect
from fulfillment_api.resources.deviations.schemas import Deviation
from fulfillment_api.resources.orders.schemas import Filters, Order

MOST: Final = 100
"""So many predictions, deviations and actions of an order are told."""

_ORDER: Final = ", ".join(Order.model_fields)
_LAST_CHARACTER: Final = chr(0x10FFFF)
_PREDICTIONS: Final = """
SELECT id, created_at, event_time, source, batch_job_id, order_status, delay_probability,
       severity, reasons, features_json, model_version
FROM predictions WHERE order_id = :order_id ORDER BY created_at DESC, id DESC LIMIT :most
"""
_DEVIATIONS: Final = f"""
SELECT {", ".join(Deviation.model_fields)} FROM deviations
WHERE order_id = :order_id ORDER BY id DESC LIMIT :most
"""
_ACTIONS: Final = f"""
SELECT {", ".join(Effect.model_fields)} FROM tool_actions
WHERE order_id = :order_id ORDER BY id DESC LIMIT :most
"""


def read_orders(
    connection: Connection, filters: Filters, *, after: str | None, limit: int
) -> Slice[Order, str]:
    """Orders that pass the filters, by id."""
    conditions, values = _conditions(filters)
    if after is not None:
        conditions.append("order_id > :after")
        values["after"] = after
    rows = connection.execute(
        sa.text(
            f"SELECT {_ORDER} FROM orders WHERE {' AND '.join(conditions)} "
            "ORDER BY order_id LIMIT :limit"
        ),
        values | {"limit": limit + 1},
    )
    return slice_of([Order.model_validate(row) for row in rows], limit, lambda one: one.order_id)


def _conditions(filters: Filters) -> tuple[list[str], dict[str, Any]]:
    given: dict[str, tuple[str, Any]] = {
        "customer_id": ("customer_id = :customer_id", filters.customer_id),
        "risk": ("severity = ANY (:risk)", list(filters.risk) or None),
        "status": ("order_status = ANY (:status)", list(filters.status) or None),
        "warehouse": ("warehouse_block = :warehouse", filters.warehouse),
        "mode": ("mode_of_shipment = :mode", filters.mode),
        "since": ("order_date >= :since", filters.since),
        "until": ("order_date < :until", filters.until),
    }
    conditions = ["true", *(text for text, value in given.values() if value is not None)]
    values = {name: value for name, (_, value) in given.items() if value is not None}
    if filters.search is not None:  # ids are compared by their bytes, so a prefix is a range
        conditions.append("order_id >= :from_id AND order_id < :to_id")
        values |= {"from_id": filters.search, "to_id": filters.search + _LAST_CHARACTER}
    return conditions, values


def find_order(connection: Connection, order_id: str) -> Order | None:
    """One order; None if nothing was heard of it."""
    row = connection.execute(
        sa.text(f"SELECT {_ORDER} FROM orders WHERE order_id = :order_id"), {"order_id": order_id}
    ).one_or_none()
    return None if row is None else Order.model_validate(row)


def predictions_of(connection: Connection, order_id: str) -> Sequence[sa.Row[Any]]:
    """The newest predictions of an order, with the features that were scored."""
    return _of(connection, _PREDICTIONS, order_id)


def deviations_of(connection: Connection, order_id: str) -> list[Deviation]:
    """The newest deviations of an order."""
    return [Deviation.model_validate(row) for row in _of(connection, _DEVIATIONS, order_id)]


def actions_of(connection: Connection, order_id: str) -> list[Effect]:
    """The newest effects of tools on an order."""
    return [Effect.model_validate(row) for row in _of(connection, _ACTIONS, order_id)]


def _of(connection: Connection, query: str, order_id: str) -> Sequence[sa.Row[Any]]:
    return connection.execute(sa.text(query), {"order_id": order_id, "most": MOST}).all()
