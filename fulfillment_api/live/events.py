"""Reads of `live_events`: what is new between two snapshots, whatever the table holds besides."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal, get_args

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from fulfillment_api.live.positions import Position, Snapshot

Kind = Literal["kpi", "deviation", "agent", "batch"]

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

PAGE: Final = 500
"""So many events are read at once."""

MOST_MISSED: Final = 50_000
"""Who has missed more must start anew: that is less work than to be told it all."""

# `xid >= xmin` finds by the index what the snapshot may not have seen.
_BETWEEN: Final = """
FROM live_events WHERE xid >= pg_snapshot_xmin(CAST(:seen AS pg_snapshot))
    AND NOT pg_visible_in_snapshot(xid, CAST(:seen AS pg_snapshot))
"""
_NOW: Final = "SELECT pg_current_snapshot()::text"
_PAGE: Final = f"""
SELECT r.pruned::text, e.* FROM live_retention AS r LEFT JOIN (
    SELECT id, kind, payload, created_at {_BETWEEN}
        AND pg_visible_in_snapshot(xid, CAST(:reading AS pg_snapshot)) AND id > :up_to
    ORDER BY id LIMIT {PAGE}) AS e ON true
ORDER BY e.id
"""
_MISSED: Final = f"""
SELECT count(*) FROM (SELECT {_BETWEEN} LIMIT {MOST_MISSED + 1}) AS missed
"""
_PRUNED: Final = "SELECT pruned::text, pg_current_snapshot()::text FROM live_retention"


class LostError(Exception):
    """The stream cannot go on from a position without a gap; the text is for the user."""


@dataclass(frozen=True)
class Message:
    """What is sent: an event, or a word about the stream itself.

    Attributes:
        event: a kind of events, `status`, `reset` or `heartbeat`.
        data: JSON.
        position: where a client stands that has got it; None: where it stood before.
    """

    event: str
    data: str
    position: Position | Snapshot | None = None

    @cached_property
    def sse(self) -> bytes:
        """As a server-sent event; a heartbeat is a comment, and moves the position on."""
        number = "" if self.position is None else f"id: {self.position}\n"
        if self.event == "heartbeat":
            return f": heartbeat\n{number}\n".encode()
        return f"{number}event: {self.event}\ndata: {self.data}\n\n".encode()

    @cached_property
    def json(self) -> str:
        """As a message of a websocket."""
        number = "null" if self.position is None else f'"{self.position}"'
        return f'{{"id":{number},"event":"{self.event}","data":{self.data}}}'


def message(event: str, data: Any, position: Position | Snapshot | None = None) -> Message:
    """A message about anything that JSON can tell."""
    return Message(event, as_json(data), position)


def as_json(data: Any) -> str:
    """JSON on one line, small, in ASCII."""
    return json.dumps(data, separators=(",", ":"), default=str)


def current_snapshot(connection: Connection) -> Snapshot:
    """What is committed now."""
    return Snapshot.parse(connection.execute(sa.text(_NOW)).scalar_one())


def events_until(
    connection: Connection, position: Position, end: Snapshot
) -> Iterator[list[Message]]:
    """What `end` sees and `position` does not hold, in pages, in the order of ids.

    The last message of a snapshot has that snapshot as its position.

    Raises:
        LostError: some of it is no longer kept.
    """
    if position.reading is not None:
        yield from _pages(connection, position.seen, position.reading, position.up_to)
    yield from _pages(connection, position.end, end, 0)


def _pages(
    connection: Connection, seen: Snapshot, reading: Snapshot, up_to: int
) -> Iterator[list[Message]]:
    while True:
        values = {"seen": str(seen), "reading": str(reading), "up_to": up_to}
        found = connection.execute(sa.text(_PAGE), values).all()
        _refuse_gap(seen, found[0].pruned)
        rows = [row for row in found if row.id is not None]
        if not rows:
            return
        last = len(rows) < PAGE
        up_to = rows[-1].id
        yield [
            message(
                row.kind,
                row.payload | {"at": row.created_at.isoformat()},
                reading if last and row.id == up_to else Position(seen, reading, row.id),
            )
            for row in rows
        ]
        if last:
            return


def check(connection: Connection, position: Position) -> None:
    """Find out whether the stream can go on from a position.

    Raises:
        LostError: it cannot.
    """
    pruned, now = connection.execute(sa.text(_PRUNED)).one()
    if not Snapshot.parse(now).covers(position.end):
        raise LostError("The database is not the one that this id was given for.")
    _refuse_gap(position.seen, pruned)
    values = {"seen": str(position.seen)}
    if connection.execute(sa.text(_MISSED), values).scalar_one() > MOST_MISSED:
        raise LostError(f"More than {MOST_MISSED:,} events were missed.")


def _refuse_gap(seen: Snapshot, pruned: str | None) -> None:
    if pruned is not None and not seen.covers(Snapshot.parse(pruned)):
        raise LostError("The events that follow this id are no longer kept.")
