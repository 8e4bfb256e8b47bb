"""Fixtures of the API's tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.engine import Engine

from fulfillment_assets.knowledge.rulebook import load_rules
from fulfillment_assets.local.ports import any_port
from fulfillment_assets.local.postgres import EmbeddedPostgres
from fulfillment_assets.settings import PROJECT_ROOT
from fulfillment_assets.store import migrate
from tests.agents.examples import Office
from tests.api.examples import THEN, client_for, url_of
from tests.knowledge.fixtures import chroma, private_chroma
from tests.kpis.examples import Event, commit
from tests.scoring.fixtures import scorer, second_models_dir, workplace

__all__ = ["chroma", "private_chroma", "scorer", "second_models_dir", "workplace"]

Start = Callable[..., TestClient]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts the API over a database: `start(url, key=…)`; settings by their names."""
    with ExitStack() as started:

        def begin(url: str, **options: Any) -> TestClient:
            return started.enter_context(client_for(url, **options))

        yield begin


@pytest.fixture
def api(engine: Engine, start: Start) -> TestClient:
    """The API over a fresh database without keys."""
    return start(url_of(engine))


@pytest.fixture
def office(engine: Engine) -> Office:
    """The database of `api`, in which orders deviate and agents work."""
    return Office(engine, load_rules(PROJECT_ROOT / "knowledge_base"))


@pytest.fixture
def postgres_alone(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    """A migrated server of one test alone, for tests in which it fails."""
    with EmbeddedPostgres(tmp_path / "alone", any_port()).running() as server:
        migrate.upgrade(server.url)
        yield server


@pytest.fixture
def scored(engine: Engine) -> Engine:
    """Orders of a day ago: one critical and shipped, one warning, one sound."""
    commit(
        engine,
        Event("O1", 0.9, at=THEN, order_status="shipped", warehouse_block="F"),
        Event("O2", 0.6, at=THEN),
        Event("P3", 0.2, at=THEN, mode_of_shipment="Road"),
        received_at=THEN,
    )
    return engine
