"""Clients of the live stream, over real HTTP, and statements that make things happen."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

PATIENCE = 60.0
"""Seconds that a loaded machine may take."""

_DEVIATION = """
INSERT INTO deviations (prediction_id, order_id, kind, severity, reason, context)
SELECT uuidv7(), name, 'delay_risk', :severity, :reason, '{}' FROM unnest(:orders) AS name
"""


def deviate(connection: Connection, *orders: str, severity: str = "warning") -> None:
    """Let orders deviate, by one statement."""
    connection.execute(
        sa.text(_DEVIATION), {"orders": list(orders), "severity": severity, "reason": "r"}
    )


def commit_deviations(engine: Engine, *orders: str, severity: str = "warning") -> None:
    """Let orders deviate, in a transaction of its own."""
    with engine.begin() as connection:
        deviate(connection, *orders, severity=severity)


def new_batch(connection: Connection, name: str = "f.csv") -> uuid.UUID:
    """A batch job that waits."""
    found: uuid.UUID = connection.execute(
        sa.text(
            "INSERT INTO batch_jobs (filename, archive_name, sha256, size_bytes) "
            "VALUES (:name, gen_random_uuid()::text, "
            "encode(sha256(gen_random_uuid()::text::bytea), 'hex'), 1000) RETURNING id"
        ),
        {"name": name},
    ).scalar_one()
    return found


@dataclass
class Event:
    """A message of the stream; one that is only a heartbeat has no name."""

    event: str = ""
    id: str | None = None
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def order_id(self) -> Any:
        return self.data.get("order_id")


def parse(lines: Iterator[str]) -> Iterator[Event]:
    """Server-sent events of the lines of a response."""
    found = Event()
    for line in lines:
        name, _, value = line.partition(": ")
        if not line:
            yield found
            found = Event()
        elif name == "data":
            found.data = json.loads(value)
        elif name == "event":
            found.event = value
        elif name == "id":
            found.id = value


def of_json(text: str | bytes) -> Event:
    """A message of a websocket."""
    told = json.loads(text)
    return Event(told["event"], told["id"], told["data"])


@contextmanager
def listening(url: str, **options: Any) -> Iterator[Iterator[Event]]:
    """The events of a stream; options of httpx."""
    with (
        httpx2.Client(timeout=PATIENCE) as client,
        client.stream("GET", f"{url}/api/v1/live", **options) as response,
    ):
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"].startswith("text/event-stream")
        yield parse(response.iter_lines())


def until(events: Iterator[Event], wanted: str, count: int = 1) -> list[Event]:
    """Read until so many events of a kind came; gives all those that are named."""
    found: list[Event] = []
    while sum(event.event == wanted for event in found) < count:
        event = next(events)
        if event.event:
            found.append(event)
    return found


def orders_in(events: Iterator[Event], count: int) -> list[Any]:
    """The orders of the next deviations."""
    found = until(events, "deviation", count)
    return [event.order_id for event in found if event.event == "deviation"]
