"""The lives of orders: each a row of events, from its placing to its delivery or cancellation.

    processing → shipped → (delayed) → delivered, or cancelled on the way

An event is the whole order as it is known at that moment. What the model reads of an order stays
the same, but for the calls of a customer whose order is overdue.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fulfillment_assets.orders.simulator.journey import PAYMENTS, STATUSES, Journey, period
from fulfillment_assets.orders.simulator.orders import (
    BLOCK_ROWS,
    FeatureBlock,
    OrderBlock,
    drawn_blocks,
    order_ids,
    order_table,
    truth_table,
)
from fulfillment_assets.orders.simulator.plan import MAX_COUNT, SimulationPlan
from fulfillment_assets.orders.simulator.sampling import BoolArray, Draws, IntArray

MAX_EVENTS: Final = BLOCK_ROWS
"""Most events in one passage of the period: a block has as many orders, each with one at least."""

UNPAID_AT_FIRST: Final = 0.2
CALLS_WHEN_OVERDUE: Final = 0.5

_PROCESSING, _SHIPPED, _DELIVERED, _DELAYED, _CANCELLED = range(len(STATUSES))
_PAID, _PENDING, _ = range(len(PAYMENTS))


@dataclass(frozen=True, slots=True)
class Lifecycles:
    """One passage of the period: the events of its orders, by event time.

    Attributes:
        events: every field of the contract as known at the event, typed.
        event_time: when the event happened, in seconds since 1970 (UTC); ascending.
        order: row of each event's order in `truth`.
        step: number of each event in the life of its order, from 0.
        truth: `order_id`, `is_late` and the true `delivery_date` of each order.
        draws: the passage's random stream, of `MAX_EVENTS` rows, to be drawn from further.
    """

    events: pa.Table
    event_time: IntArray
    order: IntArray
    step: IntArray
    truth: pa.Table
    draws: Draws


def lifecycles(plan: SimulationPlan, sizes: Iterable[int]) -> Iterator[Lifecycles]:
    """Simulate passages of the plan's period, each with other orders.

    The orders of the first passage are those that `simulate` gives for the plan, and their last
    events are in the state in which it gives them. Events after the period's end are not known.

    Args:
        plan: what to simulate, of as many orders as it takes; without its faults.
        sizes: number of events of each passage, 1 to `MAX_EVENTS`. Of the last orders' events as
            many are left out, from the end of the period, as are too many.
    """
    _, end = period(plan)
    first = 1
    blocks = drawn_blocks(replace(plan, count=MAX_COUNT))
    for size, (_, block, draws) in zip(sizes, blocks, strict=False):
        lives = _lives(plan.seed, first, _Course(block, draws, end), size)
        first += lives.truth.num_rows
        yield lives


class _Course:
    """Which events each order of a block goes through, and when."""

    def __init__(self, block: OrderBlock, draws: Draws, end: int) -> None:
        self.block = block
        self.draws = draws
        journey = block.journey
        self.times = np.empty((len(STATUSES), len(journey.ordered)), np.int64)
        self.happens = np.empty(self.times.shape, np.bool_)
        for status, (time, happens) in enumerate(_events(journey, end)):
            self.times[status], self.happens[status] = time, happens
        self.unpaid_at_first = draws.happens(UNPAID_AT_FIRST)
        self.calls_when_overdue = draws.happens(CALLS_WHEN_OVERDUE)

    def state(self, row: IntArray, status: IntArray, time: IntArray) -> OrderBlock:
        """The orders of `row` as known at events: one row an event."""
        features, journey, customer = self.block
        known = Journey._make(column[row] for column in journey)
        final = known.status == status
        overdue = (known.promised <= time) & (known.promised < known.delivered)
        values = {name: column[row] for name, column in features.values.items()}
        values["customer_care_calls"] += overdue & self.calls_when_overdue[row]
        unpaid = known.payment == _PENDING
        unpaid |= self.unpaid_at_first[row] & (status == _PROCESSING) & (known.payment == _PAID)
        return OrderBlock(
            FeatureBlock(features.cluster[row], features.is_late[row], values),
            known._replace(
                has_shipped=known.has_shipped & (known.shipped <= time),
                has_delivered=status == _DELIVERED,
                status=status,
                payment=np.where(final, known.payment, np.where(unpaid, _PENDING, _PAID)),
            ),
            customer[row],
        )


def _events(journey: Journey, end: int) -> Iterator[tuple[IntArray, BoolArray]]:
    """When each event would happen, and whether it does; in the order of `STATUSES`."""
    cancelled = journey.status == _CANCELLED
    everywhere: npt.NDArray[np.bool_] = np.ones(len(cancelled), np.bool_)
    missed = (journey.promised < journey.delivered) & (journey.promised <= end)
    yield journey.ordered, everywhere
    yield journey.shipped, journey.has_shipped
    yield journey.delivered, journey.has_delivered
    yield (
        journey.promised,
        missed & journey.has_shipped & (~cancelled | (journey.promised < journey.cancelled_at)),
    )
    yield journey.cancelled_at, cancelled


def _lives(seed: int, first: int, course: _Course, size: int) -> Lifecycles:
    orders = 1 + int(np.searchsorted(np.cumsum(course.happens.sum(axis=0)), size))
    status, row = np.nonzero(course.happens[:, :orders])
    time = course.times[status, row]
    # Stable, for events at the same time: nothing happens to an order after its cancellation.
    kept = np.argsort(time, kind="stable")[:size]
    status, row, time = status[kept], row[kept], time[kept]
    ids = order_ids(seed, first, orders)
    return Lifecycles(
        events=order_table(ids.take(pa.array(row)), course.state(row, status, time)),
        event_time=time,
        order=row,
        step=_numbered_within(row),
        truth=truth_table(order_ids(seed, first, BLOCK_ROWS), course.block).slice(0, orders),
        draws=course.draws,
    )


def _numbered_within(group: IntArray) -> IntArray:
    """Number the entries of each group in their order, from 0."""
    by_group = np.argsort(group, kind="stable")
    sizes = np.bincount(group)
    starts = np.repeat(np.cumsum(sizes) - sizes, sizes)
    number = np.empty(len(group), np.int64)
    number[by_group] = np.arange(len(group)) - starts
    return number
