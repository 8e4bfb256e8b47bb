"""Ranges are read again, and dead letters judged again, without anything coming twice."""

from __future__ import annotations

import datetime as dt
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from fulfillment_assets.events import offsets
from fulfillment_assets.orders import json_reader
from fulfillment_assets.orders.rules import RuleBroken
from fulfillment_assets.scoring.stream_repair import (
    RepairResult,
    replay_range,
    retry_dead_letters,
)
from tests.events.messages import event
from tests.events.wire import put, recreate, send
from tests.orders.test_json_reader import typed_order
from tests.scoring.streams import Stream, order_event, order_events

UNDATED = {"order_date": None, "ship_date": None, "delivery_date": None}


def replay(stream: Stream, start: int, end: int) -> RepairResult:
    return replay_range(
        stream.engine, stream.settings, stream.workplace.scorer, stream.span(start, end)
    )


def retry(stream: Stream, *ids: int) -> RepairResult:
    known = stream.workplace.rows("SELECT id FROM rejected_records ORDER BY id")
    return retry_dead_letters(
        stream.engine, stream.workplace.scorer, ids or [row["id"] for row in known]
    )


def skip(stream: Stream, to: int) -> None:
    with stream.engine.begin() as connection:
        offsets.skip(connection, stream.topic, 0, to)


def test_a_replay_of_what_is_committed_changes_nothing(stream: Stream) -> None:
    stream.send(*order_events(20), (b"k", b"?", ()))
    stream.score(0, 21)
    before = stream.workplace.counts()
    assert replay(stream, 0, 21) == RepairResult(predicted=0, dead_lettered=0, known=21)
    assert stream.workplace.counts() == before
    stream.assert_balanced()


def test_a_replay_commits_what_was_skipped(stream: Stream) -> None:
    stream.send(*order_events(10), (b"k", b"?", ()), *order_events(10, first=10))
    stream.score(0, 5)
    skip(stream, 15)
    stream.score(15, 21)
    assert replay(stream, 0, 21) == RepairResult(predicted=9, dead_lettered=1, known=11)
    assert [offset for _, offset, _ in stream.predicted()] == [*range(10), *range(11, 21)]
    assert stream.position().next_offset == 21
    assert stream.position().messages == 21
    assert replay(stream, 0, 21).known == 21


def test_a_replayed_message_does_not_pass_for_news(stream: Stream) -> None:
    long_ago = int((dt.datetime.now(dt.UTC) - dt.timedelta(hours=2)).timestamp() * 1000)
    old = json.dumps(typed_order(**UNDATED, prior_purchases=1)).encode()
    new = json.dumps(typed_order(**UNDATED, prior_purchases=2)).encode()
    put(stream.settings, stream.topic, [old], timestamp_ms=long_ago)
    put(stream.settings, stream.topic, [new])
    skip(stream, 1)
    stream.score(1, 2)
    assert replay(stream, 0, 1).predicted == 1
    assert stream.workplace.value("SELECT prior_purchases FROM orders") == 2
    event_time = stream.workplace.value('SELECT event_time FROM predictions WHERE "offset" = 0')
    assert event_time.timestamp() == pytest.approx(long_ago / 1000)


def test_what_the_partition_has_not_passed_is_not_replayed(stream: Stream) -> None:
    stream.send(*order_events(10))
    stream.score(0, 5)
    with pytest.raises(ValueError, match="stands at offset 5, and reads what comes after"):
        replay(stream, 0, 10)
    assert len(stream.predicted()) == 5


def test_an_offset_of_a_topic_that_was_made_again_is_another_message(stream: Stream) -> None:
    stream.send(*order_events(3), (b"k", b"?", ()))
    stream.score(0, 4)
    recreate(stream.settings, stream.topic, partitions=3)
    stream.send(*order_events(3, first=10), (b"k", b"?", ()))
    stream.workplace.execute("UPDATE stream_offsets SET topic_id = NULL")
    assert replay(stream, 0, 4) == RepairResult(predicted=3, dead_lettered=1, known=0)
    assert len(stream.predicted()) == 6
    assert [offset for _, offset, _ in stream.dead()] == [3, 3]
    assert retry(stream) == RepairResult(predicted=0, dead_lettered=2, known=0)


@pytest.fixture
def mended(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> Stream:
    """A stream whose messages were refused by a rule that is mended now."""
    parse = json_reader.parse_object

    def too_strict(text: bytes) -> dict[str, object]:
        raise RuleBroken("must be something else")

    events = [order_event(f"O{n}", ("correlation-id", b"c-%d" % n)) for n in range(5)]
    send(stream.settings, stream.topic, [*events, (b"k", b"?", ())], timestamp_ms=10**12)
    with monkeypatch.context() as patch:
        patch.setattr("fulfillment_assets.events.messages.parse_object", too_strict)
        assert stream.score(0, 6).dead_lettered == 6
    assert json_reader.parse_object is parse
    return stream


def test_dead_letters_that_pass_now_become_predictions(mended: Stream) -> None:
    assert retry(mended) == RepairResult(predicted=5, dead_lettered=1, known=0)
    assert [offset for _, offset, _ in mended.dead()] == [5]
    rows = mended.workplace.rows('SELECT * FROM predictions ORDER BY "offset"')
    assert [(row["offset"], row["order_id"], row["correlation_id"]) for row in rows] == [
        (n, f"O{n}", f"c-{n}") for n in range(5)
    ]
    assert {row["produced_at"].timestamp() for row in rows} == {10**9}
    position = mended.position()
    assert (position.messages, position.predicted, position.dead_lettered) == (6, 5, 1)
    assert mended.workplace.rollup_differences() == 0


def test_a_retry_can_be_repeated(mended: Stream) -> None:
    ids = [row["id"] for row in mended.workplace.rows("SELECT id FROM rejected_records")]
    retry(mended)
    before = mended.workplace.counts()
    assert retry(mended, *ids) == RepairResult(predicted=0, dead_lettered=1, known=5)
    assert mended.workplace.counts() == before


def test_retries_that_meet_predict_once(mended: Stream) -> None:
    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(lambda _: retry(mended), range(3)))
    assert sum(result.predicted for result in results) == 5
    assert len(mended.predicted()) == 5


def test_only_the_dead_letters_of_the_stream_are_retried(mended: Stream) -> None:
    mended.workplace.score(mended.workplace.orders({"gender": "?"}))
    (of_file,) = mended.workplace.rows("SELECT id FROM rejected_records WHERE source = 'batch'")
    assert retry(mended, of_file["id"], 10**9) == RepairResult(0, 0, 2)


def test_dead_letters_of_several_partitions_are_retried(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_text: bytes) -> Any:
        raise RuleBroken("must be something else")

    with monkeypatch.context() as patch:
        patch.setattr("fulfillment_assets.events.messages.parse_object", refuse)
        for partition in range(3):
            put(stream.settings, stream.topic, [event(order_id=f"O{partition}")] * 2, partition)
            stream.score(0, 2, partition)
    assert retry(stream) == RepairResult(predicted=6, dead_lettered=0, known=0)
    assert stream.workplace.counted_orders() == 3
    assert stream.workplace.rollup_differences() == 0
