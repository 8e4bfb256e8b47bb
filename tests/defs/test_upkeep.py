"""Daily upkeep: partitions ahead of time, and within retention."""

from __future__ import annotations

import datetime as dt

import dagster as dg
import pytest

from fulfillment_assets.store.partitions import (
    DAYS_AHEAD,
    ensure_partition,
    existing_days,
    partition_name,
    utc_today,
)
from tests.defs.runs import execute
from tests.scoring.workplace import Workplace


def test_upkeep_makes_the_coming_days_and_drops_those_past_retention(
    instance: dg.DagsterInstance, workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FULFILLMENT_RETENTION_DAYS", "5")
    today = utc_today()
    last = today + dt.timedelta(days=DAYS_AHEAD)
    workplace.execute(f"DROP TABLE {partition_name(last)}")
    with workplace.engine.begin() as connection:
        for days_ago in (5, 6, 40):
            ensure_partition(connection, today - dt.timedelta(days=days_ago))
    assert execute(instance, "upkeep").success
    with workplace.engine.connect() as connection:
        days = existing_days(connection)
    assert days[0] == today - dt.timedelta(days=5)
    assert days[-1] == last
