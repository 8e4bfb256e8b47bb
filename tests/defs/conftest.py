"""A Dagster instance whose storage is PostgreSQL, and the environment that runs start in."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg
import pytest

from fulfillment_assets.local.platform import environment
from tests.delay_model.registry.conftest import weak_dir
from tests.scoring.fixtures import dagster_storage, scorer, second_models_dir, workplace
from tests.scoring.workplace import Workplace

__all__ = ["dagster_storage", "scorer", "second_models_dir", "weak_dir", "workplace"]


@pytest.fixture
def variables(workplace: Workplace, dagster_storage: str) -> dict[str, str]:
    """The environment of every process of the platform."""
    url = workplace.engine.url.render_as_string(hide_password=False)
    return environment(workplace.settings, url) | {"DAGSTER_POSTGRES_URL": dagster_storage}


@pytest.fixture
def instance(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    """The project's Dagster instance, with its storage in PostgreSQL."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("FULFILLMENT_INBOX_SETTLE_SECONDS", "0.1")
    with dg.DagsterInstance.get() as opened:
        yield opened
