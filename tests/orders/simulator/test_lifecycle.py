"""Successive events of an order tell one story, and end where the file of orders stands."""

from __future__ import annotations

import datetime
import itertools
from collections import Counter, defaultdict
from typing import Any

import pyarrow as pa
import pytest

from fulfillment_assets.orders.contract import FEATURES
from fulfillment_assets.orders.schema import ORDER_SCHEMA
from fulfillment_assets.orders.simulator import SimulationPlan, simulate
from fulfillment_assets.orders.simulator.lifecycle import MAX_EVENTS, Lifecycles, lifecycles
from fulfillment_assets.orders.validation import validate_batch

PLAN = SimulationPlan(100_000, seed=7, start=datetime.date(2026, 3, 1))
END = datetime.datetime(2026, 3, 31, tzinfo=datetime.UTC)
DATES = ("order_date", "ship_date", "delivery_date")
CONSTANT = {*FEATURES, "customer_id", "order_date", "promised_delivery_date", "carrier_name"} - {
    "customer_care_calls"
}

Event = dict[str, Any]


@pytest.fixture(scope="module")
def passage() -> Lifecycles:
    """The first 20,000 events of March 2026."""
    (found,) = lifecycles(PLAN, [20_000])
    return found


@pytest.fixture(scope="module")
def stories(passage: Lifecycles) -> list[list[Event]]:
    """The events of each order, in their order, with their times."""
    found: dict[str, list[Event]] = defaultdict(list)
    times = [datetime.datetime.fromtimestamp(t, datetime.UTC) for t in passage.event_time.tolist()]
    for event, time in zip(passage.events.to_pylist(), times, strict=True):
        found[event["order_id"]].append(event | {"time": time})
    return list(found.values())


def test_events_come_in_the_order_of_their_times(passage: Lifecycles) -> None:
    times = passage.event_time.tolist()
    assert passage.events.num_rows == len(times) == 20_000
    assert times == sorted(times)
    assert times[-1] <= END.timestamp()


def test_steps_number_the_events_of_each_order(passage: Lifecycles) -> None:
    seen: Counter[int] = Counter()
    for order, step in zip(passage.order.tolist(), passage.step.tolist(), strict=True):
        assert step == seen[order]
        seen[order] += 1
    ids = passage.truth["order_id"].take(pa.array(passage.order))
    assert ids.to_pylist() == passage.events["order_id"].to_pylist()
    assert len(seen) == passage.truth.num_rows


def test_a_life_goes_from_processing_to_delivery_or_cancellation(
    stories: list[list[Event]],
) -> None:
    lives = Counter(tuple(event["order_status"] for event in story) for story in stories)
    expected = {
        life[:length]
        for life in (
            ("processing", "shipped", "delivered"),
            ("processing", "shipped", "delayed", "delivered"),
            ("processing", "shipped", "delayed", "cancelled"),
            ("processing", "shipped", "cancelled"),
            ("processing", "cancelled"),
        )
        for length in range(1, len(life) + 1)
    }
    assert set(lives) <= expected
    complete = sum(n for life, n in lives.items() if life[-1] in ("delivered", "cancelled"))
    assert complete > 0.7 * len(stories)
    assert all(lives[life] for life in expected)


def test_an_event_knows_what_has_happened_and_nothing_else(stories: list[list[Event]]) -> None:
    for story in stories:
        for event in story:
            known = [event[name] for name in DATES if event[name] is not None]
            assert known == sorted(known)
            assert known[-1] <= event["time"]
            match event["order_status"]:
                case "processing":
                    assert known == [event["time"]]
                case "shipped":
                    assert event["ship_date"] == event["time"]
                case "delayed":
                    assert event["promised_delivery_date"] == event["time"]
                case "delivered":
                    assert event["delivery_date"] == event["time"]
            assert (event["delivery_date"] is not None) == (event["order_status"] == "delivered")


def test_what_an_order_is_stays_the_same(stories: list[list[Event]]) -> None:
    for story in stories:
        for event in story:
            assert {name: event[name] for name in CONSTANT} == {
                name: story[0][name] for name in CONSTANT
            }


def test_customers_call_once_more_when_their_order_is_overdue(stories: list[list[Event]]) -> None:
    grown = overdue = 0
    for story in stories:
        calls = [event["customer_care_calls"] for event in story]
        late = [event["order_status"] == "delayed" for event in story]
        overdue += any(late)
        grown += calls[-1] > calls[0]
        for (before, after), is_late in zip(itertools.pairwise(calls), late[1:], strict=True):
            assert after - before in ((0, 1) if is_late else (0,))
    assert grown == pytest.approx(overdue / 2, rel=0.1)


def test_money_moves_in_one_direction(stories: list[list[Event]]) -> None:
    moves = Counter(
        (before["payment_status"], after["payment_status"])
        for story in stories
        for before, after in itertools.pairwise(story)
    )
    assert {move for move in moves if move[0] != move[1]} == {
        ("pending", "paid"),
        ("paid", "refunded"),
    }


def test_the_last_event_is_the_order_as_a_file_has_it(passage: Lifecycles) -> None:
    (chunk,) = simulate(PLAN)
    orders = {order["order_id"]: order for order in chunk.orders.to_pylist()}
    last = {event["order_id"]: event for event in passage.events.to_pylist()}
    events = Counter(passage.events["order_id"].to_pylist())
    differing = {
        identifier
        for identifier, event in last.items()
        if {**event, "customer_care_calls": 0} != {**orders[identifier], "customer_care_calls": 0}
    }
    # Of the last order as many events are left out as were too many.
    assert len(differing) <= 4
    assert len(last) == len(orders.keys() & last.keys()) == passage.truth.num_rows
    assert sum(events.values()) == 20_000
    truth = chunk.truth.drop_columns("fault").slice(0, passage.truth.num_rows)
    assert passage.truth.combine_chunks() == truth.combine_chunks()


def test_each_passage_has_new_orders_and_its_own_draws() -> None:
    first, second, third = lifecycles(PLAN, [50, 1, 50])
    ids = [set(passage.truth["order_id"].to_pylist()) for passage in (first, second, third)]
    assert not ids[0] & ids[1] and not ids[1] & ids[2]
    numbers = sorted(int(name.rsplit("-", 1)[1]) for name in set.union(*ids))
    assert numbers == list(range(1, len(numbers) + 1))
    assert [passage.events.num_rows for passage in (first, second, third)] == [50, 1, 50]
    assert first.draws.uniform().tolist() != third.draws.uniform().tolist()


@pytest.mark.parametrize("days", [1, 30])
def test_a_passage_may_be_as_long_as_promised(days: int) -> None:
    plan = SimulationPlan(MAX_EVENTS, seed=3, start=PLAN.start, days=days)
    (passage,) = lifecycles(plan, [MAX_EVENTS])
    assert passage.events.num_rows == MAX_EVENTS


def test_events_obey_the_contract(passage: Lifecycles) -> None:
    texts = passage.events.cast(
        pa.schema([(name, pa.string()) for name in passage.events.column_names])
    )
    batch = validate_batch(texts, pa.array(range(1, 20_001)))
    assert batch.rejected == ()
    assert batch.orders.schema == ORDER_SCHEMA


def test_equal_plans_give_equal_events(passage: Lifecycles) -> None:
    (again,) = lifecycles(PLAN, [20_000])
    assert again.events == passage.events
    (other,) = lifecycles(SimulationPlan(PLAN.count, 8, PLAN.start), [20_000])
    assert other.events != passage.events
