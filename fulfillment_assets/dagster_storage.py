"""Dagster's storage in PostgreSQL, over connections that are kept open.

`dagster-postgres` opens a connection for each statement, and looks for its tables before many of
them: half of what a short run costs. `dagster.yaml` names `PooledPostgresStorage` instead. What it
uses of Dagster's inside is held against the installed version by a test.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Self

import sqlalchemy as sa
from dagster._serdes import ConfigurableClassData
from dagster_postgres import (
    DagsterPostgresStorage,
    PostgresEventLogStorage,
    PostgresRunStorage,
    PostgresScheduleStorage,
)
from dagster_postgres.utils import (
    create_pg_connection,
    create_pg_engine,
    get_token_provider_from_config,
    pg_url_from_config,
)
from sqlalchemy.engine import Connection, Engine

POOL_SIZE: Final = 5
OVERFLOW: Final = 20
RECYCLE_SECONDS: Final = 300

_TABLES: Final = ("runs", "event_logs", "jobs")
"""One table of each storage; a storage without it makes its tables."""


class _Memory:
    """Remembers, for as long as the process lives, that something was found in the database."""

    def __init__(self) -> None:
        self._found: set[object] = set()

    def found(self, what: object, look: Callable[[], bool]) -> bool:
        """Whether it is there; asked for until it is."""
        if what not in self._found and look():
            self._found.add(what)
        return what in self._found


class _Runs(PostgresRunStorage):
    """Runs, of whose tables each column is looked for once."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._memory = _Memory()
        super().__init__(*arguments, **options)

    def dispose(self) -> None:
        """Close the connections: an instance disposes of its runs, and all share one pool."""
        self._engine.dispose()

    def has_run_stats_index_cols(self) -> bool:
        return self._memory.found("stats", super().has_run_stats_index_cols)

    def has_bulk_actions_selector_cols(self) -> bool:
        return self._memory.found("selectors", super().has_bulk_actions_selector_cols)

    def has_backfill_id_column(self) -> bool:
        return self._memory.found("backfills", super().has_backfill_id_column)


class _Events(PostgresEventLogStorage):
    """Events, whose tables are looked for once."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._memory = _Memory()
        super().__init__(*arguments, **options)

    def has_table(self, table_name: str) -> bool:
        return self._memory.found(table_name, lambda: super(_Events, self).has_table(table_name))


class _Schedules(PostgresScheduleStorage):
    """Sensors and schedules, whose tables and indexes are looked for once."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._memory = _Memory()
        super().__init__(*arguments, **options)

    def has_instigators_table(self) -> bool:
        return self._memory.found("instigators", super().has_instigators_table)

    def _has_instigators_table(self, conn: Connection) -> bool:
        return self._memory.found(
            "instigators", lambda: super(_Schedules, self)._has_instigators_table(conn)
        )

    def has_built_index(self, migration_name: str) -> bool:
        return self._memory.found(
            migration_name, lambda: super(_Schedules, self).has_built_index(migration_name)
        )


class PooledPostgresStorage(DagsterPostgresStorage):
    """Runs, events and schedules over one pool of connections, each tried before it is used.

    Args:
        postgres_url: where; names the driver psycopg2.
        should_autocreate_tables: make Dagster's tables where there are none.
        inst_data: Dagster's record of this configuration.
        token_provider: for databases that are logged in to by a cloud's tokens.
    """

    def __init__(
        self,
        postgres_url: str,
        should_autocreate_tables: bool = True,
        inst_data: ConfigurableClassData | None = None,
        token_provider: Any = None,
    ) -> None:
        self._engine = create_pg_engine(
            postgres_url,
            token_provider,
            isolation_level="AUTOCOMMIT",
            pool_size=POOL_SIZE,
            max_overflow=OVERFLOW,
            pool_recycle=RECYCLE_SECONDS,
            pool_pre_ping=True,
        )
        self.postgres_url = postgres_url
        self.should_autocreate_tables = should_autocreate_tables
        self._inst_data = inst_data
        make = should_autocreate_tables and not _are_made(self._engine)
        self._run_storage = _Runs(postgres_url, make, token_provider=token_provider)
        self._event_log_storage = _Events(postgres_url, make, token_provider=token_provider)
        self._schedule_storage = _Schedules(postgres_url, make, token_provider=token_provider)
        for storage in (self._run_storage, self._event_log_storage, self._schedule_storage):
            storage._engine = self._engine
        super(DagsterPostgresStorage, self).__init__()  # type: ignore[no-untyped-call]

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> Self:
        """A storage of this configuration, which is that of `DagsterPostgresStorage`."""
        return cls(
            pg_url_from_config(config_value),
            config_value.get("should_autocreate_tables", True),
            inst_data,
            get_token_provider_from_config(config_value),
        )


def _are_made(engine: Engine) -> bool:
    found = ", ".join(f"to_regclass('{table}')" for table in _TABLES)
    with create_pg_connection(engine) as connection:
        return None not in connection.execute(sa.text(f"SELECT {found}")).one()
