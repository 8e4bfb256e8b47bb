"""Connections that give up on a server that does not answer, as PostgreSQL's own limits cannot.

A server that is frozen, or gone without a word, never ends a statement. So a thread looks on, and
hangs up for whoever has waited too long: to them it is as if the server had closed the connection.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any, Final

import psycopg2
import psycopg2.extensions
from sqlalchemy import event
from sqlalchemy.engine import Engine

CONNECT_SECONDS: Final = 3
"""How long the server may take to accept a connection."""

PING_SECONDS: Final = 4.0
"""How long it may take to tell that a connection of the pool is still good."""

_LOOK_SECONDS: Final = 0.5


class _Watch:
    """Who waits until when; a thread of its own hangs up for them. One serves the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until: dict[psycopg2.extensions.connection, float] = {}
        self._thread: threading.Thread | None = None

    @contextlib.contextmanager
    def over(self, connection: _Connection) -> Iterator[None]:
        """Let the block wait for the server as long as the connection's patience lasts."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._look, name="watch", daemon=True)
                self._thread.start()
            self._until[connection] = time.monotonic() + connection.patience
        try:
            yield
        finally:
            with self._lock:
                del self._until[connection]

    def _look(self) -> None:
        while True:
            time.sleep(_LOOK_SECONDS)
            now = time.monotonic()
            with self._lock:  # whoever waits cannot close the connection meanwhile
                for connection, until in self._until.items():
                    if until < now:
                        _hang_up(connection)


_WATCH: Final = _Watch()


class _Cursor(psycopg2.extensions.cursor):
    connection: _Connection

    def execute(self, *arguments: Any) -> None:
        with _WATCH.over(self.connection):
            super().execute(*arguments)

    def copy_expert(self, *arguments: Any) -> None:
        with _WATCH.over(self.connection):
            super().copy_expert(*arguments)


class _Connection(psycopg2.extensions.connection):
    """Watched whenever it waits for the server.

    Attributes:
        patience: for how many seconds one statement may wait.
    """

    patience = PING_SECONDS

    def commit(self) -> None:
        with _WATCH.over(self):
            super().commit()

    def rollback(self) -> None:
        with _WATCH.over(self):
            super().rollback()

    def set_isolation_level(self, *arguments: Any) -> None:
        try:
            with _WATCH.over(self):
                super().set_isolation_level(*arguments)
        except psycopg2.OperationalError:
            # The pool does this when a connection is given back; an error would cost it the place.
            self.close()


def watch(engine: Engine, seconds: float) -> None:
    """Give up on statements of an engine that take longer, and on pings and connects sooner.

    What is given up raises `sqlalchemy.exc.OperationalError`, and the connection is replaced.

    Args:
        engine: with the driver psycopg2, and no connections yet.
        seconds: more than the server's own `statement_timeout`, which keeps the connection.
    """

    @event.listens_for(engine, "do_connect")
    def _prepare(_dialect: object, _record: object, _args: object, options: dict[str, Any]) -> None:
        # No `__init__` of ours: its frame, in an error's traceback, would keep the socket open.
        options |= {"connection_factory": _Connection, "cursor_factory": _Cursor}
        options["connect_timeout"] = CONNECT_SECONDS

    @event.listens_for(engine, "checkout")
    def _taken(connection: _Connection, *_: object) -> None:
        connection.patience = seconds

    @event.listens_for(engine, "checkin")
    def _given_back(connection: _Connection | None, _record: object) -> None:
        if connection is not None:  # else it broke
            connection.patience = PING_SECONDS


def _hang_up(connection: psycopg2.extensions.connection) -> None:
    # A descriptor of its own: libpq closes the other one when it reads the end.
    with contextlib.suppress(OSError), socket.fromfd(connection.fileno(), socket.AF_INET, 0) as end:
        end.shutdown(socket.SHUT_RDWR)
