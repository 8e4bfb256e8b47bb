"""The KPIs of a day's end, kept for the history beyond the window."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from fulfillment_assets.kpis.reads import read_kpis
from fulfillment_assets.kpis.snapshots import Snapshot, read_snapshots, take_snapshot
from fulfillment_assets.scoring.retention import apply_retention
from fulfillment_assets.store.settings_table import write_setting
from tests.kpis.examples import DAY, HOUR, NOW, Event, commit
from tests.kpis.known import know

TODAY = NOW.date()
END = NOW.replace(hour=0, minute=0) + DAY
ALL_ROWS = 1 + 3 + 3 + 1
"""Of one segment: overall, by each dimension, by each pair, by all three."""


def take(engine: Engine, day: dt.date = TODAY) -> int:
    with engine.begin() as connection:
        return take_snapshot(connection, day)


def read(engine: Engine, *by: str, days: int = 0, until: dt.date = TODAY) -> list[Snapshot]:
    with engine.connect() as connection:
        return read_snapshots(connection, until - days * DAY, until, by=by)


def test_a_snapshot_keeps_every_breakdown_as_it_is_read(engine: Engine) -> None:
    commit(
        engine,
        Event("O1", 0.9, order_status="shipped"),
        Event("O2", 0.4, warehouse_block="F", mode_of_shipment="Road"),
        Event("O3", 0.2, warehouse_block="F", product_importance="high"),
    )
    with engine.begin() as connection:
        know(connection, late=True, probability=0.3, block="F")
    assert take(engine) == 1 + (2 + 2 + 2) + (3 + 3 + 3) + 4
    just_before = END - dt.timedelta(microseconds=1)
    for by in ([], ["warehouse"], ["mode", "importance"], ["warehouse", "mode", "importance"]):
        with engine.connect() as connection:
            now = read_kpis(connection, by=by, until=just_before)
        assert [snapshot.kpis for snapshot in read(engine, *by)] == now


def test_its_window_is_so_many_days_and_ends_with_the_day(engine: Engine) -> None:
    first = END - 30 * DAY
    instant = dt.timedelta(microseconds=1)
    moments = (first - instant, first, END - instant, END)
    commit(engine, *(Event(str(at), at=at) for at in moments), received_at=END + HOUR)
    take(engine)
    [snapshot] = read(engine)
    assert snapshot.kpis.orders == 2
    assert (snapshot.day, snapshot.window_start, snapshot.as_of) == (TODAY, first, END)


def test_it_stays_what_it_was(engine: Engine) -> None:
    commit(engine, Event("O1", 0.9))
    take(engine)
    commit(engine, Event("O1", 0.1), received_at=NOW + 3 * DAY)
    take(engine, TODAY + 3 * DAY)
    found = read(engine, days=3, until=TODAY + 3 * DAY)
    assert [(one.day - TODAY, one.kpis.mean_probability) for one in found] == [
        (0 * DAY, 0.9),
        (3 * DAY, 0.1),
    ]


def test_taken_again_it_replaces_what_was_kept_of_the_day(engine: Engine) -> None:
    commit(engine, Event("O1", warehouse_block="B"))
    assert take(engine) == take(engine) == ALL_ROWS
    commit(engine, Event("O1", warehouse_block="C"), received_at=NOW + HOUR)
    assert take(engine) == ALL_ROWS
    [snapshot] = read(engine, "warehouse")
    assert snapshot.kpis.segment == {"warehouse_block": "C"}
    with engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM kpi_snapshots")) == ALL_ROWS


def test_a_day_without_orders_is_kept_too(engine: Engine) -> None:
    assert take(engine) == 1
    [snapshot] = read(engine)
    assert (snapshot.kpis.orders, snapshot.kpis.on_time_rate) == (0, None)


def test_the_windows_length_is_a_setting(engine: Engine) -> None:
    commit(engine, Event("new"), Event("old", at=NOW - DAY))
    with engine.begin() as connection:
        write_setting(connection, "kpi_window_days", 1, changed_by="test")
    take(engine)
    [snapshot] = read(engine)
    assert snapshot.kpis.orders == 1


def test_days_that_were_dropped_leave_no_snapshot(engine: Engine) -> None:
    apply_retention(engine, 10, today=TODAY)
    with pytest.raises(ValueError, match=r"before 2024-02-29 were dropped, so the KPIs of 2024-02"):
        take(engine, TODAY - 11 * DAY)
    assert take(engine, TODAY - 10 * DAY) == 1


def test_a_snapshot_is_not_replaced_by_one_of_fewer_orders(engine: Engine) -> None:
    commit(engine, Event("O1", at=NOW - 20 * DAY))
    take(engine)
    apply_retention(engine, 10, today=TODAY)
    with pytest.raises(ValueError, match="the snapshot that was taken of it stays"):
        take(engine)
    [snapshot] = read(engine)
    assert snapshot.kpis.orders == 1
