"""The API's connections: taken for one read or one change, and given back at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import event
from sqlalchemy.engine import Connection
from sqlalchemy.engine.interfaces import DBAPIConnection

from fulfillment_api.watched import watch
from fulfillment_assets.store.connection import create_engine

THREADS: Final = 40
"""So many endpoints run at once (anyio's default), and each may hold a connection."""

POOL_SECONDS: Final = 5.0
"""How long a request waits for a connection that others have to give back."""

ANSWER_SECONDS: Final = 22.0
"""How long the server may take for a statement, that it would end itself after 20 seconds."""

_LIMITS: Final = "SET statement_timeout TO '20s'; SET lock_timeout TO '10s'"
"""No request waits for ever on a statement or a lock."""


class Database:
    """A pool of connections, shared by threads; one that broke is replaced when it is next taken.

    Args:
        url: of the platform's database.
        connections: so many are kept.
    """

    def __init__(self, url: str, connections: int = THREADS) -> None:
        self.engine = create_engine(url, pool_size=connections, pool_seconds=POOL_SECONDS)
        watch(self.engine, ANSWER_SECONDS)

        @event.listens_for(self.engine, "connect")
        def _limit(connection: DBAPIConnection, _record: object) -> None:
            cursor = connection.cursor()
            cursor.execute(_LIMITS)
            cursor.close()
            connection.commit()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection for reads, each its own transaction: it saves two round trips."""
        with self.engine.connect() as connection:
            yield connection.execution_options(isolation_level="AUTOCOMMIT")

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A connection in a transaction, which is committed at the end of the block."""
        with self.engine.begin() as connection:
            yield connection

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()
