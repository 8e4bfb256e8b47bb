"""Fixtures for every test that scores files."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from fulfillment_assets.delay_model.scorer import DelayScorer
from fulfillment_assets.delay_model.training.data import simulated_training_data
from fulfillment_assets.delay_model.training.fit import save, train
from fulfillment_assets.local.postgres import EmbeddedPostgres
from fulfillment_assets.settings import PROJECT_ROOT, Settings
from fulfillment_assets.store.connection import DAGSTER_SCHEMA, create_engine, dagster_storage_url
from tests.scoring.workplace import Workplace

MODELS = PROJECT_ROOT / "models"


@pytest.fixture(scope="session")
def scorer() -> DelayScorer:
    """The committed model."""
    return DelayScorer.load(MODELS)


@pytest.fixture(scope="session")
def second_models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model that was trained on other data than the committed one."""
    folder = tmp_path_factory.mktemp("models")
    save(train(simulated_training_data(rows=1_500, seed=5), repeats=1), folder)
    return folder


@pytest.fixture(scope="session")
def dagster_storage(postgres: EmbeddedPostgres) -> str:
    """URL of Dagster's storage, one for the session: making its tables takes long."""
    url = make_url(postgres.url).set(database=f"dagster_{uuid.uuid4().hex}")
    for database, statement in (
        (postgres.url, f"CREATE DATABASE {url.database}"),
        (url, f"CREATE SCHEMA {DAGSTER_SCHEMA}"),
    ):
        engine = sa.create_engine(database, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(sa.text(statement))
        engine.dispose()
    return dagster_storage_url(url)


@pytest.fixture
def workplace(database_url: str, scorer: DelayScorer, tmp_path: Path) -> Iterator[Workplace]:
    """A database and folders of one test alone."""
    engine = create_engine(database_url)
    settings = Settings(data_dir=tmp_path / "data", inbox_dir=None, inbox_settle_seconds=0.1)
    yield Workplace(engine, settings, scorer, tmp_path / "outside")
    engine.dispose()
