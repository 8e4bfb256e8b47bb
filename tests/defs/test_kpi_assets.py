"""The daily snapshot of the KPIs in Dagster."""

from __future__ import annotations

import base64
import datetime as dt

import dagster as dg
import pytest

from fulfillment_assets.store.partitions import utc_today
from tests.defs.runs import evaluated, execute, failures, metadata, records
from tests.scoring.workplace import FIRST_DAY, Workplace


def snap(instance: dg.DagsterInstance, day: dt.date) -> dg.ExecuteInProcessResult:
    return execute(instance, "snapshot_kpis", partition_key=day.isoformat())


def test_a_day_is_kept_with_its_numbers_and_a_chart(
    instance: dg.DagsterInstance, workplace: Workplace
) -> None:
    workplace.score(workplace.simulated(500, seed=3))
    run = snap(instance, FIRST_DAY + dt.timedelta(days=30))
    assert run.success, failures(run)
    kept = metadata(run, "kpi_snapshot")
    (counted,) = workplace.rows(
        "SELECT count(*) AS n FROM orders WHERE order_status <> 'cancelled'"
    )
    assert kept["orders_in_window"] == counted["n"] > 400
    assert len(records(kept["by_warehouse_block"])) == 5
    encoded = kept["chart"].partition("base64,")[2].rstrip(")")
    assert base64.b64decode(encoded).startswith(b"\x89PNG")
    rows = workplace.rows("SELECT count(*) AS n FROM kpi_snapshots")
    assert rows == [{"n": kept["dagster/row_count"]}]


def test_a_day_taken_again_replaces_what_was_kept(
    instance: dg.DagsterInstance, workplace: Workplace
) -> None:
    first, again = (metadata(snap(instance, utc_today()), "kpi_snapshot") for _ in range(2))
    assert again == first
    rows = workplace.rows("SELECT count(*) AS n FROM kpi_snapshots")
    assert rows == [{"n": first["dagster/row_count"]}]


@pytest.mark.usefixtures("instance")
def test_every_night_the_day_before_is_kept() -> None:
    request = evaluated("snapshot_schedule", dt.datetime(2026, 11, 20, 0, 45, tzinfo=dt.UTC))
    assert isinstance(request, dg.RunRequest)
    assert request.partition_key == "2026-11-19"
