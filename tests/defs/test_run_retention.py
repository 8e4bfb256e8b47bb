"""Old runs are deleted; what Dagster knows by them is kept."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa

from fulfillment_assets.defs.platform import run_retention
from fulfillment_assets.defs.platform.run_retention import STREAM_JOBS
from tests.defs.runs import execute

STREAM_JOB, RELAY_JOB = STREAM_JOBS
OTHER_JOB = "other_job"


class History:
    """Runs that ended some days ago."""

    def __init__(self, instance: dg.DagsterInstance, storage: str) -> None:
        self._instance = instance
        self.engine = sa.create_engine(storage)

    def add(
        self,
        days_ago: float,
        job: str = STREAM_JOB,
        *,
        partition: str | None = None,
        fails: bool = False,
    ) -> str:
        """A run that printed a line, made something for its day and partition, and ended."""
        ended = dt.datetime.now(dt.UTC) - dt.timedelta(days=days_ago)

        @dg.op
        def make() -> Iterator[dg.AssetMaterialization | dg.Output[None]]:
            print("a line")  # noqa: T201
            yield dg.AssetMaterialization("by_partition", partition=partition)
            yield dg.AssetMaterialization("by_day", partition=ended.date().isoformat())
            if fails:
                raise ValueError("it fails")
            yield dg.Output(None)

        run = (
            dg.GraphDefinition(name=job, node_defs=[make])
            .to_job()
            .execute_in_process(
                instance=self._instance,
                tags={} if partition is None else {"dagster/partition": partition},
                raise_on_error=False,
            )
        )
        with self.engine.begin() as connection:
            connection.execute(
                sa.text("UPDATE runs SET update_timestamp = :ended WHERE run_id = :id"),
                {"ended": ended.replace(tzinfo=None), "id": run.run_id},
            )
        return run.run_id

    def left(self, run_ids: list[str]) -> list[str]:
        """Which of some runs are there."""
        return [run_id for run_id in run_ids if self._instance.has_run(run_id)]

    def rows(self, run_id: str) -> dict[str, int]:
        """How many rows of a run each table has."""
        with self.engine.connect() as connection:
            return {
                table: connection.scalar(
                    sa.text(f"SELECT count(*) FROM {table} WHERE run_id = :id"), {"id": run_id}
                )
                for table in ("runs", "run_tags", "event_logs")
            }


@pytest.fixture
def history(instance: dg.DagsterInstance, dagster_storage: str) -> Iterator[History]:
    made = History(instance, dagster_storage)
    with made.engine.begin() as connection:  # the storage is shared by the session's tests
        connection.execute(sa.text("DELETE FROM runs"))
    yield made
    made.engine.dispose()


def upkeep(instance: dg.DagsterInstance, **days: float) -> None:
    """Run the hourly upkeep."""
    config = {"ops": {"delete_old_runs": {"config": days}}}
    assert execute(instance, "upkeep", run_config=config).success


@pytest.mark.parametrize("job", STREAM_JOBS)
def test_runs_of_the_stream_go_after_a_day_if_they_succeeded_and_else_after_a_week(
    instance: dg.DagsterInstance, history: History, job: str
) -> None:
    successes = [history.add(days, job) for days in (8, 8, 0.9, 0)]
    failures = [history.add(days, job, fails=True) for days in (7.1, 6.9, 0)]
    upkeep(instance)
    assert history.left(successes) == successes[1:]
    assert history.left(failures) == failures[1:]


def test_the_last_success_of_each_day_of_the_stream_stays(
    instance: dg.DagsterInstance, history: History
) -> None:
    noon = dt.datetime.now(dt.UTC).replace(hour=12) - dt.timedelta(days=3)
    age = (dt.datetime.now(dt.UTC) - noon) / dt.timedelta(days=1)
    runs = [history.add(days) for days in (age + 1.2, age + 0.9, age + 0.2, age, age - 0.2)]
    failed = history.add(age - 0.3, fails=True)
    upkeep(instance, stream_failure_days=1)
    assert history.left([*runs, failed]) == [runs[1], runs[4]]
    assert instance.get_materialized_partitions(dg.AssetKey("by_day")) >= {
        (noon - dt.timedelta(days=1)).date().isoformat(),
        noon.date().isoformat(),
    }
    upkeep(instance, days=1)
    assert history.left(runs) == [runs[4]]


def test_other_runs_go_after_ninety_days(instance: dg.DagsterInstance, history: History) -> None:
    old = [history.add(days, OTHER_JOB) for days in (400, 91, 89, 0)]
    failed = [history.add(days, OTHER_JOB, fails=True) for days in (91, 89)]
    upkeep(instance)
    assert history.left(old) == old[2:]
    assert history.left(failed) == failed[1:]


def test_the_last_success_of_a_job_and_of_a_partition_stays(
    instance: dg.DagsterInstance, history: History
) -> None:
    runs = {
        (partition, days): history.add(days, OTHER_JOB, partition=partition)
        for partition, days in [("monday", 99), ("monday", 98), ("tuesday", 97), ("tuesday", 96)]
    }
    alone = history.add(400, RELAY_JOB)
    failed = history.add(95, OTHER_JOB, partition="wednesday", fails=True)
    upkeep(instance)
    kept = [runs["monday", 98], runs["tuesday", 96], alone]
    assert history.left([*runs.values(), alone, failed]) == kept
    materialised = instance.get_materialized_partitions(dg.AssetKey("by_partition"))
    assert materialised >= {"monday", "tuesday"}


def test_nothing_of_a_deleted_run_is_left(
    instance: dg.DagsterInstance, history: History, variables: dict[str, str]
) -> None:
    gone, kept = (history.add(days, OTHER_JOB, partition="monday") for days in (100, 0))
    logs = Path(variables["DAGSTER_HOME"]) / "storage"
    assert (logs / gone).is_dir()
    assert all(history.rows(gone).values())
    upkeep(instance)
    assert history.rows(gone) == {"runs": 0, "run_tags": 0, "event_logs": 0}
    assert not (logs / gone).exists()
    assert all(history.rows(kept).values())
    assert (logs / kept).is_dir()


def test_runs_that_are_not_finished_stay(instance: dg.DagsterInstance, history: History) -> None:
    run_id = history.add(400, fails=True)
    with history.engine.begin() as connection:
        connection.execute(
            sa.text("UPDATE runs SET status = 'STARTED' WHERE run_id = :id"), {"id": run_id}
        )
    upkeep(instance)
    assert history.left([run_id]) == [run_id]


def test_they_go_a_batch_at_a_time(
    instance: dg.DagsterInstance, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_retention, "_BATCH", 2)
    partitions = ["monday", "monday", "tuesday", "wednesday", "thursday", "monday", "friday"]
    runs = [history.add(99, OTHER_JOB, partition=partition) for partition in partitions]
    upkeep(instance)
    assert history.left(runs) == runs[2:]
