"""Messages of simulated orders: what is asked for comes out, and each can be told apart."""

from __future__ import annotations

import datetime as dt
import itertools
import json
from collections import Counter, defaultdict
from dataclasses import replace

import pytest

from fulfillment_assets.events.simulated import (
    MARKS,
    PASSAGE_SECONDS,
    Mark,
    Passage,
    Traffic,
    simulated_messages,
)
from fulfillment_assets.events.wire_faults import SimulatedMessage
from fulfillment_assets.orders.simulator.lifecycle import MAX_EVENTS, lifecycles
from tests.events.simulated import NOW, PLAN, decoded

TRAFFIC = Traffic(fault_share=0.05, duplicate_share=0.1, out_of_order_share=0.2)


def passages(
    traffic: Traffic = TRAFFIC, count: int | None = 5_000, rate: float | None = None
) -> list[Passage]:
    return list(simulated_messages(PLAN, traffic, count=count, rate=rate))


def marks(passage: Passage) -> list[Mark]:
    return [MARKS[code] for code in passage.marks.tolist()]


def correlation_id(message: SimulatedMessage) -> str:
    return dict(message.headers)["correlation-id"].decode()


@pytest.fixture(scope="module")
def passage() -> Passage:
    (found,) = passages()
    return found


def test_without_disturbances_the_events_are_sent_as_they_happened() -> None:
    (passage,) = passages(Traffic(), 500)
    (lives,) = lifecycles(PLAN, [500])
    assert marks(passage) == [Mark.SOUND] * 500
    for message, event in zip(passage.messages(), lives.events.to_pylist(), strict=True):
        assert message.key.decode() == event["order_id"]
        assert json.loads(message.value or b"") == {
            name: value.strftime("%Y-%m-%dT%H:%M:%SZ") if isinstance(value, dt.datetime) else value
            for name, value in event.items()
            if value is not None
        }


def test_the_stream_reads_an_event_as_it_was_simulated() -> None:
    (passage,) = passages(Traffic(), 500)
    (lives,) = lifecycles(PLAN, [500])
    found = decoded(passage.messages())
    assert found.rejected == ()
    for name in lives.events.column_names:
        assert found.orders[name].to_pylist() == lives.events[name].to_pylist()
    seconds = [int(time.timestamp()) for time in found.orders["event_time"].to_pylist()]
    assert seconds == lives.event_time.tolist()
    ids = found.orders["correlation_id"].to_pylist()
    assert len(set(ids)) == 500


@pytest.mark.parametrize("count", [1, 2, 99, 5_000, MAX_EVENTS + 1])
def test_as_many_messages_are_made_as_asked(count: int) -> None:
    found = passages(replace(TRAFFIC, fault_share=0.01), count)
    assert sum(map(len, found)) == count


def test_the_stream_rejects_the_faulty_messages_and_no_other(passage: Passage) -> None:
    found = decoded(passage.messages())
    rejected = {refused.message.offset for refused in found.rejected}
    assert rejected == {n for n, mark in enumerate(marks(passage)) if mark is Mark.FAULTY}
    assert found.orders.num_rows == 5_000 - len(rejected)


def test_each_disturbance_has_its_share(passage: Passage) -> None:
    counts = Counter(marks(passage))
    events = 5_000 / 1.1
    assert counts[Mark.OUT_OF_ORDER] == pytest.approx(0.2 * events, rel=0.1)
    again = 5_000 - len({correlation_id(message) for message in passage.messages()})
    assert again == round(5_000 - events)
    # Repetitions of faulty messages count as faulty.
    assert counts[Mark.DUPLICATE] == pytest.approx(again * 0.95, rel=0.05)
    assert counts[Mark.FAULTY] == pytest.approx(0.05 * 5_000, rel=0.2)


def test_a_repetition_is_the_same_message_again_a_little_later(passage: Passage) -> None:
    first: dict[str, tuple[int, SimulatedMessage]] = {}
    delays = []
    for turn, (message, mark) in enumerate(zip(passage.messages(), marks(passage), strict=True)):
        before = first.setdefault(correlation_id(message), (turn, message))
        if mark is Mark.DUPLICATE:
            assert before[1] == message
            delays.append(turn - before[0])
        elif mark is not Mark.FAULTY:
            assert before[0] == turn
    assert min(delays) >= 1
    assert max(delays) < 1_000
    assert len(set(delays)) > 100


def test_an_event_out_of_order_comes_after_the_next_one_of_its_order(passage: Passage) -> None:
    steps: dict[int, list[tuple[int, Mark]]] = defaultdict(list)
    for order, message, mark in zip(
        passage.orders.tolist(), passage.messages(), marks(passage), strict=True
    ):
        step = int(correlation_id(message).rsplit("-", 1)[1])
        if step not in {before for before, _ in steps[order]}:
            steps[order].append((step, mark))
    late = 0
    for sent in steps.values():
        seen: set[int] = set()
        for step, mark in sent:
            assert (step + 1 in seen) == (mark is Mark.OUT_OF_ORDER)
            seen.add(step)
            late += mark is Mark.OUT_OF_ORDER
    assert late > 500


def test_most_orders_can_be_out_of_order_and_every_message_faulty() -> None:
    (jumbled,) = passages(Traffic(out_of_order_share=1))
    assert 0.3 < marks(jumbled).count(Mark.OUT_OF_ORDER) / 5_000 < 0.5
    (broken,) = passages(Traffic(fault_share=1, duplicate_share=1, out_of_order_share=1), 200)
    assert set(marks(broken)) == {Mark.FAULTY}


@pytest.mark.parametrize("name", Traffic.__slots__)
def test_a_share_out_of_range_is_named(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be between 0 and 1, not 1.5"):
        Traffic(**{name: 1.5})


def test_equal_arguments_give_equal_messages(passage: Passage) -> None:
    (again,) = passages()
    assert list(again.messages()) == list(passage.messages())
    assert again.truth == passage.truth
    (other,) = simulated_messages(replace(PLAN, seed=8), TRAFFIC, count=5_000, rate=None)
    assert list(other.messages()) != list(passage.messages())


def test_a_part_of_the_messages_is_the_same_as_in_the_whole(passage: Passage) -> None:
    assert list(passage.messages(100, 110)) == list(passage.messages())[100:110]


def test_a_long_run_passes_the_period_several_times_with_new_orders() -> None:
    rate = 2.0
    found = passages(Traffic(), 1_500, rate)
    assert [len(passage) for passage in found] == [500] * 3
    assert rate * PASSAGE_SECONDS >= 500
    ids = [set(passage.truth["order_id"].to_pylist()) for passage in found]
    assert not ids[0] & ids[1] and not ids[1] & ids[2]
    for passage in found:
        days = sorted(dict(message.headers)["event-time"][:10] for message in passage.messages())
        assert days[0] <= b"2026-03-03" and days[-1] >= b"2026-03-28"


def test_without_a_count_messages_never_end() -> None:
    endless = simulated_messages(PLAN, TRAFFIC, count=None, rate=1.0)
    sizes = {len(passage) for passage in itertools.islice(endless, 20)}
    assert sizes == {PASSAGE_SECONDS}


def test_events_of_an_order_share_a_partition_even_when_their_key_is_wrong() -> None:
    (passage,) = passages(Traffic(fault_share=1), 1_000)
    hashes = defaultdict(set)
    for order, message in zip(passage.orders.tolist(), passage.messages(), strict=True):
        hashes[order].add(message.key_hash)
    assert {len(found) for found in hashes.values()} == {1}


def test_no_event_is_ahead_of_the_period(passage: Passage) -> None:
    times = [
        dict(message.headers)["event-time"].decode()
        for message, mark in zip(passage.messages(), marks(passage), strict=True)
        if mark is not Mark.FAULTY
    ]
    assert max(times) <= NOW.isoformat()
