"""Reads of orders: lists by their id, which does not change, and all that concerns one."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, get_args

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from fulfillment_api.combinations import EVERYTHING, combinations
from fulfillment_api.pagination import Slice, slice_of
from fulfillment_api.resources.agents.schemas import Effect
from fulfillment_api.resources.deviations.schemas import Deviation
from fulfillment_api.resources.orders.schemas import Filters, Order, Risk
from fulfillment_assets.knowledge.rules import Block, Mode, OrderStatus

MOST: Final = 100
"""So many predictions, deviations and actions of an order are told."""

_ORDER: Final = ", ".join(Order.model_fields)
_CHOICES: Final[dict[str, tuple[str, Sequence[str]]]] = {
    "warehouse": ("o.warehouse_block", get_args(Block)),
    "mode": ("o.mode_of_shipment", get_args(Mode)),
    "risk": ("o.severity", get_args(Risk)),
    "status": ("coalesce(o.order_status, '')", ("", *get_args(OrderStatus))),
}
"""Filters, the SQL that the index `orders_list` has for them, and all values that there are."""

_TIMES: Final = {"since": "o.order_date >= :since", "until": "o.order_date < :until"}
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


class Place(NamedTuple):
    """Where an order stands in a list; the date only counts where the list is by date."""

    order_id: str
    order_date: dt.datetime | None = None

    @classmethod
    def of(cls, text: str) -> Place:
        """Read what `str` wrote.

        Raises:
            ValueError: it is nothing of the kind.
        """
        date, order_id = text.split("/", 1)
        return cls(order_id, dt.datetime.fromisoformat(date) if date else None)

    def __str__(self) -> str:
        return f"{'' if self.order_date is None else self.order_date.isoformat()}/{self.order_id}"


def listing_of(filters: Filters) -> str:
    """The name of the list: whoever asks for a time gets the orders by their date."""
    return "orders by date" if _by_date(filters) else "orders"


def read_orders(
    connection: Connection, filters: Filters, *, after: Place | None, limit: int
) -> Slice[Order, Place]:
    """Orders that pass the filters, by id; by date and id where the filters name a time.

    By id they are read from each combination of warehouse, mode, severity and status that passes,
    to each of which an index leads, and put in order: however rare, they are found at once.
    """
    query, values = _dated(filters, after) if _by_date(filters) else _grouped(filters, after)
    rows = connection.execute(sa.text(query), values | {"limit": limit + 1})
    found = [Order.model_validate(row) for row in rows]
    return slice_of(found, limit, lambda one: Place(one.order_id, one.order_date))


def _by_date(filters: Filters) -> bool:
    return filters.since is not None or filters.until is not None


def _dated(filters: Filters, after: Place | None) -> tuple[str, dict[str, Any]]:
    conditions, values = _conditions(filters)
    for name, text in _TIMES.items():
        if (value := getattr(filters, name)) is not None:
            conditions.append(text)
            values[name] = value
    for name, (column, _) in _CHOICES.items():
        if chosen := _chosen(filters, name):
            conditions.append(f"{column} = ANY (:{name})")
            values[name] = chosen
    if after is not None:
        conditions.append("(o.order_date, o.order_id) > (:after_date, :after)")
        values |= {"after_date": after.order_date, "after": after.order_id}
    query = f"""
    SELECT {_ORDER} FROM orders o WHERE {" AND ".join(conditions)}
    ORDER BY o.order_date, o.order_id LIMIT :limit
    """
    return query, values


def _grouped(filters: Filters, after: Place | None) -> tuple[str, dict[str, Any]]:
    conditions, values = _conditions(filters)
    groups = EVERYTHING
    if any(_chosen(filters, name) for name in _CHOICES):
        groups, found = combinations(
            {name: _chosen(filters, name) or every for name, (_, every) in _CHOICES.items()}
        )
        values |= found
        conditions += [f"{column} = g.{name}" for name, (column, _) in _CHOICES.items()]
    if after is not None:
        conditions.append("o.order_id > :after")
        values["after"] = after.order_id
    query = f"""
    SELECT {_ORDER} FROM orders o WHERE o.order_id IN (
        SELECT o.order_id FROM {groups} CROSS JOIN LATERAL (
            SELECT o.order_id FROM orders o WHERE {" AND ".join(["true", *conditions])}
            ORDER BY o.order_id LIMIT :limit
        ) o ORDER BY o.order_id LIMIT :limit
    ) ORDER BY o.order_id
    """
    return query, values


def _chosen(filters: Filters, name: str) -> list[str]:
    given = getattr(filters, name)
    if given is None:
        return []
    return [given] if isinstance(given, str) else list(given)


def _conditions(filters: Filters) -> tuple[list[str], dict[str, Any]]:
    conditions: list[str] = []
    values: dict[str, Any] = {}
    if filters.customer_id is not None:
        conditions.append("o.customer_id = :customer_id")
        values["customer_id"] = filters.customer_id
    if filters.search is not None:  # ids are compared by their bytes, so a prefix is a range
        conditions.append("o.order_id >= :from_id AND o.order_id < :to_id")
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
