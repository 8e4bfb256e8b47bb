"""Watching the model in Dagster: a day's partition, its checks, and the schedules."""

from __future__ import annotations

import datetime as dt

import dagster as dg
import pytest

from fulfillment_assets.defs.delay_model.jobs import REASON_TAG
from fulfillment_assets.orders.simulator import SimulationPlan, write_csv
from fulfillment_assets.store.partitions import utc_today
from tests.defs.runs import checks, evaluated, execute, metadata, records
from tests.delay_model.registry import examples
from tests.scoring.workplace import FIRST_DAY, Workplace


def watch(instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    """Watch what was received today."""
    return execute(instance, "monitor_model", partition_key=utc_today().isoformat())


def test_a_day_of_orders_as_usual_is_green(
    instance: dg.DagsterInstance, workplace: Workplace
) -> None:
    workplace.score(workplace.simulated(2_000, seed=4))
    run = watch(instance)
    assert run.success
    assert checks(run) == {"as_good_as_validated": True, "like_the_training_orders": True}
    learned = metadata(run, "outcomes")
    assert 500 < learned["new"] == learned["known"] < 2_000
    quality = metadata(run, "model_quality")
    assert (quality["status"], quality["orders"]) == ("ok", learned["known"])
    assert 0.65 < quality["roc_auc"] < 0.85
    assert {row["segment"] for row in records(quality["segments"])} >= {
        "all orders",
        "mode_of_shipment Ship",
        "gender F",
    }
    drift = metadata(run, "data_drift")
    assert (drift["status"], drift["orders"]) == ("ok", 2_000)
    assert drift["greatest_psi"] < 0.1
    assert len(records(drift["features"])) == 10


def test_another_mix_of_orders_turns_drift_red_within_its_day(
    instance: dg.DagsterInstance, workplace: Workplace
) -> None:
    plan = SimulationPlan(1_000, 1, FIRST_DAY, days=14, late_share=0.9)
    workplace.score(write_csv(plan, workplace.outside / "orders.csv").out_path)
    run = watch(instance)
    verdicts = {found.check_name: found for found in run.get_asset_check_evaluations()}
    drift = verdicts["like_the_training_orders"]
    assert not drift.passed
    assert drift.severity is dg.AssetCheckSeverity.ERROR
    assert "discount_offered" in (drift.description or "")


def test_a_day_without_orders_is_no_error(
    instance: dg.DagsterInstance, workplace: Workplace
) -> None:
    run = watch(instance)
    assert run.success
    assert checks(run) == {"as_good_as_validated": True, "like_the_training_orders": True}
    assert metadata(run, "data_drift")["message"] == f"No order was received on {utc_today()}."


@pytest.mark.parametrize(
    ("tick", "day"),
    [("2026-11-20T00:17:00", "2026-11-19"), ("2026-11-20T01:17:00", "2026-11-20")],
)
def test_every_hour_is_watched_in_the_partition_of_its_day(
    tick: str, day: str, instance: dg.DagsterInstance
) -> None:
    request = evaluated("monitor_schedule", dt.datetime.fromisoformat(tick).replace(tzinfo=dt.UTC))
    assert isinstance(request, dg.RunRequest)
    assert request.partition_key == day


def test_nothing_is_trained_while_the_newest_model_is_young_and_fares_well(
    instance: dg.DagsterInstance, workplace: Workplace
) -> None:
    trained_last_week(workplace, days=6)
    assert "fares well" in str(evaluated("retrain_schedule", dt.datetime.now(dt.UTC)))


def test_after_a_week_it_trains_where_there_are_real_orders(
    instance: dg.DagsterInstance, workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained_last_week(workplace, days=8)
    now = dt.datetime.now(dt.UTC)
    monkeypatch.delenv("FULFILLMENT_TRAINING_FILE", raising=False)
    without = evaluated("retrain_schedule", now)
    assert "simulated orders are not trained on unless they are asked for" in str(without)

    monkeypatch.setenv("FULFILLMENT_TRAINING_FILE", str(workplace.orders({})))
    request = evaluated("retrain_schedule", now)
    assert isinstance(request, dg.RunRequest)
    assert "no model was trained on real orders for a week" in request.tags[REASON_TAG]


def trained_last_week(workplace: Workplace, days: int) -> None:
    """The shipped model is champion, and was trained so many days ago."""
    from fulfillment_assets.delay_model.registry.champion import ensure_champion

    ensure_champion(workplace.engine, workplace.settings.models_dir)
    examples.execute(
        workplace.engine,
        "UPDATE model_versions SET last_trained_at = now() - make_interval(days => :days)",
        days=days,
    )
