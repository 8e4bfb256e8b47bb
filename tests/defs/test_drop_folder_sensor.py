"""The sensor of the drop folder: one run a file, none for what is known, and nothing forgotten."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

import dagster as dg

from fulfillment_assets.definitions import defs
from fulfillment_assets.defs.constants import BATCH_JOB_TAG
from fulfillment_assets.defs.resources import RESOURCES
from fulfillment_assets.scoring.inbox import MAX_RUNS
from tests.defs.runs import QUIET, score
from tests.scoring.workplace import Workplace, files_below

SENSOR = defs.resolve_sensor_def("drop_folder_sensor")
OPEN_CONNECTIONS = (
    "SELECT count(*) FROM pg_stat_activity "
    "WHERE datname = current_database() AND application_name = 'fulfillment'"
)


def tick(instance: dg.DagsterInstance) -> dg.SensorResult | dg.SkipReason:
    """Evaluate the sensor as the daemon does; its resources live as long as the tick."""
    with dg.build_sensor_context(
        instance=instance, resources=RESOURCES, definitions=defs
    ) as context:
        result = SENSOR.evaluate_tick(context)
    if not result.run_requests:
        return dg.SkipReason(result.skip_message)
    return dg.SensorResult(run_requests=result.run_requests)


def requests(instance: dg.DagsterInstance) -> Sequence[dg.RunRequest]:
    result = tick(instance)
    return [] if isinstance(result, dg.SkipReason) else list(result.run_requests or ())


def drop(workplace: Workplace, name: str = "orders.csv", *, seed: int = 1) -> None:
    path = workplace.drop(workplace.simulated(10, seed=seed), name)
    changed = time.time() - 60
    os.utime(path, (changed, changed))


def test_an_empty_inbox_asks_for_nothing_and_says_where_it_looked(
    instance: dg.DagsterInstance, workplace: Workplace
) -> None:
    result = tick(instance)
    assert isinstance(result, dg.SkipReason)
    assert result.skip_message == f"nothing new in {workplace.settings.inbox}"


def test_each_dropped_file_asks_for_one_run_on_the_day_of_receipt(
    instance: dg.DagsterInstance, workplace: Workplace
) -> None:
    drop(workplace, "a.csv", seed=1)
    drop(workplace, "b.csv", seed=2)
    found = requests(instance)
    jobs = workplace.rows("SELECT id, filename, created_at FROM batch_jobs ORDER BY created_at")
    assert [request.run_key for request in found] == [f"{job['id']}:1" for job in jobs]
    for request, job in zip(found, jobs, strict=True):
        assert request.partition_key == job["created_at"].date().isoformat()
        assert request.tags[BATCH_JOB_TAG] == str(job["id"])
        assert request.tags["fulfillment/file"] == job["filename"]
        assert request.run_config == {
            "ops": {"score_orders": {"config": {"batch_job_id": str(job["id"])}}}
        }
        assert request.job_name in (None, "score_batch")


def test_two_copies_of_one_file_ask_for_one_run(
    instance: dg.DagsterInstance, workplace: Workplace
) -> None:
    drop(workplace, "a.csv")
    drop(workplace, "b.csv")
    assert len(requests(instance)) == 1
    assert len(files_below(workplace.settings.processed / "duplicates")) == 1


def test_what_was_scored_asks_for_nothing_when_it_is_dropped_again(
    instance: dg.DagsterInstance, workplace: Workplace
) -> None:
    workplace.score(workplace.simulated(10))
    drop(workplace, "again.csv")
    assert requests(instance) == []
    assert workplace.counts()["predictions"] == 10


def test_a_requested_run_executes_as_it_was_asked_for(
    instance: dg.DagsterInstance, workplace: Workplace
) -> None:
    drop(workplace)
    (request,) = requests(instance)
    run = defs.resolve_job_def("score_batch").execute_in_process(
        instance=instance,
        partition_key=request.partition_key,
        run_config={**request.run_config, **QUIET},
        tags=request.tags,
    )
    assert run.success
    assert workplace.counts()["predictions"] == 10
    assert requests(instance) == []
    assert files_below(workplace.settings.processed) == ["orders.csv"]


def test_a_waiting_job_is_asked_for_under_the_same_key_until_its_run_exists(
    instance: dg.DagsterInstance, workplace: Workplace
) -> None:
    drop(workplace)
    first, second = requests(instance), requests(instance)
    assert [request.run_key for request in first] == [request.run_key for request in second]


def test_a_job_whose_run_is_alive_is_not_asked_for(
    instance: dg.DagsterInstance, workplace: Workplace
) -> None:
    job = workplace.claim(workplace.simulated(10))
    run = instance.create_run_for_job(
        defs.resolve_job_def("score_batch"),
        tags={BATCH_JOB_TAG: str(job.id)},
        status=dg.DagsterRunStatus.STARTED,
    )
    assert requests(instance) == []
    instance.report_run_failed(run)
    (request,) = requests(instance)
    assert request.run_key == f"{job.id}:2"


def test_a_job_whose_run_was_cancelled_is_not_asked_for_again_until_its_file_is_dropped_again(
    instance: dg.DagsterInstance, workplace: Workplace
) -> None:
    drop(workplace)
    (request,) = requests(instance)
    run = instance.create_run_for_job(
        defs.resolve_job_def("score_batch"), tags=dict(request.tags), run_config=request.run_config
    )
    instance.report_run_canceled(run)
    assert requests(instance) == []
    (job,) = workplace.rows("SELECT status, error_message FROM batch_jobs")
    assert job["status"] == "failed"
    assert "cancelled; drop the file again" in job["error_message"]
    assert files_below(workplace.settings.failed) == ["orders.csv"]

    drop(workplace)
    (again,) = requests(instance)
    assert again.run_key != request.run_key


def test_a_job_whose_runs_keep_dying_is_given_up_and_can_be_handed_in_again(
    instance: dg.DagsterInstance, workplace: Workplace
) -> None:
    path = workplace.simulated(10)
    job = workplace.claim(path)
    for _ in range(MAX_RUNS):
        instance.create_run_for_job(
            defs.resolve_job_def("score_batch"),
            tags={BATCH_JOB_TAG: str(job.id)},
            status=dg.DagsterRunStatus.FAILURE,
        )
    assert requests(instance) == []
    failed = workplace.job(job)
    assert failed.status == "failed"
    assert f"given up after {MAX_RUNS} runs" in (failed.error_message or "")
    drop(workplace)
    (request,) = requests(instance)
    assert request.run_key == f"{job.id}:{MAX_RUNS + 1}"
    assert score(instance, workplace.job(job)).success
    assert workplace.counts()["predictions"] == 10


def test_ticks_and_runs_leave_no_connection_open(
    instance: dg.DagsterInstance, workplace: Workplace
) -> None:
    workplace.engine.dispose()
    ours = workplace.value(OPEN_CONNECTIONS)
    drop(workplace)
    for _ in range(3):
        tick(instance)
    score(instance, workplace.claim(workplace.simulated(10, seed=2)))
    workplace.engine.dispose()
    assert workplace.value(OPEN_CONNECTIONS) == ours
