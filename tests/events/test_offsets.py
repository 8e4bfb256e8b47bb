"""Positions move by compare-and-set, and what they pass over is recorded."""

from __future__ import annotations

import datetime as dt
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from fulfillment_assets.events import offsets
from fulfillment_assets.events.gaps import gaps_of
from fulfillment_assets.events.offsets import (
    Commit,
    OffsetMismatchError,
    PartitionBusyError,
    Position,
    TopicReplacedError,
)
from fulfillment_assets.events.ranges import Gap, StreamRange

NOW = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)
SECOND = dt.timedelta(seconds=1)
TOPIC_ID = uuid.UUID(int=1)


def a_commit(messages: int = 3, dead_lettered: int = 1, at: dt.datetime = NOW) -> Commit:
    return Commit(
        messages=messages,
        dead_lettered=dead_lettered,
        oldest_message_at=at - 2 * SECOND,
        newest_message_at=at - SECOND,
        received_at=at,
        model_version="m",
        run_id="run-1",
        attempt=2,
        seconds=0.5,
    )


def advance(engine: Engine, start: int, end: int, *gaps: Gap, commit: Commit | None = None) -> None:
    with engine.begin() as connection:
        offsets.lock(connection, "t", 0, TOPIC_ID)
        offsets.advance(
            connection, StreamRange("t", 0, start, end), TOPIC_ID, commit or a_commit(), gaps
        )


def position(engine: Engine) -> Position:
    with engine.connect() as connection:
        (found,) = offsets.positions(connection, "t")
        return found


def rows(engine: Engine, query: str) -> list[dict[str, Any]]:
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(sa.text(query)).mappings()]


def test_a_partition_is_taken_from_its_first_message_on(engine: Engine) -> None:
    with engine.begin() as connection:
        offsets.register(connection, "t", [2, 0, 1], TOPIC_ID)
        offsets.register(connection, "t", [1, 3], None)
        found = offsets.positions(connection, "t")
    assert [(p.partition, p.next_offset, p.topic_id) for p in found] == [
        (0, 0, TOPIC_ID),
        (1, 0, TOPIC_ID),
        (2, 0, TOPIC_ID),
        (3, 0, None),
    ]


def test_a_commit_moves_the_offset_counts_and_leaves_a_record(engine: Engine) -> None:
    advance(engine, 0, 3)
    advance(engine, 3, 10, commit=a_commit(messages=5, dead_lettered=0, at=NOW + SECOND))
    found = position(engine)
    assert (found.next_offset, found.topic_id, found.updated_at) == (10, TOPIC_ID, NOW + SECOND)
    assert (found.messages, found.predicted, found.dead_lettered) == (8, 7, 1)
    first, second = rows(engine, "SELECT * FROM stream_batches ORDER BY id")
    assert (first["start_offset"], first["end_offset"]) == (0, 3)
    assert (second["start_offset"], second["end_offset"]) == (3, 10)
    assert (first["messages"], first["predicted"], first["dead_lettered"]) == (3, 2, 1)
    assert (first["oldest_message_at"], first["newest_message_at"]) == (
        NOW - 2 * SECOND,
        NOW - SECOND,
    )
    assert (first["run_id"], first["attempt"], first["model_version"]) == ("run-1", 2, "m")
    assert first["seconds"] == 0.5
    assert dt.datetime.now(dt.UTC) - first["committed_at"] < 60 * SECOND


@pytest.mark.parametrize("start", [0, 2, 4, 100])
def test_a_range_that_does_not_begin_where_the_partition_stands_is_refused(
    engine: Engine, start: int
) -> None:
    advance(engine, 0, 3)
    with pytest.raises(OffsetMismatchError, match=rf"t\[0\] {start}-200 does not begin where"):
        advance(engine, start, 200)
    assert position(engine).next_offset == 3
    assert len(rows(engine, "SELECT * FROM stream_batches")) == 1


def test_gaps_are_kept_with_their_reason(engine: Engine) -> None:
    gaps = [Gap("t", 0, 0, 4, "expired"), Gap("t", 0, 6, 6, "unreadable")]
    advance(engine, 0, 10, *gaps)
    with engine.connect() as connection:
        assert gaps_of(connection, "t") == gaps
        assert gaps_of(connection, "other") == []
    assert [str(gap) for gap in gaps] == ["t[0] 0-4: expired", "t[0] 6-6: unreadable"]
    assert [gap.offsets for gap in gaps] == [5, 1]


def test_a_skip_is_a_gap(engine: Engine) -> None:
    advance(engine, 0, 3)
    with engine.begin() as connection:
        assert offsets.skip(connection, "t", 0, 10) == Gap("t", 0, 3, 9, "skipped")
    assert position(engine).next_offset == 10
    assert position(engine).topic_id == TOPIC_ID


@pytest.mark.parametrize("to", [0, 2, 3])
def test_there_is_no_skip_backwards(engine: Engine, to: int) -> None:
    advance(engine, 0, 3)
    with (
        pytest.raises(ValueError, match=r"t\[0\] stands at offset 3 already; there is nothing"),
        engine.begin() as connection,
    ):
        offsets.skip(connection, "t", 0, to)
    assert position(engine).next_offset == 3


def test_a_move_compares_with_where_the_partition_stood(engine: Engine) -> None:
    advance(engine, 0, 3)
    before = position(engine)
    gap = Gap("t", 0, 3, None, "recreated")
    with engine.begin() as connection:
        offsets.move(connection, before, 0, uuid.UUID(int=2), gap)
    assert (position(engine).next_offset, position(engine).topic_id) == (0, uuid.UUID(int=2))
    assert position(engine).messages == 3
    with (
        pytest.raises(OffsetMismatchError, match=r"t\[0\] has moved on from offset 3"),
        engine.begin() as connection,
    ):
        offsets.move(connection, before, 0, uuid.UUID(int=2), gap)
    with engine.connect() as connection:
        assert gaps_of(connection, "t") == [gap]


def test_counts_can_be_corrected_and_still_add_up(engine: Engine) -> None:
    advance(engine, 0, 3)
    with engine.begin() as connection:
        offsets.credit(connection, "t", 0, predicted=1, dead_lettered=-1)
    found = position(engine)
    assert (found.messages, found.predicted, found.dead_lettered) == (3, 3, 0)


def test_a_lock_waits_for_the_one_who_has_it(engine: Engine) -> None:
    with engine.begin() as connection:
        offsets.register(connection, "t", [0], TOPIC_ID)
    held, order = threading.Event(), []

    def hold(connection: Connection) -> None:
        offsets.lock(connection, "t", 0, TOPIC_ID)
        held.set()

    def second() -> None:
        held.wait()
        with engine.begin() as connection:
            found = offsets.lock(connection, "t", 0, TOPIC_ID)
            order.append(found.next_offset)

    with ThreadPoolExecutor(1) as pool:
        with engine.begin() as connection:
            hold(connection)
            waiting = pool.submit(second)
            offsets.advance(connection, StreamRange("t", 0, 0, 3), TOPIC_ID, a_commit(), [])
            order.append(-1)
        waiting.result()
    assert order == [-1, 3], "the second saw what the first had committed"


@pytest.mark.parametrize("known", [True, False])
def test_a_lock_that_is_held_for_too_long_is_busy(engine: Engine, known: bool) -> None:
    if known:
        with engine.begin() as connection:
            offsets.register(connection, "t", [0], TOPIC_ID)
    with engine.begin() as holder, engine.begin() as other:
        offsets.lock(holder, "t", 0, TOPIC_ID)
        offsets.lock(other, "t", 1, TOPIC_ID)
        with pytest.raises(PartitionBusyError, match=r"still committing t\[0\]; try again"):
            offsets.lock(other, "t", 0, TOPIC_ID, seconds=1)


def test_the_offset_of_another_topic_of_that_name_is_refused(engine: Engine) -> None:
    advance(engine, 0, 3)
    with engine.begin() as connection:
        assert offsets.lock(connection, "t", 0, None).next_offset == 3
        with pytest.raises(TopicReplacedError, match="topic t was deleted and made again"):
            offsets.lock(connection, "t", 0, uuid.UUID(int=2))


def test_a_topic_whose_identity_was_not_known_gets_it_with_the_next_commit(
    engine: Engine,
) -> None:
    with engine.begin() as connection:
        offsets.register(connection, "t", [0], None)
    advance(engine, 0, 3)
    assert position(engine).topic_id == TOPIC_ID


def test_receipts_ascend_even_where_the_clock_was_set_back(engine: Engine) -> None:
    advance(engine, 0, 3)
    found = position(engine)
    assert found.receipt(NOW + SECOND) == NOW + SECOND
    assert found.receipt(NOW) > NOW
    assert NOW < found.receipt(NOW - 3600 * SECOND) < NOW + SECOND


def test_old_records_are_forgotten_positions_and_gaps_are_not(engine: Engine) -> None:
    advance(engine, 0, 3, Gap("t", 0, 0, 1, "expired"))
    advance(engine, 3, 6)
    with engine.begin() as connection:
        connection.execute(
            sa.text("UPDATE stream_batches SET committed_at = :now WHERE end_offset = 3"),
            {"now": NOW - 100 * 24 * 3600 * SECOND},
        )
        offsets.forget_before(connection, NOW - 90 * 24 * 3600 * SECOND)
    assert [row["end_offset"] for row in rows(engine, "SELECT * FROM stream_batches")] == [6]
    assert position(engine).next_offset == 6
    assert len(rows(engine, "SELECT * FROM stream_gaps")) == 1


def test_two_who_commit_the_same_range_are_one(engine: Engine) -> None:
    def attempt(_: int) -> bool:
        try:
            advance(engine, 0, 3)
        except OffsetMismatchError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(attempt, range(4))) == [False, False, False, True]
    assert position(engine).messages == 3
