"""Where cases are kept that wait for a person: LangGraph's tables, in a schema of their own.

Imports LangGraph: import this module only where the agents work.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeAlias

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
)
from langgraph.checkpoint.postgres import PostgresSaver
from psycopg import Connection
from psycopg.rows import DictRow, dict_row
from psycopg_pool import ConnectionPool
from sqlalchemy.engine import URL, make_url

SCHEMA: Final = "agent_checkpoints"
_LOCK: Final = 7_312_408_951_002_117
"""Held while the tables are made; any number that nobody else uses."""

_WAIT_SECONDS: Final = 60.0

_Write: TypeAlias = Callable[[], object]


class Keeper(BaseCheckpointSaver[str]):
    """Keeps the threads that wait, and writes nothing of those that do not.

    Most cases never wait. What a new thread leaves is held back until it is known whether it
    waits; of a thread that ends, the database never hears.

    Args:
        store: keeps what is to be kept.
    """

    def __init__(self, store: PostgresSaver) -> None:
        super().__init__(serde=store.serde)
        self._store = store
        self._held: dict[str, list[_Write]] = {}

    @contextlib.contextmanager
    def fresh(self, thread_id: str) -> Iterator[Callable[[], None]]:
        """Run a thread that is new; calling what is given keeps what it has left so far."""
        held: list[_Write] = []
        self._held[thread_id] = held

        def keep() -> None:
            del self._held[thread_id]
            for write in held:
                write()

        try:
            yield keep
        finally:
            self._held.pop(thread_id, None)

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The newest checkpoint of a thread; of a new one there is none."""
        return None if _thread(config) in self._held else self._store.get_tuple(config)

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """The checkpoints that are kept, the newest first."""
        return self._store.list(config, filter=filter, before=before, limit=limit)

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Keep a checkpoint, or hold it back."""
        held = self._held.get(_thread(config))
        if held is None:
            return self._store.put(config, checkpoint, metadata, new_versions)
        held.append(lambda: self._store.put(config, checkpoint, metadata, new_versions))
        configurable = config["configurable"]
        return {
            "configurable": {
                "thread_id": configurable["thread_id"],
                "checkpoint_ns": configurable.get("checkpoint_ns", ""),
                "checkpoint_id": checkpoint["id"],
            }
        }

    def put_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """Keep what a task wrote, or hold it back."""
        held = self._held.get(_thread(config))
        if held is None:
            self._store.put_writes(config, writes, task_id, task_path)
        else:
            held.append(lambda: self._store.put_writes(config, writes, task_id, task_path))

    def delete_thread(self, thread_id: str) -> None:
        """Drop all that is kept of a thread."""
        self._store.delete_thread(thread_id)

    def get_next_version(self, current: str | None, channel: None) -> str:
        """The version of a channel after `current`."""
        return self._store.get_next_version(current, channel)


def _thread(config: RunnableConfig) -> str:
    return str(config["configurable"]["thread_id"])


@contextlib.contextmanager
def checkpointer(database_url: str | URL) -> Iterator[Keeper]:
    """A checkpointer on a database, whose tables are made at the first use.

    It may be shared by the threads of a process. Cases that wait stay there until they are
    resumed in any process.

    Args:
        database_url: of the application's database.

    Raises:
        psycopg.OperationalError: the database cannot be reached.
        TimeoutError: another process makes the tables, and does not end.
    """
    pool: ConnectionPool[Connection[DictRow]] = ConnectionPool(
        make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False),
        min_size=1,
        max_size=2,  # LangGraph uses one at a time
        open=False,
        check=ConnectionPool.check_connection,
        kwargs={
            "autocommit": True,
            "prepare_threshold": 0,
            "row_factory": dict_row,
            "application_name": "fulfillment",
            "options": f"-csearch_path={SCHEMA} -ctimezone=UTC",
        },
    )
    with pool:
        with pool.connection() as connection:
            _make_tables(connection)
        yield Keeper(PostgresSaver(pool))


def _make_tables(connection: Connection[DictRow]) -> None:
    saver = PostgresSaver(connection)
    if _newest(connection) == len(saver.MIGRATIONS) - 1:
        return
    deadline = time.monotonic() + _WAIT_SECONDS
    # Not a lock that is waited for: CREATE INDEX CONCURRENTLY would wait for who waits.
    while not _value(connection, f"SELECT pg_try_advisory_lock({_LOCK}) AS value"):
        if time.monotonic() > deadline:
            raise TimeoutError(
                "Another process has been making the checkpoint tables for a minute."
            )
        time.sleep(0.1)
    try:
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
        saver.setup()
    finally:
        connection.execute(f"SELECT pg_advisory_unlock({_LOCK})")


def _newest(connection: Connection[DictRow]) -> object:
    if _value(connection, f"SELECT to_regclass('{SCHEMA}.checkpoint_migrations') AS value") is None:
        return None
    return _value(connection, f"SELECT max(v) AS value FROM {SCHEMA}.checkpoint_migrations")


def _value(connection: Connection[DictRow], query: str) -> object:
    row = connection.execute(query).fetchone()
    return None if row is None else row["value"]
