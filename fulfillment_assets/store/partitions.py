"""Daily partitions of `predictions`: made ahead, dropped by age.

A day is a UTC day of `created_at`. Partitions are attached and detached in ways that do not
block writers: `CREATE TABLE ... PARTITION OF` would lock the whole table against reads.
"""

from __future__ import annotations

import datetime as dt
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

DAYS_AHEAD: Final = 7
PREFIX: Final = "predictions_p"
LOCK: Final = 0x70617274


def partition_name(day: dt.date) -> str:
    """The table that holds the predictions made on `day`."""
    return f"{PREFIX}{day:%Y%m%d}"


def utc_today() -> dt.date:
    """The current UTC day."""
    return dt.datetime.now(dt.UTC).date()


def start_of(day: dt.date) -> dt.datetime:
    """The first moment of a UTC day."""
    return dt.datetime.combine(day, dt.time(), dt.UTC)


def ensure_partition(connection: Connection, day: dt.date) -> str:
    """Create the partition of `day` unless it exists; return its name.

    Writers must call this before they open their own transaction, on a connection that
    commits: two concurrent callers wait for one another.
    """
    name = partition_name(day)
    if not _exists(connection, name):
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
        if not _exists(connection, name):
            _attach(connection, name, day)
    return name


def _exists(connection: Connection, name: str) -> bool:
    """Whether there is such a table; `to_regclass` may not see one just made by another."""
    found = connection.scalar(
        sa.text(
            "SELECT EXISTS (SELECT FROM pg_class "
            "WHERE relname = :name AND relnamespace = current_schema()::regnamespace)"
        ),
        {"name": name},
    )
    return bool(found)


def _attach(connection: Connection, name: str, day: dt.date) -> None:
    bounds = f"FOR VALUES FROM ('{day}') TO ('{day + dt.timedelta(days=1)}')"
    connection.execute(sa.text(f"CREATE TABLE {name} (LIKE predictions INCLUDING ALL)"))
    connection.execute(sa.text(f"ALTER TABLE predictions ATTACH PARTITION {name} {bounds}"))


def ensure_partitions(engine: Engine, *, days_ahead: int = DAYS_AHEAD) -> list[str]:
    """Create the partitions of today and of the next `days_ahead` days; return their names."""
    today = utc_today()
    with engine.begin() as connection:
        return [
            ensure_partition(connection, today + dt.timedelta(days=offset))
            for offset in range(days_ahead + 1)
        ]


def drop_partitions_before(engine: Engine, first_kept: dt.date) -> list[str]:
    """Drop the partitions of the days before `first_kept`; return their names.

    Detaching concurrently lets writers go on. A drop that was interrupted is finished first:
    PostgreSQL detaches no other partition before, and the day's rows are out of reach already.
    """
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("SELECT pg_advisory_lock(:key)"), {"key": LOCK})
        try:
            partitions = _partitions(connection)
            return [
                _drop(connection, name, state)
                for day, name, state in sorted(partitions, key=lambda found: found[2] == "attached")
                if day < first_kept or state != "attached"
            ]
        finally:
            connection.execute(sa.text("SELECT pg_advisory_unlock(:key)"), {"key": LOCK})


def _drop(connection: Connection, name: str, state: str) -> str:
    if state != "detached":
        how = "FINALIZE" if state == "detaching" else "CONCURRENTLY"
        connection.execute(sa.text(f"ALTER TABLE predictions DETACH PARTITION {name} {how}"))
    connection.execute(sa.text(f"DROP TABLE {name}"))
    return name


def existing_days(connection: Connection) -> list[dt.date]:
    """The days that have a partition, in order."""
    return [day for day, _, state in _partitions(connection) if state == "attached"]


def _partitions(connection: Connection) -> list[tuple[dt.date, str, str]]:
    """Day, name and state of every daily table, those of interrupted drops included."""
    rows = connection.execute(
        sa.text(
            "SELECT c.relname, CASE WHEN i.inhrelid IS NULL THEN 'detached' "
            "WHEN i.inhdetachpending THEN 'detaching' ELSE 'attached' END AS state "
            "FROM pg_class c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid "
            f"WHERE c.relname ~ '^{PREFIX}[0-9]{{8}}$' AND c.relkind = 'r' "
            "AND c.relnamespace = current_schema()::regnamespace ORDER BY c.relname"
        )
    )
    return [(_day(row.relname), row.relname, row.state) for row in rows]


def _day(name: str) -> dt.date:
    return dt.datetime.strptime(name, f"{PREFIX}%Y%m%d").replace(tzinfo=dt.UTC).date()
