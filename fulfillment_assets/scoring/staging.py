"""Staged orders become the current state: set-based, inside the caller's transaction.

Two temporary tables live as long as their connection and empty themselves at commit:
`staged_orders` holds a batch as it was scored, `order_changes` what it changed. The rollups
and the deviation rules read only these.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from fulfillment_assets.orders.contract import FIELDS, Kind
from fulfillment_assets.scoring.rows import Arrival, ScoredOrders, prediction_rows, staged_rows
from fulfillment_assets.store.copy import CopyData, copy_into, encode
from fulfillment_assets.store.partitions import partition_name
from fulfillment_assets.store.prepared import Statement

_FACTS: Final = (*(field.name for field in FIELDS), "event_time", "prediction_id")
_VERDICT: Final = ("delay_probability", "severity")
_STATE: Final = ", ".join((*_FACTS, *_VERDICT))
_TRACKED: Final = (
    "event_time",
    "warehouse_block",
    "mode_of_shipment",
    "product_importance",
    "order_status",
    *_VERDICT,
)

_TYPES: Final = {
    Kind.TEXT: "text STORAGE PLAIN",
    Kind.CATEGORY: "text STORAGE PLAIN",
    Kind.INTEGER: "integer",
    Kind.NUMBER: "double precision",
    Kind.TIMESTAMP: "timestamptz",
}
"""Plain texts, which are short: else a table and an index for long ones would be emptied, too, at
each commit."""

_COLUMNS: Final = {
    **{field.name: _TYPES[field.kind] for field in FIELDS},
    "event_time": "timestamptz",
    "prediction_id": "uuid",
    "delay_probability": "double precision",
    "severity": "text STORAGE PLAIN",
}


def _declared(columns: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {kind}" for name, kind in columns.items())


_STAGED: Final = {name: _COLUMNS[name] for name in (*_FACTS, *_VERDICT)}
_CHANGES: Final = {
    "order_id": _COLUMNS["order_id"],
    "prediction_id": "uuid",
    "is_new": "boolean",
    **{f"{when}_{name}": _COLUMNS[name] for name in _TRACKED for when in ("old", "new")},
}

_CREATE: Final = sa.text(f"""
CREATE TEMP TABLE IF NOT EXISTS staged_orders ({_declared(_STAGED)}, context text STORAGE PLAIN)
ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS order_changes ({_declared(_CHANGES)}) ON COMMIT DELETE ROWS;
""")

_CHANGE: Final = "new.order_id, new.prediction_id, old.order_id IS NULL, " + ", ".join(
    f"old.{name}, new.{name}" for name in _TRACKED
)

_UPSERT: Final = Statement(
    "upsert_orders",
    f"""
WITH changed AS (
    INSERT INTO orders AS o ({_STATE}, prediction_created_at)
    SELECT DISTINCT ON (order_id) {_STATE}, CAST(:received_at AS timestamptz)
    FROM staged_orders
    ORDER BY order_id, event_time DESC, prediction_id DESC
    ON CONFLICT (order_id) DO UPDATE SET
        {", ".join(f"{name} = excluded.{name}" for name in (*_FACTS[1:], *_VERDICT))},
        prediction_created_at = excluded.prediction_created_at, updated_at = now()
    WHERE (excluded.event_time, excluded.prediction_created_at, excluded.prediction_id)
          > (o.event_time, o.prediction_created_at, o.prediction_id)
    RETURNING {_CHANGE}
)
INSERT INTO order_changes SELECT * FROM changed
""",
    {"received_at": "timestamptz"},
)

_NOTE_CHANGED: Final = sa.text("""
INSERT INTO order_changes (order_id, new_event_time)
SELECT order_id, event_time FROM orders WHERE order_id = ANY (:order_ids)
""")

_LOCK_LATEST: Final = """
SELECT FROM orders o JOIN staged_orders s USING (order_id)
WHERE o.prediction_id = s.prediction_id
ORDER BY order_id FOR UPDATE OF o
"""

_UPDATE_VERDICTS: Final = f"""
WITH changed AS (
    UPDATE orders AS o SET {", ".join(f"{name} = s.{name}" for name in _VERDICT)},
        updated_at = now()
    FROM staged_orders s
    WHERE o.order_id = s.order_id AND o.prediction_id = s.prediction_id
    RETURNING {_CHANGE}
)
INSERT INTO order_changes SELECT * FROM changed
"""


def open_staging(connection: Connection) -> None:
    """Make sure that this connection has its staging tables."""
    connection.execute(_CREATE)


@dataclass(frozen=True, slots=True)
class EncodedBatch:
    """A scored batch, encoded for COPY."""

    predictions: CopyData
    staged: CopyData


def encode_batch(scored: ScoredOrders, arrival: Arrival) -> EncodedBatch:
    """Encode a scored batch; needs no connection, so that another thread can do it ahead."""
    return EncodedBatch(encode(prediction_rows(scored, arrival)), encode(staged_rows(scored)))


def stage(connection: Connection, batch: EncodedBatch, day: dt.date) -> None:
    """Write the predictions of a batch into the partition of `day`, and stage its orders."""
    copy_into(connection, partition_name(day), batch.predictions)
    copy_into(connection, "staged_orders", batch.staged)


def upsert_orders(connection: Connection, received_at: dt.datetime) -> None:
    """Make the staged orders the current state, and note in `order_changes` what changed.

    The last event of an order wins: by event time, then by receipt, then by prediction id, which
    ascends with the row. Orders are locked in the order of their ids, so that concurrent writers
    never deadlock.
    """
    _UPSERT.execute(connection, {"received_at": received_at})


def note_changed(connection: Connection, order_ids: Collection[str]) -> None:
    """Note in `order_changes` that these orders changed lately, in transactions of their own."""
    connection.execute(_NOTE_CHANGED, {"order_ids": list(order_ids)})


def update_verdicts(connection: Connection) -> None:
    """Give orders the new verdict of their latest prediction, after it was re-scored.

    They are locked as `upsert_orders` locks them, in the order of their ids.
    """
    connection.execute(sa.text(_LOCK_LATEST))
    connection.execute(sa.text(_UPDATE_VERDICTS))
