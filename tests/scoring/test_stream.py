"""A range of messages becomes rows in every table, once, and the offset moves with them."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest

from fulfillment_assets.events import reader
from fulfillment_assets.events.messages import MAX_MESSAGE_BYTES
from fulfillment_assets.events.offsets import OffsetMismatchError, TopicReplacedError
from fulfillment_assets.events.ranges import Gap
from fulfillment_assets.events.reader import LogTruncatedError
from fulfillment_assets.orders.contract import FEATURES
from fulfillment_assets.scoring import stream_writer
from tests.events.messages import event
from tests.events.wire import delete_before, put, recreate, send
from tests.orders.test_json_reader import typed_order
from tests.scoring.streams import Stream, at, order_event, order_events
from tests.scoring.workplace import NOTHING

LATE = {"discount_offered": 60, "weight_in_gms": 1500}
OPEN = {"delivery_date": None, "order_status": "processing"}


def test_messages_become_predictions_and_the_offset_moves(stream: Stream) -> None:
    stream.send(*order_events(50))
    result = stream.score(0, 50)
    assert (result.predicted, result.dead_lettered, result.gaps) == (50, 0, ())
    assert result.messages == 50
    assert not result.already_committed
    assert stream.predicted() == [(0, number, f"O{number}") for number in range(50)]
    assert stream.position().next_offset == 50
    assert stream.workplace.counts()["orders"] == 50
    stream.assert_balanced()


def test_a_prediction_is_what_the_model_says_of_the_order_in_the_message(stream: Stream) -> None:
    headers = [("correlation-id", b"c-1"), ("event-time", b"2026-03-02T10:00:00Z")]
    sent = order_event("Ordre nº 1", *headers, note="ja, å", payment_status="in kind")
    before = dt.datetime.now(dt.UTC)
    send(stream.settings, stream.topic, [sent], 2, timestamp_ms=1_772_357_400_123)
    stream.score(0, 1, partition=2)
    (row,) = stream.workplace.rows("SELECT * FROM predictions")
    features: dict[str, Any] = {name: typed_order()[name] for name in FEATURES}
    expected = stream.workplace.scorer.score_one(features)
    assert row["delay_probability"] == expected.probability
    assert row["features_json"] == features
    assert (row["source"], row["topic"], row["partition"], row["offset"]) == (
        "streaming",
        stream.topic,
        2,
        0,
    )
    assert (row["batch_job_id"], row["row_number"]) == (None, None)
    assert row["order_id"] == "Ordre nº 1"
    assert row["correlation_id"] == "c-1"
    assert row["event_time"] == dt.datetime(2026, 3, 2, 10, tzinfo=dt.UTC)
    assert row["produced_at"] == dt.datetime.fromtimestamp(1_772_357_400.123, dt.UTC)
    assert before < row["created_at"] < dt.datetime.now(dt.UTC)
    assert row["extra"] == {"payment_status": "in kind", "note": "ja, å"}
    assert row["model_version"] == stream.workplace.scorer.version


def test_deviations_and_their_events_follow(stream: Stream) -> None:
    stream.send(order_event("O1", **LATE, **OPEN), order_event("O2"))
    stream.score(0, 2)
    (deviation,) = stream.workplace.rows("SELECT * FROM deviations")
    (announced,) = stream.workplace.rows("SELECT * FROM outbox")
    (prediction,) = stream.workplace.rows("SELECT * FROM predictions WHERE order_id = 'O1'")
    assert deviation["prediction_id"] == prediction["id"]
    assert (deviation["order_id"], deviation["kind"]) == ("O1", "delay_risk")
    assert announced["payload"]["deviation_id"] == str(deviation["id"])


def test_the_record_of_a_range_tells_who_committed_what_and_when(stream: Stream) -> None:
    send(stream.settings, stream.topic, order_events(3), timestamp_ms=1_772_357_400_000)
    send(stream.settings, stream.topic, [(b"k", b"?", ())], timestamp_ms=1_772_357_300_000)
    result = stream.score(0, 4, run_id="run-7", attempt=3)
    (batch,) = stream.workplace.rows("SELECT * FROM stream_batches")
    assert (batch["start_offset"], batch["end_offset"]) == (0, 4)
    assert (batch["messages"], batch["predicted"], batch["dead_lettered"]) == (4, 3, 1)
    assert (batch["run_id"], batch["attempt"]) == ("run-7", 3)
    assert batch["model_version"] == stream.workplace.scorer.version
    assert batch["oldest_message_at"].timestamp() == 1_772_357_300
    assert batch["newest_message_at"].timestamp() == 1_772_357_400
    assert 0 < batch["seconds"] <= result.seconds
    created = stream.workplace.value("SELECT max(created_at) FROM predictions")
    assert created < batch["committed_at"] < dt.datetime.now(dt.UTC)


def test_ranges_follow_one_another(stream: Stream) -> None:
    stream.send(*order_events(30))
    for start in range(0, 30, 10):
        stream.score(start, start + 10)
    assert stream.workplace.value("SELECT count(*) FROM stream_batches") == 3
    stream.assert_balanced()


def test_a_range_that_is_committed_already_is_left_alone(stream: Stream) -> None:
    stream.send(*order_events(20))
    stream.score(0, 20)
    before = stream.workplace.counts()
    for start, end in ((0, 20), (0, 5), (5, 20)):
        result = stream.score(start, end, attempt=2)
        assert result.already_committed
        assert (result.messages, result.gaps) == (0, ())
    assert stream.workplace.counts() == before
    stream.assert_balanced()


def test_of_a_range_that_is_partly_committed_the_rest_is_done(stream: Stream) -> None:
    stream.send(*order_events(30))
    stream.score(0, 10)
    result = stream.score(0, 30, attempt=2)
    assert (result.messages, result.already_committed) == (20, False)
    stream.assert_balanced()


def test_a_range_that_would_leave_something_out_is_refused(stream: Stream) -> None:
    stream.send(*order_events(30))
    with pytest.raises(OffsetMismatchError, match="stands at offset 0, and the messages between"):
        stream.score(10, 20)
    stream.score(0, 5)
    with pytest.raises(OffsetMismatchError, match=r"\[0\] 10-20 cannot be committed"):
        stream.score(10, 20)
    assert stream.position().next_offset == 5


def test_an_empty_range_does_nothing(stream: Stream) -> None:
    result = stream.score(0, 0)
    assert result.already_committed
    assert stream.workplace.counts() == NOTHING


def test_a_range_of_holes_alone_moves_the_offset(stream: Stream) -> None:
    put(stream.settings, stream.topic, [event()])
    delete_before(stream.settings, stream.topic, 1)
    result = stream.score(0, 1)
    assert result.gaps == (Gap(stream.topic, 0, 0, 0, "expired"),)
    assert (result.messages, result.already_committed) == (0, False)
    assert stream.position().next_offset == 1
    assert stream.workplace.counts() == NOTHING


def test_expired_messages_are_a_recorded_gap(stream: Stream) -> None:
    stream.send(*order_events(30))
    stream.score(0, 10)
    delete_before(stream.settings, stream.topic, 20)
    result = stream.score(10, 30)
    assert result.gaps == (Gap(stream.topic, 0, 10, 19, "expired"),)
    assert stream.gaps() == list(result.gaps)
    assert [offset for _, offset, _ in stream.predicted()] == [*range(10), *range(20, 30)]
    assert stream.position().messages == 20


def test_a_range_that_is_split_by_its_size_is_committed_as_a_whole(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "STRETCH_BYTES", 50_000)
    stream.send(*(order_event(f"O{n}", note="x" * 2_000) for n in range(100)))
    result = stream.score(0, 100)
    assert result.messages == 100
    assert stream.workplace.value("SELECT count(*) FROM stream_batches") > 2
    stream.assert_balanced()


def test_the_size_of_a_chunk_does_not_show_in_the_rows(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = [
        order_event(f"O{n % 40}", gender="?" if n % 7 == 0 else "F", customer_care_calls=n % 9)
        for n in range(120)
    ]
    for partition in (0, 1):
        stream.send(*events, partition=partition)
    stream.score(0, 120)
    whole = stream.workplace.rows("SELECT order_id, customer_care_calls FROM orders")
    monkeypatch.setattr(stream_writer, "CHUNK_MESSAGES", 3)
    stream.score(0, 120, partition=1)
    in_chunks = stream.workplace.rows("SELECT order_id, customer_care_calls FROM orders")
    key = str
    assert sorted(whole, key=key) == sorted(in_chunks, key=key)
    places: list[list[Any]] = [[], []]
    for partition, *place in stream.predicted():
        places[partition].append(place)
    assert places[0] == places[1]
    stream.assert_balanced()


@pytest.mark.parametrize(
    "poison",
    [None, b"", b"\xff\xfe", b"{" * 5_000, b"[]", event(gender="?"), event()[:-9]],
    ids=["tombstone", "empty", "not UTF-8", "nested", "no object", "broken rule", "torn"],
)
def test_a_poison_message_is_dead_lettered_alone_in_every_position(
    stream: Stream, poison: bytes | None
) -> None:
    for partition, place in enumerate((0, 10, 19)):
        events = order_events(20, first=20 * partition)
        events[place] = (b"poison", poison, ())
        stream.send(*events, partition=partition)
        result = stream.score(0, 20, partition)
        assert (result.predicted, result.dead_lettered) == (19, 1)
    assert [place[:2] for place in stream.dead()] == [(0, 0), (1, 10), (2, 19)]
    stream.assert_balanced()


def test_a_range_of_poison_alone_is_dead_lettered(stream: Stream) -> None:
    stream.send(*[(b"k", b"?", ())] * 20)
    result = stream.score(0, 20)
    assert (result.predicted, result.dead_lettered) == (0, 20)
    assert stream.workplace.counts() == NOTHING | {"rejected_records": 20, "outbox": 20}
    stream.assert_balanced()


def test_a_message_of_five_megabytes_is_dead_lettered(stream: Stream) -> None:
    events = order_events(3)
    events[1] = (b"large", event(note="x" * 5_000_000), ())
    stream.send(*events)
    result = stream.score(0, 3)
    assert (result.predicted, result.dead_lettered) == (2, 1)
    size = stream.workplace.value("SELECT length(message_value) FROM rejected_records")
    assert size > 5_000_000 > MAX_MESSAGE_BYTES
    stream.assert_balanced()


def test_of_several_events_of_an_order_the_last_in_time_is_its_state(stream: Stream) -> None:
    def event_at(hour: int, status: str) -> Any:
        header = ("event-time", at(hour).isoformat().encode())
        return order_event("O1", header, order_status=status, delivery_date=None)

    stream.send(event_at(9, "processing"), event_at(11, "delayed"), event_at(10, "shipped"))
    stream.score(0, 2)
    assert stream.workplace.value("SELECT order_status FROM orders") == "delayed"
    stream.score(2, 3)
    assert stream.workplace.value("SELECT order_status FROM orders") == "delayed"
    assert len(stream.predicted()) == 3
    assert stream.workplace.counted_orders() == 1
    stream.assert_balanced()


@pytest.mark.parametrize("together", [True, False], ids=["in one range", "in two"])
@pytest.mark.parametrize("chunk", [1, 100])
def test_of_events_with_one_time_the_later_offset_is_the_state(
    stream: Stream, monkeypatch: pytest.MonkeyPatch, together: bool, chunk: int
) -> None:
    monkeypatch.setattr(stream_writer, "CHUNK_MESSAGES", chunk)
    calls = [3, 9, 1, 7, 5]
    stream.send(*(order_event("O1", customer_care_calls=number) for number in calls))
    ranges = [(0, 5)] if together else [(0, 2), (2, 5)]
    for start, end in ranges:
        stream.score(start, end)
    assert stream.workplace.value("SELECT customer_care_calls FROM orders") == 5
    offset = stream.workplace.value(
        'SELECT "offset" FROM predictions p JOIN orders o ON o.prediction_id = p.id'
    )
    assert offset == 4
    stream.assert_balanced()


def test_a_producers_clock_ahead_does_not_win_for_ever(stream: Stream) -> None:
    ahead = (dt.datetime.now(dt.UTC) + dt.timedelta(hours=3)).isoformat().encode()
    stream.send(order_event("O1", ("event-time", ahead), order_status="delayed"))
    stream.score(0, 1)
    now = dt.datetime.now(dt.UTC).isoformat().encode()
    stream.send(order_event("O1", ("event-time", now), order_status="delivered"))
    stream.score(1, 2)
    assert stream.workplace.value("SELECT order_status FROM orders") == "delivered"
    far = (dt.datetime.now(dt.UTC) + dt.timedelta(days=2)).isoformat().encode()
    stream.send(order_event("O1", ("event-time", far), order_status="processing"))
    assert stream.score(2, 3).dead_lettered == 1
    stream.assert_balanced()


@pytest.mark.parametrize("milliseconds", [0, 1, 1_000_000_000_000])
def test_a_message_dated_long_ago_is_scored_today(stream: Stream, milliseconds: int) -> None:
    send(stream.settings, stream.topic, order_events(1), timestamp_ms=milliseconds)
    stream.score(0, 1)
    (row,) = stream.workplace.rows("SELECT created_at, produced_at FROM predictions")
    assert row["produced_at"].timestamp() == milliseconds / 1000
    assert dt.datetime.now(dt.UTC) - row["created_at"] < dt.timedelta(minutes=5)


def test_an_undated_order_is_dated_by_its_receipt(stream: Stream) -> None:
    order = typed_order(order_date=None, ship_date=None, delivery_date=None)
    put(stream.settings, stream.topic, [json.dumps(order).encode()])
    stream.score(0, 1)
    (row,) = stream.workplace.rows("SELECT created_at, event_time FROM predictions")
    assert row["event_time"] == row["created_at"]


def test_the_same_event_twice_is_two_predictions_and_one_order(stream: Stream) -> None:
    stream.send(*order_events(10), *order_events(10))
    stream.score(0, 20)
    assert stream.workplace.counts()["predictions"] == 20
    assert stream.workplace.counted_orders() == 10
    stream.assert_balanced()


def test_a_log_that_ends_before_the_range_commits_nothing(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "SILENCE_SECONDS", 1)
    stream.send(*order_events(10))
    with pytest.raises(LogTruncatedError, match="the log ends at offset 10"):
        stream.score(0, 20)
    assert stream.workplace.counts() == NOTHING
    assert stream.score(0, 10).messages == 10


def test_messages_of_a_topic_that_was_made_again_are_not_taken_for_the_old_ones(
    stream: Stream,
) -> None:
    stream.send(*order_events(5))
    stream.score(0, 5)
    recreate(stream.settings, stream.topic, partitions=3)
    stream.send(*order_events(10, first=100))
    with pytest.raises(TopicReplacedError, match="was deleted and made again"):
        stream.score(5, 10)
    assert len(stream.predicted()) == 5
