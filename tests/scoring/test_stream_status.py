"""The stream's balance: what Kafka's offsets say was produced, against what became of it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from fulfillment_assets.events import offsets
from fulfillment_assets.events.backlog import PartitionBacklog
from fulfillment_assets.events.gaps import record_gaps
from fulfillment_assets.events.ranges import Gap
from fulfillment_assets.scoring.stream_status import PartitionStatus, stream_status

NOW = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)
BACKLOG = PartitionBacklog("t", 0, next_offset=100, log_start=0, log_end=100, waits_since=None)


def partition(
    engine: Engine,
    *gaps: Gap,
    next_offset: int = 100,
    predicted: int = 100,
    dead_lettered: int = 0,
    backlog: PartitionBacklog = BACKLOG,
) -> PartitionStatus:
    """How partition 0 of topic `t` stands."""
    with engine.begin() as connection:
        offsets.register(connection, "t", [0, 1], None)
        connection.execute(
            sa.text("UPDATE stream_offsets SET next_offset = :next WHERE partition = 0"),
            {"next": next_offset},
        )
        offsets.credit(connection, "t", 0, predicted=predicted, dead_lettered=dead_lettered)
        record_gaps(connection, gaps)
        found = stream_status(connection, "t", [backlog])
    [one] = found.partitions
    return one


def balance(one: PartitionStatus) -> tuple[int, int, int, int]:
    return one.produced, one.passed_over, one.lag, one.missing


def test_what_waits_is_not_missing(engine: Engine) -> None:
    since = NOW - dt.timedelta(seconds=3)
    backlog = replace(BACKLOG, log_end=140, waits_since=since)
    one = partition(engine, predicted=90, dead_lettered=10, backlog=backlog)
    assert balance(one) == (140, 0, 40, 0)
    assert one.waits_since == since


def test_a_partition_that_moved_on_meanwhile_has_no_negative_lag(engine: Engine) -> None:
    one = partition(engine, next_offset=120, predicted=120)
    assert balance(one) == (120, 0, 0, 0)


def test_what_is_neither_scored_nor_in_a_gap_is_missing(engine: Engine) -> None:
    assert partition(engine, predicted=95, dead_lettered=3).missing == 2


def test_what_expired_before_anybody_looked_was_not_produced_for_us(engine: Engine) -> None:
    gap = Gap("t", 0, 0, 29, "expired")
    assert balance(partition(engine, gap, predicted=70)) == (70, 0, 0, 0)


def test_what_expired_or_was_skipped_later_is_passed_over(engine: Engine) -> None:
    gaps = (
        Gap("t", 0, 0, 9, "expired"),
        Gap("t", 0, 20, 29, "expired"),
        Gap("t", 0, 30, 34, "skipped"),
        Gap("t", 0, 40, 40, "unreadable"),
    )
    assert balance(partition(engine, *gaps, predicted=74)) == (90, 16, 0, 0)


def test_gaps_of_other_partitions_do_not_count(engine: Engine) -> None:
    assert balance(partition(engine, Gap("t", 1, 0, 9, "skipped"))) == (100, 0, 0, 0)


def test_a_log_that_lost_its_end_still_has_produced_what_was_read(engine: Engine) -> None:
    # 150 were read, then the log ended at 60 and grew to 100 again.
    gap = Gap("t", 0, 60, 149, "truncated")
    assert balance(partition(engine, gap, predicted=190)) == (190, 0, 0, 0)


def test_topics_before_this_one_count_as_far_as_they_were_read(engine: Engine) -> None:
    # Of the first topic 10 had expired and 70 were read; of the second 30; of this one 100.
    gaps = (
        Gap("t", 0, 0, 9, "expired"),
        Gap("t", 0, 80, None, "recreated"),
        Gap("t", 0, 30, None, "recreated"),
    )
    assert balance(partition(engine, *gaps, predicted=200)) == (200, 0, 0, 0)


def test_totals_and_the_last_commit_are_those_of_all_partitions(engine: Engine) -> None:
    first = replace(BACKLOG, log_end=110, waits_since=NOW - dt.timedelta(seconds=5))
    second = PartitionBacklog("t", 1, 0, 0, 7, NOW - dt.timedelta(seconds=9))
    partition(engine)
    backlogs: Sequence[PartitionBacklog] = [first, second]
    with engine.begin() as connection:
        connection.execute(
            sa.text("UPDATE stream_offsets SET updated_at = :at WHERE partition = 0"), {"at": NOW}
        )
        found = stream_status(connection, "t", backlogs)
    assert [found.total(name) for name in ("produced", "predicted", "lag")] == [117, 100, 17]
    assert found.oldest_age(NOW) == 9.0
    assert found.last_commit == NOW  # nothing was committed of partition 1
