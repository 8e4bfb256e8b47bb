"""What the tables of deviations and events hold."""

from __future__ import annotations

import uuid
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine


def rows(engine: Engine, query: str, **parameters: object) -> list[dict[str, Any]]:
    """The rows of a query, by column name."""
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(sa.text(query), parameters).mappings()]


def deviations(engine: Engine) -> list[dict[str, Any]]:
    """All deviations, by order and kind, the oldest first."""
    return rows(engine, "SELECT * FROM deviations ORDER BY order_id, kind, id")


def summary(engine: Engine) -> list[tuple[str, str, str, str]]:
    """Order, kind, severity and status of all deviations."""
    return [(d["order_id"], d["kind"], d["severity"], d["status"]) for d in deviations(engine)]


def events(engine: Engine) -> list[dict[str, Any]]:
    """The outbox, in the order in which it will be published."""
    return rows(engine, "SELECT * FROM outbox ORDER BY id")


def announced(engine: Engine) -> list[tuple[str, str, str]]:
    """Order, kind and severity of every event."""
    payloads = [event["payload"] for event in events(engine)]
    return [(p["order_id"], p["kind"], p["severity"]) for p in payloads]


def latest_prediction(engine: Engine, order_id: str) -> uuid.UUID:
    """The prediction by which an order counts."""
    [row] = rows(engine, "SELECT prediction_id FROM orders WHERE order_id = :id", id=order_id)
    found: uuid.UUID = row["prediction_id"]
    return found
