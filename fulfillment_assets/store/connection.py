"""Engines for the application's schema and for Dagster's storage."""

from __future__ import annotations

import time
from typing import Final

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import OperationalError

SCHEMA: Final = "fulfillment"
DAGSTER_SCHEMA: Final = "dagster"
MINIMUM_SERVER: Final = 180000
"""`RETURNING old/new`, `uuidv7()` and virtual columns need PostgreSQL 18."""


_SESSION: Final = f"""
SET search_path TO {SCHEMA}; SET timezone TO 'UTC'; SET jit TO off;
SET work_mem TO '32MB'; SET temp_buffers TO '32MB'
"""
"""Set-based writes sort and stage whole batches: the server's defaults would spill to disk."""


_VERSION: Final = "SELECT current_setting('server_version_num')::int"


class DatabaseUnavailableError(RuntimeError):
    """PostgreSQL did not answer, or is too old; the message says where and what to do."""


def normalise_url(url: str | URL) -> URL:
    """Return `url` with the psycopg2 driver named.

    Bare `postgresql://` (and `postgres://`) would select psycopg 3 in SQLAlchemy 2.1, which
    neither Dagster's storage nor our COPY speaks.
    """
    text = url.replace("postgres://", "postgresql://", 1) if isinstance(url, str) else url
    return make_url(text).set(drivername="postgresql+psycopg2")


def shown_url(url: str | URL) -> str:
    """The URL as a person may read it and psql takes it: no driver, no password, no options."""
    return normalise_url(url).set(drivername="postgresql", query={}).render_as_string()


def dagster_storage_url(url: str | URL) -> str:
    """The URL of Dagster's own storage: schema `dagster` of the application's database.

    Its commits do not wait for the disk: a crash of the server may take back the last half second
    of run records, none of which says what is committed in the application's tables.
    """
    options = {"options": f"-csearch_path={DAGSTER_SCHEMA} -csynchronous_commit=off -cjit=off"}
    return normalise_url(url).update_query_dict(options).render_as_string(hide_password=False)


def create_engine(url: str | URL, *, pool_size: int = 5, pool_seconds: float = 30.0) -> Engine:
    """Return an engine whose connections see the application's schema first, in UTC.

    Args:
        url: of the database.
        pool_size: so many connections are kept; ten more are opened under load.
        pool_seconds: how long to wait for one, where all of them are in use.
    """
    engine = sa.create_engine(
        normalise_url(url),
        pool_size=pool_size,
        pool_timeout=pool_seconds,
        pool_pre_ping=True,
        connect_args={"connect_timeout": 10, "application_name": "fulfillment"},
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: sa.engine.interfaces.DBAPIConnection, _record: object) -> None:
        cursor = connection.cursor()
        cursor.execute(_SESSION)
        cursor.close()
        connection.commit()

    return engine


def wait_for_database(engine: Engine, *, seconds: float = 30.0) -> None:
    """Return once the server answers and is new enough.

    Raises:
        DatabaseUnavailableError: it did not answer within `seconds`, or is older than 18.
    """
    deadline = time.monotonic() + seconds
    where = shown_url(engine.url)
    while True:
        try:
            with engine.connect() as connection:
                version = connection.scalar(sa.text(_VERSION))
            break
        except OperationalError as error:
            if time.monotonic() > deadline:
                reason = str(error.orig).strip()
                raise DatabaseUnavailableError(
                    f"PostgreSQL at {where} does not answer: {reason}. "
                    "Start it, or set DATABASE_URL to one that runs."
                ) from error
            time.sleep(0.25)
    if version is None or version < MINIMUM_SERVER:
        raise DatabaseUnavailableError(
            f"PostgreSQL at {where} has version number {version}; 18 or newer is needed."
        )
