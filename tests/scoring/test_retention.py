"""Old predictions are dropped by the day, and the KPIs stop counting them first."""

from __future__ import annotations

import datetime as dt

from fulfillment_assets.scoring.retention import apply_retention
from fulfillment_assets.store.partitions import ensure_partition, partition_name
from tests.scoring.workplace import LATE, OPEN, Workplace

NOW = dt.datetime.now(dt.UTC)


def received(workplace: Workplace, order_id: str, days_ago: int) -> None:
    """An order that was placed and received so many days ago."""
    when = NOW - dt.timedelta(days=days_ago)
    dates = dict.fromkeys(("order_date", "promised_delivery_date", "ship_date"), "")
    with workplace.engine.begin() as connection:
        ensure_partition(connection, when.date())
    path = workplace.orders({"order_id": order_id} | dates | OPEN | LATE, name=f"{order_id}.csv")
    workplace.score(path, received=when)


def test_partitions_past_their_days_are_dropped_and_no_longer_counted(
    workplace: Workplace,
) -> None:
    for order_id, days_ago in (("old", 6), ("kept", 5), ("new", 0)):
        received(workplace, order_id, days_ago)
    assert workplace.counted_orders() == 3
    dropped = apply_retention(workplace.engine, 5)
    assert dropped == [partition_name((NOW - dt.timedelta(days=6)).date())]
    assert workplace.rows("SELECT order_id FROM predictions ORDER BY created_at") == [
        {"order_id": "kept"},
        {"order_id": "new"},
    ]
    assert workplace.counted_orders() == 2
    assert workplace.rollup_differences() == 0


def test_events_and_rejected_rows_go_with_their_day_and_the_record_of_the_file_stays(
    workplace: Workplace,
) -> None:
    path = workplace.orders({"gender": "?"}, name="old.csv")
    workplace.score(path, received=NOW - dt.timedelta(days=6))
    workplace.score(workplace.orders({"gender": "!"}, OPEN | LATE, name="new.csv"))
    workplace.execute(
        "INSERT INTO outbox (event_id, topic, key, payload, created_at) "
        "VALUES (uuidv7(), 'deviation-events', 'old', '{}', now() - interval '6 days')"
    )
    apply_retention(workplace.engine, 5)
    assert workplace.value("SELECT count(*) FROM rejected_records") == 1
    assert workplace.rows("SELECT DISTINCT key FROM outbox") == [{"key": "ORD-000017"}]
    assert workplace.counts()["deviations"] == 1
    assert workplace.value("SELECT count(*) FROM batch_jobs") == 2


def test_applying_retention_again_drops_nothing_more(workplace: Workplace) -> None:
    received(workplace, "old", 6)
    assert len(apply_retention(workplace.engine, 5)) == 1
    assert apply_retention(workplace.engine, 5) == []
    assert apply_retention(workplace.engine, 90) == [], "longer retention brings nothing back"
    assert workplace.rollup_differences() == 0


def test_what_arrives_late_about_forgotten_days_is_not_counted(workplace: Workplace) -> None:
    apply_retention(workplace.engine, 5)
    old = (NOW - dt.timedelta(days=30)).isoformat()
    dates = {"order_date": old, "promised_delivery_date": "", "ship_date": ""}
    workplace.score(workplace.orders(dates | OPEN | LATE))
    assert workplace.counts()["orders"] == 1
    assert workplace.counted_orders() == 0
    assert workplace.rollup_differences() == 0
