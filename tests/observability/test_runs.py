"""A real run tells its events where Dagster keeps what a run's process wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.reconstruct import ReconstructableRepository

from fulfillment_assets.defs.constants import CORRELATION_TAG
from fulfillment_assets.defs.scoring.jobs import SCORING_JOB, run_config, run_tags
from fulfillment_assets.observability.correlation import bound
from fulfillment_assets.settings import PROJECT_ROOT
from tests.scoring.workplace import LATE, OPEN, Workplace
from tests.warm_runs import Runs, make_home

DEFINITIONS = "fulfillment_assets.definitions"


def written(instance: dg.DagsterInstance, run_id: str) -> list[dict[str, Any]]:
    """The lines of JSON that a run wrote to standard error."""
    (captured,) = (
        entry.dagster_event.logs_captured_data
        for entry in instance.all_logs(run_id)
        if entry.dagster_event and entry.dagster_event.event_type_value == "LOGS_CAPTURED"
    )
    key = [run_id, "compute_logs", captured.file_key]
    data = instance.compute_log_manager.get_log_data(key)
    lines = (data.stderr or b"").decode().splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def test_the_lines_of_a_run_have_its_id_and_that_of_the_upload(
    workplace: Workplace,
    variables: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DAGSTER_HOME", str(make_home(tmp_path / "home", DEFINITIONS)))
    monkeypatch.setenv("PYTHONPATH", str(PROJECT_ROOT))
    with bound(correlation_id="upload-7"):
        job = workplace.claim(workplace.orders({"order_id": "O1", **LATE, **OPEN}))
    code = ReconstructableRepository.for_module(DEFINITIONS, "defs", str(PROJECT_ROOT))
    scoring = code.get_reconstructable_job(SCORING_JOB)
    with dg.DagsterInstance.get() as instance:
        run = instance.create_run_for_job(
            scoring.get_definition(),
            run_config=run_config(job),
            tags=run_tags(job) | {"dagster/partition": job.day.isoformat()},
            job_code_origin=scoring.get_python_origin(),
        )
        instance.launch_run(run.run_id, None)  # type: ignore[arg-type]
        runs = Runs(instance)
        assert runs.end(run.run_id) == "SUCCESS", runs.messages(run.run_id)
        assert runs.get(run.run_id).tags[CORRELATION_TAG] == "upload-7"
        told = written(instance, run.run_id)
    assert {line["event"] for line in told} >= {"orders.scored", "deviations.detected"}
    assert {(line["run_id"], line["correlation_id"]) for line in told} == {(run.run_id, "upload-7")}
