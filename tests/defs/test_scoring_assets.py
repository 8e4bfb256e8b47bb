"""Scoring a file, or a day again, as a Dagster run: what it materialises and what it checks."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from fulfillment_assets.defs.constants import BATCH_JOB_TAG
from fulfillment_assets.delay_model.artifacts import read_files
from fulfillment_assets.delay_model.registry.promotion import promote
from fulfillment_assets.delay_model.registry.versions import register
from tests.defs.runs import (
    checks,
    execute,
    failures,
    materialisations,
    metadata,
    records,
    score,
)
from tests.scoring.workplace import Workplace

ALL_PASSED = {
    "row_counts_balance": True,
    "probabilities_in_range": True,
    "no_orphans": True,
}


def test_a_file_materialises_the_three_tables_of_its_one_transaction(
    instance: dg.DagsterInstance, workplace: Workplace
) -> None:
    job = workplace.claim(workplace.simulated(1_000, fault_share=0.02))
    run = score(instance, job)
    assert run.success
    assert {one.asset_key.to_user_string() for one in materialisations(run)} == {
        "predictions",
        "kpi_rollups",
        "deviations",
    }
    assert {one.partition for one in materialisations(run)} == {job.day.isoformat()}
    assert checks(run) == ALL_PASSED
    assert workplace.job(job).status == "completed"
    assert workplace.job(job).run_id == run.run_id


def test_a_materialisation_tells_rows_severities_seconds_and_model(
    instance: dg.DagsterInstance, workplace: Workplace
) -> None:
    job = workplace.claim(workplace.simulated(1_000, fault_share=0.02))
    run = score(instance, job)
    done = workplace.job(job)
    told = metadata(run, "predictions")
    assert told["dagster/row_count"] == told["rows"] == done.accepted_count
    assert (told["received"], told["rejected"]) == (1_000, done.rejected_count)
    assert (told["file"], told["batch_job_id"]) == ("orders.csv", str(job.id))
    assert told["model_version"] == workplace.scorer.version
    assert told["seconds"] == round(done.seconds, 3) > 0
    severities = {
        row["severity"]: row["n"]
        for row in workplace.rows("SELECT severity, count(*) AS n FROM predictions GROUP BY 1")
    }
    for severity in ("critical", "warning", "info", "none"):
        assert told[f"severity_{severity}"] == severities.get(severity, 0)
    preview = records(told["riskiest_orders"])
    assert len(preview) == 10
    assert preview[0]["severity"] == "critical"
    assert "far above usual" in preview[0]["reasons"]


def test_rollups_and_deviations_tell_what_is_in_them(
    instance: dg.DagsterInstance, workplace: Workplace
) -> None:
    workplace.execute("UPDATE settings SET value = '100000' WHERE key = 'kpi_window_days'")
    run = score(instance, workplace.claim(workplace.simulated(1_000)))
    kpis = metadata(run, "kpi_rollups")
    assert kpis["orders_in_window"] == kpis["rows"] == workplace.counted_orders()
    assert 0 < kpis["mean_probability"] < 1
    assert 0 < kpis["on_time_rate"] < 1
    blocks = records(kpis["by_warehouse_block"])
    assert {row["warehouse_block"] for row in blocks} == {"A", "B", "C", "D", "F"}
    assert sum(row["orders"] for row in blocks) == kpis["rows"]
    assert len(records(kpis["riskiest_segments"])) == 10
    told = metadata(run, "deviations")
    assert told["rows"] == workplace.counts()["deviations"]
    for kind in ("delay_risk", "fulfillment_gap"):
        assert told[f"{kind}_critical"] == workplace.value(
            "SELECT count(*) FROM deviations WHERE kind = :kind AND severity = 'critical'",
            kind=kind,
        )
    gravest = records(told["gravest_open"])
    assert len(gravest) == 10
    assert {row["severity"] for row in gravest} == {"critical"}
    for table in (kpis, told):
        assert table["model_version"] == workplace.scorer.version
        assert table["seconds"] > 0


def test_a_file_without_rows_materialises_tables_without_rows(
    instance: dg.DagsterInstance, workplace: Workplace
) -> None:
    header = workplace.simulated(1).read_text().splitlines()[0]
    run = score(instance, workplace.claim(workplace.file(header)))
    assert run.success
    assert checks(run) == ALL_PASSED
    assert metadata(run, "predictions")["rows"] == 0
    assert metadata(run, "deviations")["gravest_open"] == "no rows"


def test_a_bad_file_fails_its_run_at_once_with_the_reason(
    instance: dg.DagsterInstance, workplace: Workplace
) -> None:
    job = workplace.claim(workplace.file(b"PK\x03\x04", "book.xlsx"))
    run = score(instance, job)
    assert not run.success
    (failure,) = failures(run)
    assert failure.user_failure_data is not None
    assert "book.xlsx could not be scored: this looks like an Excel workbook" in (
        failure.user_failure_data.description
    )
    assert failure.user_failure_data.metadata["batch_job_id"].value == str(job.id)
    assert not any(
        event.event_type is dg.DagsterEventType.STEP_UP_FOR_RETRY for event in run.all_events
    )
    assert materialisations(run) == []
    assert workplace.value("SELECT attempts FROM batch_jobs") == 1
    assert workplace.job(job).status == "failed"


def test_a_missing_model_fails_the_run_at_once_and_the_file_keeps_waiting(
    instance: dg.DagsterInstance,
    workplace: Workplace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FULFILLMENT_MODELS_DIR", str(tmp_path / "nowhere"))
    job = workplace.claim(workplace.simulated(10))
    (failure,) = failures(score(instance, job))
    assert failure.user_failure_data is not None
    assert "fulfillment train" in failure.user_failure_data.description
    assert workplace.job(job).status == "pending"


def test_an_error_that_passes_is_overcome_within_the_run(
    instance: dg.DagsterInstance, workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fulfillment_assets.scoring import pipeline
    from fulfillment_assets.store.connection import DatabaseUnavailableError

    apply = pipeline.apply_staged
    tries: list[Any] = []

    def fail_once(*arguments: Any) -> None:
        tries.append(arguments)
        if len(tries) == 1:
            raise DatabaseUnavailableError("the connection was lost")
        apply(*arguments)

    monkeypatch.setattr(pipeline, "apply_staged", fail_once)
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    job = workplace.claim(workplace.simulated(50))
    run = score(instance, job)
    assert run.success
    assert checks(run) == ALL_PASSED
    assert len(tries) == 2
    assert workplace.counts()["predictions"] == 50


def test_days_without_a_file_to_score_are_scored_again_with_the_champion_in_one_run(
    instance: dg.DagsterInstance, workplace: Workplace, second_models_dir: Path
) -> None:
    today = dt.datetime.now(dt.UTC)
    days = [today - dt.timedelta(days=number) for number in (2, 1, 0)]
    for number, day in enumerate(days):
        path = workplace.simulated(100, seed=number, name=f"{number}.csv")
        workplace.score(path, received=day)
    with workplace.engine.begin() as connection:
        version = register(connection, read_files(second_models_dir)).version
    promote(
        workplace.engine, version, workplace.settings.models_dir, force=True, reason="to see it"
    )
    keys = [day.date().isoformat() for day in days]
    run = execute(
        instance,
        "score_batch",
        tags={
            "dagster/asset_partition_range_start": keys[0],
            "dagster/asset_partition_range_end": keys[-1],
        },
    )
    assert run.success
    assert checks(run) == ALL_PASSED
    assert {
        one.partition
        for one in materialisations(run)
        if one.asset_key == dg.AssetKey("predictions")
    } == set(keys)
    assert workplace.rows(
        "SELECT created_at::date::text AS day, model_version, count(*) AS n FROM predictions "
        "GROUP BY 1, 2 ORDER BY 1"
    ) == [{"day": key, "model_version": version, "n": 100} for key in keys]
    assert workplace.rollup_differences() == 0


def test_a_day_on_which_nothing_was_received_is_no_error(
    instance: dg.DagsterInstance, workplace: Workplace
) -> None:
    run = execute(instance, "score_batch", partition_key="2026-01-01")
    assert run.success
    assert metadata(run, "predictions")["rows"] == 0


@pytest.mark.parametrize(
    ("damage", "check"),
    [
        ("UPDATE batch_jobs SET row_count = 301, accepted_count = 301", "row_counts_balance"),
        ("UPDATE settings SET value = '0.9999' WHERE key = 'severity_critical_above'", None),
        ("UPDATE deviations SET prediction_id = uuidv7()", "no_orphans"),
    ],
)
def test_checks_find_damage_when_the_run_of_a_file_is_repeated(
    damage: str, check: str | None, instance: dg.DagsterInstance, workplace: Workplace
) -> None:
    job = workplace.claim(workplace.simulated(300))
    assert checks(score(instance, job)) == ALL_PASSED
    workplace.execute(damage)
    failed = {name for name, passed in checks(score(instance, job)).items() if not passed}
    assert failed == {check or "probabilities_in_range"}


def test_runs_of_a_job_can_be_found_by_its_tag(
    instance: dg.DagsterInstance, workplace: Workplace
) -> None:
    job = workplace.claim(workplace.simulated(10))
    run = score(instance, job)
    (found,) = instance.get_runs(dg.RunsFilter(tags={BATCH_JOB_TAG: str(job.id)}))
    assert found.run_id == run.run_id
    assert found.tags["fulfillment/file"] == "orders.csv"
    assert found.tags["dagster/partition"] == dt.datetime.now(dt.UTC).date().isoformat()
