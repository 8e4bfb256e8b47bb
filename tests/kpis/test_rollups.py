from __future__ import annotations

import datetime as dt
from decimal import Decimal

import sqlalchemy as sa
from hypothesis import example, given, settings
from sqlalchemy.engine import Engine

from fulfillment_assets.kpis import rollups
from tests.kpis.examples import (
    DAY,
    HOUR,
    NOW,
    Batch,
    Event,
    NaivePlatform,
    commit,
    daily_rollups_of,
    histories,
    rollups_of,
    wipe,
    write,
)

BUCKET = NOW.replace(minute=0)
MINUTE = dt.timedelta(minutes=1)

RESCORED_IN_ITS_PLACE = [Batch((Event("O1", 0.9),)), Batch((Event("O1", 0.1),), NOW + HOUR)]
CHANGED_SEGMENT = [
    Batch((Event("O1", 0.9), Event("O2", 0.9))),
    Batch((Event("O1", 0.9, warehouse_block="F"),), NOW + HOUR),
]
CANCELLED_AND_BACK = [
    Batch((Event("O1", at=NOW - HOUR),)),
    Batch((Event("O1", order_status="cancelled", at=NOW),), NOW + HOUR),
    Batch((Event("O1", order_status="shipped"),), NOW + 2 * HOUR),
]
LATE_EVENT = [
    Batch((Event("O1", 0.9, at=NOW),), NOW + HOUR),
    Batch((Event("O1", 0.1, at=NOW - DAY),), NOW + DAY),
]
SCORED_OUT_OF_ORDER = [Batch((Event("O1", 0.9),), NOW + HOUR), Batch((Event("O1", 0.1),), NOW)]
SAME_EVENT_TIME = [
    Batch((Event("O2", at=NOW - DAY), Event("O1", 0.9, at=NOW - DAY)), NOW),
    Batch((Event("O1", 0.1, at=NOW - DAY),), NOW + HOUR),
]
TWICE_IN_ONE_BATCH = [Batch((Event("O1", 0.9), Event("O1", 0.4), Event("O1", 0.9, at=NOW - DAY)))]


def test_rollups_count_each_order_once_by_its_latest_prediction(engine: Engine) -> None:
    @settings(max_examples=30, deadline=None)
    @given(histories())
    @example(RESCORED_IN_ITS_PLACE)
    @example(CHANGED_SEGMENT)
    @example(CANCELLED_AND_BACK)
    @example(LATE_EVENT)
    @example(SCORED_OUT_OF_ORDER)
    @example(SAME_EVENT_TIME)
    @example(SAME_EVENT_TIME[::-1])
    @example(TWICE_IN_ONE_BATCH)
    def holds(history: list[Batch]) -> None:
        wipe(engine)
        naive = NaivePlatform()
        for batch in history:
            commit(engine, *batch.events, received_at=batch.received_at)
            naive.take(batch)
            with engine.connect() as connection:
                assert rollups_of(connection) == naive.rollups()
                assert daily_rollups_of(connection) == naive.daily_rollups()
                assert rollups.differences(connection) == 0

    holds()


def test_a_bucket_that_every_order_has_left_counts_nothing(engine: Engine) -> None:
    commit(engine, Event("O1", 0.9, order_status="shipped"))
    commit(engine, Event("O1", 0.9, order_status="shipped"), received_at=NOW + HOUR)
    with engine.connect() as connection:
        assert list(rollups_of(connection)) == [(BUCKET + HOUR, "A", "Ship", "low")]


def test_sums_of_probabilities_do_not_drift(engine: Engine) -> None:
    for step in range(20):
        commit(engine, Event("O1", 0.1 + step / 30), received_at=NOW + step * MINUTE)
    commit(engine, Event("O1", 0.123456), received_at=NOW + 20 * MINUTE)
    with engine.connect() as connection:
        [totals] = rollups_of(connection).values()
    assert totals[:2] == (1, Decimal("0.123456"))


def test_the_hours_are_those_of_utc_whatever_the_offset_of_the_event(engine: Engine) -> None:
    nepal = dt.timezone(dt.timedelta(hours=5, minutes=45))
    commit(engine, Event("O1", at=dt.datetime(2024, 3, 10, 1, 10, tzinfo=nepal)))
    with engine.connect() as connection:
        [(bucket, *_)] = rollups_of(connection)
    assert bucket == dt.datetime(2024, 3, 9, 19, 0, tzinfo=dt.UTC)


def test_the_days_are_those_of_utc_too(engine: Engine) -> None:
    nepal = dt.timezone(dt.timedelta(hours=5, minutes=45))
    commit(engine, Event("O1", at=dt.datetime(2024, 3, 10, 1, 10, tzinfo=nepal)))
    with engine.connect() as connection:
        [(day, *_)] = daily_rollups_of(connection)
    assert day == dt.date(2024, 3, 9)


def test_squares_of_probabilities_are_summed_exactly(engine: Engine) -> None:
    commit(engine, Event("O1", 0.1234567), Event("O2", 0.9), Event("O3", 0.3))
    commit(engine, Event("O3", 0.5), received_at=NOW + MINUTE)
    with engine.connect() as connection:
        [totals] = rollups_of(connection).values()
    assert totals[-1] == Decimal("0.015242") + Decimal("0.81") + Decimal("0.25")


def test_a_rebuild_repairs_what_was_found_to_differ(engine: Engine) -> None:
    commit(engine, Event("O1", 0.9), Event("O2", 0.4, warehouse_block="F"), Event("O1", 0.8))
    with engine.connect() as connection:
        right = rollups_of(connection), daily_rollups_of(connection)
    for damage in (
        "UPDATE kpi_rollups SET orders = orders + 1",
        "UPDATE kpi_rollups SET probability_sum = probability_sum + 0.000001",
        "UPDATE kpi_rollups SET probability_square_sum = probability_square_sum - 0.000001",
        "UPDATE kpi_rollups SET gap = gap + 1",
        "UPDATE kpi_rollups SET bucket = bucket + interval '1 hour'",
        "DELETE FROM kpi_rollups WHERE warehouse_block = 'A'",
        "TRUNCATE kpi_rollups",
        "UPDATE kpi_daily_rollups SET orders = orders + 1",
        "UPDATE kpi_daily_rollups SET day = day + 1",
        "DELETE FROM kpi_daily_rollups WHERE warehouse_block = 'F'",
        "TRUNCATE kpi_daily_rollups",
    ):
        with engine.begin() as connection:
            connection.execute(sa.text(damage))
            assert rollups.differences(connection) > 0, damage
        with engine.begin() as connection:
            assert rollups.rebuild(connection) == 2
        with engine.connect() as connection:
            assert (rollups_of(connection), daily_rollups_of(connection)) == right
            assert rollups.differences(connection) == 0


def test_orders_go_on_being_counted_after_a_rebuild(engine: Engine) -> None:
    naive = NaivePlatform()
    for batch in CHANGED_SEGMENT:
        commit(engine, *batch.events, received_at=batch.received_at)
        naive.take(batch)
        with engine.begin() as connection:
            rollups.rebuild(connection)
    with engine.connect() as connection:
        assert rollups_of(connection) == naive.rollups()


def test_a_rolled_back_batch_leaves_the_rollups_as_they_were(engine: Engine) -> None:
    commit(engine, Event("O1"))
    with engine.connect() as connection:
        before = rollups_of(connection), daily_rollups_of(connection)
    with engine.connect() as connection:
        write(connection, [Event("O1", warehouse_block="F"), Event("O2")], NOW + HOUR)
        assert rollups_of(connection) != before[0]
        assert daily_rollups_of(connection) != before[1]
        connection.rollback()
    with engine.connect() as connection:
        assert (rollups_of(connection), daily_rollups_of(connection)) == before
        assert rollups.differences(connection) == 0
