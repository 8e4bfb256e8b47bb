"""Dagster's storage: what the project's configuration makes, and what it costs."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster._core.storage.schedules.sql_schedule_storage import SqlScheduleStorage
from dagster_postgres import PostgresScheduleStorage
from sqlalchemy.engine import Engine

from fulfillment_assets.dagster_storage import PooledPostgresStorage
from fulfillment_assets.store.connection import create_engine, dagster_storage_url
from tests.scoring.fixtures import dagster_storage
from tests.warm_runs import make_home

__all__ = ["dagster_storage"]


@dg.job
def nothing() -> None:
    """A job without a step."""


@pytest.fixture
def instance(
    dagster_storage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    """An instance as `dagster.yaml` configures it."""
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", dagster_storage)
    with dg.DagsterInstance.from_config(str(make_home(tmp_path / "home"))) as made:
        yield made


def engine_of(instance: dg.DagsterInstance) -> Engine:
    """Of all three storages."""
    storages = (instance.run_storage, instance.event_log_storage, instance.schedule_storage)
    (engine,) = {storage._engine for storage in storages}  # type: ignore[union-attr]
    assert isinstance(engine, Engine)
    return engine


def test_runs_and_events_are_kept(instance: dg.DagsterInstance) -> None:
    done = nothing.execute_in_process(instance=instance)
    assert instance.get_runs()[0].run_id == done.run_id
    assert len(instance.all_logs(done.run_id)) > 1
    assert instance.all_instigator_state() == []


def test_connections_are_opened_once(instance: dg.DagsterInstance) -> None:
    opened = []
    sa.event.listen(engine_of(instance), "connect", lambda *_: opened.append(1))
    nothing.execute_in_process(instance=instance)
    for _ in range(20):
        instance.get_runs()
        instance.all_instigator_state()
    assert len(opened) <= 1


def test_tables_are_looked_for_once(instance: dg.DagsterInstance) -> None:
    asked: list[str] = []
    instance.all_instigator_state()
    sa.event.listen(
        engine_of(instance),
        "before_cursor_execute",
        lambda connection, cursor, statement, *_: asked.append(statement),
    )
    instance.all_instigator_state()
    assert len(asked) == 1


def test_a_connection_that_broke_is_replaced(
    instance: dg.DagsterInstance, dagster_storage: str
) -> None:
    known = instance.get_runs_count()
    engine = create_engine(dagster_storage)
    with engine.connect() as connection:
        ended = connection.execute(
            sa.text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        ).all()
    engine.dispose()
    assert ended
    assert instance.get_runs_count() == known


def test_the_tables_are_made_where_there_are_none(empty_database_url: str) -> None:
    engine = create_engine(empty_database_url)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE SCHEMA dagster"))
    engine.dispose()
    storage = PooledPostgresStorage(dagster_storage_url(empty_database_url))
    assert storage.run_storage.get_runs() == []
    assert storage.schedule_storage.all_instigator_state() == []
    storage.run_storage.dispose()


def test_dagster_is_the_release_that_it_was_tried_with() -> None:
    assert version("dagster-postgres") == "0.29.27", (
        "fulfillment_assets/dagster_storage.py replaces the engines of Dagster's storages and "
        "remembers what some of their methods find: read what changed, then name the release here."
    )
    assert PostgresScheduleStorage.has_built_index is SqlScheduleStorage.has_built_index
