"""Micro-batches of orders that are new or move on, as the stream would bring them."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fulfillment_assets.events.messages import Message
from fulfillment_assets.orders.contract import FIELDS
from fulfillment_assets.orders.schema import ORDER_SCHEMA
from fulfillment_assets.orders.simulator import SimulationPlan, simulate
from fulfillment_assets.store.partitions import utc_today

BATCH_ORDERS: Final = 1_000
NEW_SHARE: Final = 0.4

_INSTANT: Final = pa.timestamp("us", "UTC")


def still_open_of(orders: pa.Table) -> pa.Table:
    """Those orders that have not arrived yet."""
    return orders.filter(pc.is_in(orders["order_status"], pa.array(["processing", "shipped"])))


def as_validated(orders: pa.Table) -> pa.Table:
    """Simulated orders as the columns of a validated batch."""
    rows = orders.num_rows
    columns = {name: orders[name] for name in orders.column_names}
    columns |= {"row_number": pa.array(np.arange(1, rows + 1)), "extra": pa.nulls(rows)}
    return pa.table({name: columns[name] for name in ORDER_SCHEMA.names}).cast(ORDER_SCHEMA)


def micro_batch(still_open: pa.Table, number: int) -> pa.Table:
    """Events of just now: some orders are new, the others have shipped or been delivered."""
    new = round(NEW_SHARE * BATCH_ORDERS)
    plan = SimulationPlan(new, seed=1_000 + number, start=utc_today(), days=1)
    (chunk,) = simulate(plan)
    return pa.concat_tables(
        [
            _at_step(as_validated(chunk.orders), ("order_date",), "processing"),
            *_moved_on(still_open, number, BATCH_ORDERS - new),
        ]
    )


def _moved_on(still_open: pa.Table, number: int, count: int) -> Iterator[pa.Table]:
    """Other open orders for each batch, as long as there are any."""
    places = (number * count + np.arange(count)) % max(1, still_open.num_rows)
    moving = still_open.take(pa.array(np.unique(places[: still_open.num_rows])))
    shipped = pc.equal(moving["order_status"], "shipped")
    yield _at_step(moving.filter(shipped), ("delivery_date",), "delivered")
    yield _at_step(moving.filter(pc.invert(shipped)), ("ship_date",), "shipped")


def _at_step(orders: pa.Table, dated: tuple[str, ...], status: str) -> pa.Table:
    """Orders that have reached a step just now."""
    rows = orders.num_rows
    now = pa.repeat(pa.scalar(dt.datetime.now(dt.UTC), _INSTANT), rows)
    columns = {name: orders[name] for name in orders.column_names}
    columns |= dict.fromkeys(dated, now) | {"order_status": pa.repeat(status, rows)}
    if status == "processing":
        columns |= {name: pa.nulls(rows, _INSTANT) for name in ("ship_date", "delivery_date")}
    return pa.table(columns, schema=ORDER_SCHEMA)


def as_messages(orders: pa.Table) -> list[Message]:
    """The orders as messages of one partition."""
    names = [field.name for field in FIELDS]
    return [
        Message(offset, row["order_id"].encode(), _value(row), (), -1, 0)
        for offset, row in enumerate(orders.select(names).to_pylist())
    ]


def _value(row: dict[str, Any]) -> bytes:
    known = {name: value for name, value in row.items() if value is not None}
    return json.dumps(known, default=dt.datetime.isoformat).encode()
