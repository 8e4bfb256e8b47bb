"""Segments are judged in the transaction of a batch, from the batch's own orders and settings."""

from __future__ import annotations

import datetime as dt
import threading
from typing import Any

import pytest
from sqlalchemy.engine import Engine

from fulfillment_assets.store.settings_table import write_setting
from tests.deviations.examples import rows
from tests.deviations.traffic import HOUR, segment_deviations
from tests.kpis.examples import Event, commit

SHIFTED: dict[str, Any] = {"warehouse_block": "F", "mode_of_shipment": "Road"}


@pytest.fixture
def hour() -> dt.datetime:
    """The hour that runs; a test must not begin in its last seconds."""
    now = dt.datetime.now(dt.UTC)
    return now.replace(minute=0, second=0, microsecond=0)


def orders(
    start: dt.datetime, count: int, probability: float = 0.4, *, name: str = "O", **segment: Any
) -> list[Event]:
    """Orders of an hour, half of them as risky as given and half of them safe."""
    return [
        Event(
            f"{name}-{start:%d%H}-{number}",
            probability if number % 2 else 0.2,
            at=start,
            **segment,
        )
        for number in range(count)
    ]


def usual_orders(start: dt.datetime, count: int) -> list[Event]:
    """So many orders of each other segment."""
    return [
        event
        for warehouse, mode in (("A", "Ship"), ("A", "Road"), ("F", "Ship"))
        for event in orders(
            start, count, name=warehouse + mode, warehouse_block=warehouse, mode_of_shipment=mode
        )
    ]


def usual_days(engine: Engine, hour: dt.datetime) -> None:
    """Thirty hours of usual orders, in one batch."""
    events = []
    for back in range(1, 31):
        start = hour - back * HOUR
        events += orders(start, 40, name="F", **SHIFTED) + usual_orders(start, 20)
    commit(engine, *events, received_at=dt.datetime.now(dt.UTC))


def test_a_batch_opens_the_deviation_of_its_segment_with_its_riskiest_open_orders(
    engine: Engine, hour: dt.datetime
) -> None:
    usual_days(engine, hour)
    assert segment_deviations(engine) == []
    usual = usual_orders(hour, 20)
    shifted = orders(hour, 200, 0.49, name="F", **SHIFTED)
    done = [Event("done", 0.99, at=hour, order_status="delivered", **SHIFTED)]
    top = [Event(f"top-{n}", 0.9 + n / 100, at=hour, **SHIFTED) for n in range(9)]
    commit(engine, *usual, *shifted, *done, *top, received_at=dt.datetime.now(dt.UTC))
    [found] = segment_deviations(engine)
    assert found == ("segment_risk", "F/Road/*", "warning", "pending")
    [row] = rows(engine, "SELECT context FROM deviations WHERE segment_key IS NOT NULL")
    risky = row["context"]["riskiest_orders"]
    assert [order["order_id"] for order in risky[:9]] == [f"top-{n}" for n in reversed(range(9))]
    assert len(risky) == 10
    assert risky[0]["delay_probability"] == pytest.approx(0.98)
    delivered = [Event("top-8", 0.98, order_status="delivered", **SHIFTED)]
    commit(engine, *delivered, received_at=dt.datetime.now(dt.UTC))
    [row] = rows(engine, "SELECT context FROM deviations WHERE segment_key IS NOT NULL")
    assert "top-8" not in {order["order_id"] for order in row["context"]["riskiest_orders"]}


def test_a_file_of_last_months_orders_raises_no_alarm(engine: Engine, hour: dt.datetime) -> None:
    month_ago = hour - dt.timedelta(days=30)
    usual_days(engine, month_ago)
    risky = orders(month_ago, 400, 0.99, name="F", **SHIFTED)
    commit(engine, *risky, received_at=dt.datetime.now(dt.UTC))
    assert segment_deviations(engine) == []
    assert rows(engine, "SELECT count(*) AS n FROM segment_baselines") == [{"n": 0}]


def test_a_changed_target_holds_from_the_next_batch_on(engine: Engine, hour: dt.datetime) -> None:
    now = dt.datetime.now(dt.UTC)
    commit(engine, *orders(hour, 200, 0.9), received_at=now)  # half of them on time
    assert [key for _, key, _, _ in segment_deviations(engine)] == []
    with engine.begin() as connection:
        write_setting(connection, "on_time_rate_target", 0.9, changed_by="test")
    assert segment_deviations(engine) == []
    commit(engine, Event("one more", 0.2), received_at=now)
    found = segment_deviations(engine)
    assert {kind for kind, _, _, _ in found} == {"on_time_rate"}
    assert {key for _, key, _, _ in found} == {"*/*/*", "A/*/*", "*/Ship/*", "*/*/low"}


def test_writers_at_once_open_one_deviation_for_a_segment(
    engine: Engine, hour: dt.datetime
) -> None:
    with engine.begin() as connection:
        write_setting(connection, "on_time_rate_target", 0.9, changed_by="test")
    now = dt.datetime.now(dt.UTC)
    start = threading.Barrier(4)

    def write(writer: int) -> None:
        start.wait()
        for batch in range(3):
            name = f"W{writer}-{batch}"
            commit(engine, *orders(hour, 40, 0.9, name=name), received_at=now)

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    found = [key for _, key, _, _ in segment_deviations(engine)]
    assert sorted(found) == ["*/*/*", "*/*/low", "*/Ship/*", "A/*/*"]
    [row] = rows(engine, "SELECT context FROM deviations WHERE segment_key = '*/*/*'")
    assert row["context"]["orders"] == 480
