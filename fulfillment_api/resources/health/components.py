"""The checks: each answers within seconds whether one component works, and what it found."""

from __future__ import annotations

import datetime as dt
import socket
import time
from collections.abc import Callable
from functools import cache
from typing import Final
from urllib.parse import urlsplit

import httpx
import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlalchemy.exc import ProgrammingError, SQLAlchemyError

from fulfillment_api.resources.health.schemas import Component, Name, State
from fulfillment_api.services import Services
from fulfillment_assets.delay_model.artifacts import read_files, verify_artifacts
from fulfillment_assets.delay_model.errors import DelayModelError
from fulfillment_assets.delay_model.registry.champion import champion_version
from fulfillment_assets.delay_model.registry.versions import read_version
from fulfillment_assets.settings import Settings
from fulfillment_assets.store.connection import dagster_storage_url, normalise_url
from fulfillment_assets.store.migrate import head

SECONDS: Final = 2.0
"""How long Chroma, Kafka and Dagster's storage may take for an answer."""

HEARTBEAT_SECONDS: Final = 120.0
"""Dagster's daemon sends a heartbeat every 30 seconds."""

_HEARTBEAT: Final = 'SELECT max("timestamp") FROM daemon_heartbeats'
_UPGRADE: Final = "run `fulfillment db upgrade`"
_NO_DATABASE: Final = "unknown: the database tells which model scores"

Found = tuple[State, str]
Check = Callable[[Services], Found]
"""Whether it works, and what was found in words; it raises nothing."""


def examine(name: Name, services: Services) -> Component:
    """Check one component."""
    check, needed = CHECKS[name]
    started = time.perf_counter()
    state, detail = check(services)
    latency = round((time.perf_counter() - started) * 1_000, 2)
    return Component(name=name, needed=needed, state=state, detail=detail, latency_ms=latency)


def _database(services: Services) -> Found:
    try:
        with services.database.read() as connection:
            revision = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
    except ProgrammingError:
        return "down", f"schema is missing, or closed to this user: {_UPGRADE}"
    except SQLAlchemyError:
        return "down", "does not answer"
    if revision != _head():
        found = f"schema at revision {revision or 'none'}"
        return "down", f"{found}, {_head()} is needed: {_UPGRADE}"
    return "up", f"schema at revision {revision}"


@cache
def _head() -> str:
    return head()


def _model(services: Services) -> Found:
    """The champion; in a database without one, the model that will be the first."""
    if _database(services)[0] != "up":
        return "down", _NO_DATABASE
    try:
        with services.database.read() as connection:
            version = champion_version(connection)
            files = (
                read_files(services.settings.models_dir)
                if version is None
                else read_version(connection, version)
            )
        return "up", verify_artifacts(files).version
    except DelayModelError as error:
        return "down", str(error)
    except SQLAlchemyError:
        return "down", _NO_DATABASE


def _chroma(services: Services) -> Found:
    url = services.settings.chroma_url
    if not url:
        return "not configured", "CHROMA_URL is not set"
    try:
        httpx.get(f"{url.rstrip('/')}/api/v2/heartbeat", timeout=SECONDS).raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL):
        return "down", "does not answer"
    return "up", "answers"


def _kafka(services: Services) -> Found:
    servers = services.settings.kafka_bootstrap_servers
    if not servers:
        return "not configured", "KAFKA_BOOTSTRAP_SERVERS is not set"
    for server in servers.split(","):
        try:
            parts = urlsplit(f"//{server.strip()}")
            address = (parts.hostname or "", parts.port or 9092)
            with socket.create_connection(address, SECONDS):
                return "up", "a broker accepts connections"
        except (OSError, ValueError):
            continue
    return "down", "no broker accepts connections"


def _dagster(services: Services) -> Found:
    try:
        with _dagster_engine(_dagster_url(services.settings)).connect() as connection:
            latest = connection.scalar(sa.text(_HEARTBEAT))
    except ProgrammingError:
        latest = None
    except SQLAlchemyError:
        return "down", "its storage does not answer"
    if latest is None:
        return "not configured", "its daemon has never run on this storage"
    age = (dt.datetime.now(dt.UTC) - latest.replace(tzinfo=dt.UTC)).total_seconds()
    state: State = "up" if age <= HEARTBEAT_SECONDS else "down"
    return state, f"its daemon's heartbeat is {max(0, round(age))} s old"


def _dagster_url(settings: Settings) -> str:
    if settings.dagster_postgres_url is not None:
        url = normalise_url(settings.dagster_postgres_url.get_secret_value())
        return url.render_as_string(hide_password=False)
    if settings.database_url is None:
        raise ValueError("DATABASE_URL is not set")
    return dagster_storage_url(settings.database_url.get_secret_value())


@cache
def _dagster_engine(url: str) -> Engine:
    return sa.create_engine(
        url, poolclass=sa.pool.NullPool, connect_args={"connect_timeout": round(SECONDS)}
    )


CHECKS: Final[dict[Name, tuple[Check, bool]]] = {
    "database": (_database, True),
    "model": (_model, True),
    "chroma": (_chroma, False),
    "kafka": (_kafka, False),
    "dagster": (_dagster, False),
}
"""Each component's check, and whether the API is not ready without it."""
