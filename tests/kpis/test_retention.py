"""What retention does to the KPIs: dropped days are no longer counted, the others still are."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from fulfillment_assets.kpis import rollups
from fulfillment_assets.scoring.rescore import rescore_day
from fulfillment_assets.scoring.retention import apply_retention
from fulfillment_assets.store.partitions import existing_days, partition_name
from tests.kpis.examples import (
    DAY,
    NOW,
    Event,
    commit,
    committed_scorer,
    daily_rollups_of,
    rollups_of,
    write,
)

TODAY = NOW.date()
KEPT_DAYS = 10
FIRST_KEPT = NOW.replace(hour=0, minute=0) - KEPT_DAYS * DAY


def retain(engine: Engine) -> list[str]:
    return apply_retention(engine, KEPT_DAYS, today=TODAY)


def counted(engine: Engine) -> int:
    with engine.connect() as connection:
        assert rollups.differences(connection) == 0
        hourly, daily = rollups_of(connection), daily_rollups_of(connection)
    orders = sum(totals[0] for totals in hourly.values())
    assert orders == sum(totals[0] for totals in daily.values())
    return orders


def test_orders_of_dropped_days_are_no_longer_counted(engine: Engine) -> None:
    last_dropped = FIRST_KEPT - dt.timedelta(microseconds=1)
    commit(engine, Event("old"), received_at=last_dropped)
    commit(engine, Event("kept"), received_at=FIRST_KEPT)
    commit(engine, Event("new"), received_at=NOW)
    assert retain(engine) == [partition_name(last_dropped.date())]
    assert counted(engine) == 2
    with engine.connect() as connection:
        assert min(rollups_of(connection))[0] == FIRST_KEPT


def test_history_is_forgotten_by_whole_days_only(engine: Engine) -> None:
    with engine.begin() as connection, pytest.raises(ValueError, match="whole UTC days"):
        rollups.forget_before(connection, NOW)


def test_retention_is_idempotent(engine: Engine) -> None:
    commit(engine, Event("old"), received_at=NOW - 20 * DAY)
    commit(engine, Event("new"), received_at=NOW)
    assert len(retain(engine)) == 1
    assert retain(engine) == []
    assert counted(engine) == 1


def test_an_event_that_is_older_than_the_kept_days_is_not_counted(engine: Engine) -> None:
    retain(engine)
    commit(engine, Event("late", at=NOW - 20 * DAY), Event("new"))
    assert counted(engine) == 1


def test_a_new_event_of_an_order_whose_predictions_were_dropped_counts_once(
    engine: Engine,
) -> None:
    commit(engine, Event("O1", 0.9), received_at=NOW - 20 * DAY)
    retain(engine)
    assert counted(engine) == 0
    commit(engine, Event("O1", 0.4), received_at=NOW)
    assert counted(engine) == 1


def test_a_late_event_of_an_order_whose_predictions_were_dropped_is_not_counted(
    engine: Engine,
) -> None:
    commit(engine, Event("O1", 0.9), received_at=NOW - 20 * DAY)
    retain(engine)
    commit(engine, Event("O1", 0.4, at=NOW - 30 * DAY), received_at=NOW)
    assert counted(engine) == 0


def test_a_kept_day_can_be_rescored(engine: Engine) -> None:
    received_at = FIRST_KEPT + DAY
    commit(engine, Event("O1", at=NOW - 20 * DAY), Event("O2"), received_at=received_at)
    retain(engine)
    assert counted(engine) == 1
    result = rescore_day(engine, committed_scorer(), received_at.date())
    assert result.predictions == 2
    assert counted(engine) == 1


def test_a_rebuild_after_retention_counts_only_kept_days(engine: Engine) -> None:
    commit(engine, Event("old", at=NOW - 20 * DAY), Event("new"), received_at=NOW)
    retain(engine)
    with engine.begin() as connection:
        rollups.rebuild(connection)
    assert counted(engine) == 1


def test_keeping_more_days_from_now_on_does_not_count_dropped_ones_again(engine: Engine) -> None:
    retain(engine)
    apply_retention(engine, 365, today=TODAY)
    commit(engine, Event("O1", at=NOW - 20 * DAY), received_at=NOW)
    assert counted(engine) == 0


def test_retention_waits_for_a_writer_that_still_counts_what_it_forgets(engine: Engine) -> None:
    commit(engine, Event("new"))
    with ThreadPoolExecutor(1) as pool, engine.connect() as writer:
        write(writer, [Event("old", at=NOW - 20 * DAY)])
        retention = pool.submit(retain, engine)
        _wait_until_blocked(engine, retention)
        writer.commit()
        retention.result()
    assert counted(engine) == 1


def test_a_writer_that_waited_for_retention_no_longer_counts_what_it_forgot(
    engine: Engine,
) -> None:
    commit(engine, Event("new"))
    with ThreadPoolExecutor(1) as pool, engine.connect() as retention:
        rollups.forget_before(retention, FIRST_KEPT)
        writer = pool.submit(commit, engine, Event("old", at=NOW - 20 * DAY))
        _wait_until_blocked(engine, writer)
        retention.commit()
        writer.result()
    assert counted(engine) == 1


def test_the_partitions_of_kept_days_stay(engine: Engine) -> None:
    for days in (9, 10, 11):
        commit(engine, Event("O1"), received_at=NOW - days * DAY)
    retain(engine)
    with engine.connect() as connection:
        assert [day for day in existing_days(connection) if day <= TODAY] == [
            TODAY - dt.timedelta(days=10),
            TODAY - dt.timedelta(days=9),
        ]


def _wait_until_blocked(engine: Engine, session: Future[Any]) -> None:
    """Return once the other session waits for a lock; fail if it ends without."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        while not connection.scalar(
            sa.text(
                "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
                "AND datname = current_database())"
            )
        ):
            assert not session.done(), "it did not wait"
            connection.execute(sa.text("SELECT pg_sleep(0.02)"))
