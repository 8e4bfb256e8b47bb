"""`fulfillment score`: one file, scored by the Dagster job in this process."""

from __future__ import annotations

import json
import time
from functools import partial
from pathlib import Path

import dagster as dg
import pytest

from fulfillment_assets.scoring import batch_jobs
from fulfillment_assets.store import migrate
from fulfillment_assets.store.connection import dagster_storage_url, wait_for_database
from tests.cli.commands import Fulfillment
from tests.scoring.workplace import Workplace, files_below

pytestmark = pytest.mark.usefixtures("on_workplace")


def test_json_is_one_object_and_a_second_run_says_that_the_file_is_known(
    workplace: Workplace, on_workplace: dict[str, str], start_fulfillment: Fulfillment
) -> None:
    path = workplace.simulated(500, fault_share=0.05)
    variables = on_workplace | {
        "DAGSTER_POSTGRES_URL": dagster_storage_url(on_workplace["DATABASE_URL"])
    }
    first = start_fulfillment("score", path, "--json", environment=variables)
    assert first.status == 0, first.err
    (line,) = first.out.splitlines()
    told = json.loads(line)
    assert set(told) >= {
        "status",
        "row_count",
        "accepted",
        "rejected",
        "predictions",
        "deviations",
        "seconds",
    }
    assert (told["status"], told["row_count"], told["error"]) == ("completed", 500, None)
    assert told["accepted"] + told["rejected"] == 500
    assert told["accepted"] == told["predictions"] == workplace.counts()["predictions"]
    assert sum(told["severities"].values()) == told["predictions"]
    assert told["deviations"]["delay_risk"]["critical"] > 0
    assert told["seconds"] > 0

    second = start_fulfillment("score", path, "--json", environment=variables)
    assert second.status == 0, second.err
    repeated = json.loads(second.out)
    assert repeated == told | {"status": "already_processed"}
    assert workplace.counts()["predictions"] == told["predictions"]
    assert workplace.rows("SELECT status FROM dagster.runs") == [{"status": "SUCCESS"}]


def test_the_file_stays_where_it_is_and_a_copy_is_archived(
    workplace: Workplace, fulfillment: Fulfillment
) -> None:
    path = workplace.simulated(100, fault_share=0.1)
    assert fulfillment("score", path).status == 0
    assert path.exists()
    assert files_below(workplace.settings.processed) == ["orders.csv", "orders.rejected.csv"]
    assert files_below(workplace.settings.claimed) == []


def test_the_summary_shows_counts_severities_deviations_orders_and_rejected_rows(
    workplace: Workplace, fulfillment: Fulfillment
) -> None:
    path = workplace.simulated(500, fault_share=0.02)
    outcome = fulfillment("score", path)
    assert outcome.status == 0
    job = workplace.rows("SELECT * FROM batch_jobs")[0]
    assert (
        f"orders.csv: 500 rows, {job['accepted_count']} predicted by model "
        f"{job['model_version']}, {job['rejected_count']} rejected"
    ) in outcome.out
    for word in ("critical", "delay_risk", "fulfillment_gap", "far above", "row "):
        assert word in outcome.out
    assert str(workplace.settings.processed / "orders.rejected.csv") in outcome.out


def test_a_file_is_scored_again_on_request(workplace: Workplace, fulfillment: Fulfillment) -> None:
    path = workplace.simulated(50)
    assert fulfillment("score", path).status == 0
    known = fulfillment("score", path)
    assert "was scored before, as orders.csv" in known.out
    assert "use --again" in known.out
    again = json.loads(fulfillment("score", path, "--again", "--json").out)
    assert (again["status"], again["predictions"]) == ("completed", 50)
    assert workplace.counts()["predictions"] == 100
    assert workplace.counts()["orders"] == 50


def test_the_run_stands_in_dagster(workplace: Workplace, fulfillment: Fulfillment) -> None:
    fulfillment("score", workplace.simulated(10))
    with dg.DagsterInstance.get() as instance:
        run = instance.get_run_by_id(workplace.value("SELECT run_id FROM batch_jobs"))
    assert run is not None
    assert (run.status, run.job_name) == (dg.DagsterRunStatus.SUCCESS, "score_batch")


def test_a_bad_file_ends_with_one_clear_line_and_status_1(
    workplace: Workplace, fulfillment: Fulfillment
) -> None:
    outcome = fulfillment("score", workplace.file(b"PK\x03\x04", "book.xlsx"))
    assert (outcome.status, outcome.out) == (1, "")
    assert outcome.err.strip() == (
        "error: book.xlsx could not be scored: this looks like an Excel workbook or another zip "
        "archive; export it as CSV and drop that"
    )


def test_a_bad_file_is_told_as_json_too(workplace: Workplace, fulfillment: Fulfillment) -> None:
    outcome = fulfillment("score", workplace.file(b""), "--json")
    assert outcome.status == 1
    told = json.loads(outcome.out)
    assert (told["status"], told["predictions"]) == ("failed", 0)
    assert "the file is empty" in told["error"]


def test_a_file_name_is_printed_as_it_is(workplace: Workplace, fulfillment: Fulfillment) -> None:
    path = workplace.simulated(5, name="orders[bold] [red].csv")
    assert "orders[bold] [red].csv: 5 rows" in fulfillment("score", path).out
    assert "as orders[bold] [red].csv" in fulfillment("score", path).out


def test_a_file_whose_scoring_was_interrupted_is_scored_when_it_is_asked_for_again(
    workplace: Workplace, fulfillment: Fulfillment
) -> None:
    path = workplace.simulated(50)
    job = workplace.claim(path)
    with workplace.engine.begin() as connection:
        batch_jobs.start(connection, job.id, "a run that was killed")
    told = json.loads(fulfillment("score", path, "--json").out)
    assert (told["status"], told["predictions"]) == ("completed", 50)
    assert workplace.job(job).status == "completed"


def test_a_run_that_fails_keeps_the_file_for_the_next_try(
    workplace: Workplace,
    fulfillment: Fulfillment,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = workplace.simulated(50)
    models = workplace.settings.models_dir
    monkeypatch.setenv("FULFILLMENT_MODELS_DIR", str(tmp_path / "nowhere"))
    outcome = fulfillment("score", path)
    assert outcome.status == 1
    assert outcome.err.startswith("error: orders.csv could not be scored: ")
    assert "fulfillment train" in outcome.err
    assert "Traceback" not in outcome.err
    monkeypatch.setenv("FULFILLMENT_MODELS_DIR", str(models))
    assert json.loads(fulfillment("score", path, "--json").out)["predictions"] == 50


def test_a_database_that_is_down_is_named(
    workplace: Workplace, fulfillment: Fulfillment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "wait_for_database", partial(wait_for_database, seconds=0))
    monkeypatch.setenv("DATABASE_URL", "postgresql://someone:secret@127.0.0.1:1/nowhere")
    started = time.monotonic()
    outcome = fulfillment("score", workplace.simulated(5))
    assert outcome.status == 1
    assert "error: PostgreSQL at postgresql://someone:***@127.0.0.1:1/nowhere" in outcome.err
    assert "Start it, or set DATABASE_URL to one that runs." in outcome.err
    assert "secret" not in outcome.err
    assert time.monotonic() - started < 10


def test_a_file_that_is_not_there_is_a_mistake_in_the_command(fulfillment: Fulfillment) -> None:
    outcome = fulfillment("score", "/nowhere/orders.csv")
    assert outcome.status == 2
    assert "does not exist" in outcome.err
