"""The thread that listens to PostgreSQL, over one connection of its own."""

from __future__ import annotations

import select
import socket
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import psycopg2
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError

from fulfillment_api.live.events import (
    LostError,
    Message,
    as_json,
    check,
    current_snapshot,
    events_until,
    message,
)
from fulfillment_api.live.kpis import read_overall
from fulfillment_api.live.positions import Position, Snapshot
from fulfillment_assets.observability.logs import get_logger
from fulfillment_assets.store.connection import create_engine, normalise_url

CHANNEL: Final = "fulfillment_live"
KPIS_CHANGED: Final = "kpi"
NAME: Final = "fulfillment-live"
"""By which the connection is known in `pg_stat_activity`."""

BURST_SECONDS: Final = 0.05
"""Reads are no closer together: what comes in between is read at once."""

KPI_SECONDS: Final = 1.0
CHECK_SECONDS: Final = 10.0
"""After so long without a notification it reads all the same, and asks who is still welcome."""

RETRY_SECONDS: Final = (0.25, 5.0)
"""The first wait for a database that is away, and the longest."""

_DEAD_PEER: Final = {"keepalives_idle": "10", "keepalives_interval": "5", "keepalives_count": "3"}
_VALID_KEYS: Final = "SELECT id FROM api_keys WHERE revoked_at IS NULL"
_ANY_KEY: Final = "SELECT EXISTS (SELECT FROM api_keys)"

_log = get_logger("fulfillment_api.live")


@dataclass(frozen=True, slots=True)
class News:
    """What a read found.

    Attributes:
        position: up to where it read; None: the database is away.
        messages: in the order in which they are to be sent.
        kpis: the KPIs, if they were read.
        keys: the keys that are valid, if that was asked; None among them: no key is needed.
    """

    position: Snapshot | None
    messages: Sequence[Message] = ()
    kpis: Message | None = None
    keys: frozenset[uuid.UUID | None] | None = None


@dataclass
class _Due:
    """When what is to be done next, in seconds of the monotonic clock."""

    read: float | None = 0.0
    kpis: float | None = 0.0
    check: float = 0.0
    kpis_read: float = field(default=float("-inf"))

    def want_read(self, last: float) -> None:
        """Something happened."""
        if self.read is None:
            self.read = last + BURST_SECONDS

    def want_kpis(self) -> None:
        """The KPIs changed."""
        if self.kpis is None:
            self.kpis = self.kpis_read + KPI_SECONDS

    def wait(self, now: float) -> float:
        """Seconds until the first of them."""
        moments = [moment for moment in (self.read, self.kpis, self.check) if moment is not None]
        return max(0.0, min(moments) - now)


class Listener:
    """Tells what happens, from the moment on at which it is started.

    Args:
        url: of the platform's database.
        tell: is given what is found; it is called in the listener's thread.
    """

    def __init__(self, url: str, tell: Callable[[News], None]) -> None:
        patient = normalise_url(url).update_query_dict(_DEAD_PEER)
        self._engine = create_engine(patient, pool_size=1)
        self._tell = tell
        self._position: Snapshot | None = None
        self._gap = True
        self._kpis = ""
        self._stopping = threading.Event()
        self._woken, self._waker = socket.socketpair()
        self._waker.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="live", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """Read now; may be called from any thread, as often as one likes."""
        with suppress(OSError):  # it is full: it will be read anyway
            self._waker.send(b"!")

    def stop(self) -> None:
        """End soon; `join` waits for it."""
        self._stopping.set()
        self.wake()

    @property
    def is_alive(self) -> bool:
        """Whether its connection may be open."""
        return self._thread.is_alive()

    def join(self) -> None:
        """Wait until its connection is closed."""
        self._thread.join()

    def _run(self) -> None:
        wait, longest = RETRY_SECONDS
        while not self._stopping.is_set():
            try:
                with self._engine.connect() as connection:
                    wait = RETRY_SECONDS[0]
                    self._follow(connection.execution_options(isolation_level="AUTOCOMMIT"))
            except (SQLAlchemyError, psycopg2.Error, OSError) as error:
                _log.warning("the live stream lost the database", problem=type(error).__name__)
                self._tell(News(None))
                self._stopping.wait(wait)
                wait = min(2 * wait, longest)
        self._engine.dispose()
        self._woken.close()
        self._waker.close()

    def _follow(self, connection: Connection) -> None:
        self._gap = True
        connection.execute(sa.text(f"SET application_name TO '{NAME}'"))
        connection.execute(sa.text(f"LISTEN {CHANNEL}"))
        raw: Any = connection.connection.driver_connection
        due, last = _Due(), 0.0
        while not self._stopping.is_set():
            now = time.monotonic()
            if due.read is not None and due.read <= now:
                due.read, last = None, now
                self._read(connection, due)
            if due.kpis is not None and due.kpis <= now:
                due.kpis, due.kpis_read = None, now
                self._read_kpis(connection)
            if due.check <= now:
                due.check = now + CHECK_SECONDS
                due.want_read(last)
                self._check_keys(connection)
            self._gather(raw, due, last)

    def _gather(self, raw: Any, due: _Due, last: float) -> None:
        """Wait for notifications, or until something is due."""
        if not raw.notifies:
            ready, _, _ = select.select([raw, self._woken], [], [], due.wait(time.monotonic()))
            if self._woken in ready:
                self._woken.recv(4_096)
                due.want_read(last)
            if raw in ready:
                raw.poll()
        for notice in raw.notifies:
            due.want_kpis()
            if notice.payload != KPIS_CHANGED:
                due.want_read(last)
        raw.notifies.clear()

    def _read(self, connection: Connection, due: _Due) -> None:
        end = current_snapshot(connection)
        try:
            found = self._between(connection, end)
        except LostError as error:
            found = [message("reset", {"reason": str(error)}, end)]
        if found:
            due.want_kpis()
        self._position, self._gap = end, False
        self._tell(News(end, found))

    def _between(self, connection: Connection, end: Snapshot) -> list[Message]:
        if self._position is None or self._position == end:
            return []
        position = Position(self._position)
        if self._gap:
            check(connection, position)
        return [one for page in events_until(connection, position, end) for one in page]

    def _read_kpis(self, connection: Connection) -> None:
        found = as_json(read_overall(connection))
        if found != self._kpis and self._position is not None:
            self._kpis = found
            self._tell(News(self._position, kpis=Message("kpi", found)))

    def _check_keys(self, connection: Connection) -> None:
        if self._position is None:
            return
        keys: set[uuid.UUID | None] = set(connection.scalars(sa.text(_VALID_KEYS)))
        if not connection.execute(sa.text(_ANY_KEY)).scalar_one():
            keys.add(None)
        self._tell(News(self._position, keys=frozenset(keys)))
