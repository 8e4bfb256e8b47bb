"""Events of simulated orders as Kafka messages: sound, broken, sent twice, or out of order."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fulfillment_assets.events.messages import CORRELATION_ID, EVENT_TIME, VERSION_HEADER
from fulfillment_assets.events.partitioning import key_hashes
from fulfillment_assets.events.wire_faults import SimulatedMessage, broken
from fulfillment_assets.orders.simulator.csv_text import timestamps, with_iso_timestamps
from fulfillment_assets.orders.simulator.lifecycle import MAX_EVENTS, Lifecycles, lifecycles
from fulfillment_assets.orders.simulator.plan import SimulationPlan
from fulfillment_assets.orders.simulator.sampling import BoolArray, IntArray

PASSAGE_SECONDS: Final = 300.0
"""In so many seconds, at a given rate, the simulated period passes, if not earlier."""

REPEATED_WITHIN: Final = 500
"""A message is sent again after about so many others at most."""

_SMALLEST_PASSAGE: Final = 100


class Mark(StrEnum):
    """What is special about a message."""

    SOUND = "sound"
    FAULTY = "faulty"
    DUPLICATE = "duplicate"
    OUT_OF_ORDER = "out_of_order"


MARKS: Final = tuple(Mark)


@dataclass(frozen=True, slots=True)
class Traffic:
    """What goes wrong on the way; each is a share of the events.

    Attributes:
        fault_share: events that break the contract.
        duplicate_share: events that are sent a second time.
        out_of_order_share: events that come only after the next event of their order. Two of an
            order's events change places, so it is about 0.4 at most.

    Raises:
        ValueError: a share is not between 0 and 1.
    """

    fault_share: float = 0.0
    duplicate_share: float = 0.0
    out_of_order_share: float = 0.0

    def __post_init__(self) -> None:
        """Check every share."""
        for name in self.__slots__:
            share = getattr(self, name)
            if not 0 <= share <= 1:
                raise ValueError(f"{name} must be between 0 and 1, not {share}")


@dataclass(frozen=True, slots=True)
class Passage:
    """The messages of one passage of the simulated period.

    Attributes:
        sent: the event that is sent at each turn.
        marks: what is special about the message of each turn, as an index into `MARKS`.
        orders: row in `truth` of the order of each turn.
        truth: `order_id`, `is_late` and the true `delivery_date` of each order.
        events: the messages' contents, by event.
    """

    sent: IntArray
    marks: IntArray
    orders: IntArray
    truth: pa.Table
    events: Events

    def __len__(self) -> int:
        return len(self.sent)

    def messages(self, start: int = 0, end: int | None = None) -> Iterator[SimulatedMessage]:
        """The messages of the turns from `start` up to, and without, `end`."""
        events = self.events
        for event in self.sent[start:end].tolist():
            yield events.broken.get(event) or events.sound(event)


def simulated_messages(
    plan: SimulationPlan, traffic: Traffic, *, count: int | None, rate: float | None
) -> Iterator[Passage]:
    """The messages that the orders of a plan give rise to, passage by passage.

    The simulated period passes in the run, so that most orders come to their end; in a long run
    it passes again and again, each time with new orders. Equal arguments give equal messages.

    Args:
        plan: the orders, as many as it takes: neither its count nor its fault share is used.
        traffic: what goes wrong on the way.
        count: number of messages, all told; None for as many as are taken.
        rate: messages a second with which they will be sent; None for as fast as can be.
    """
    rank = 0
    sizes, planned = itertools.tee(_sizes(count, rate))
    events = (_event_count(size, traffic) for size in planned)
    for size, lives in zip(sizes, lifecycles(plan, events), strict=False):
        faulty = lives.draws.happens(traffic.fault_share)[: len(lives.step)]
        yield _passage(lives, traffic, size, faulty, rank)
        rank += int(faulty.sum())


def _sizes(count: int | None, rate: float | None) -> Iterator[int]:
    """Number of messages of each passage."""
    largest = MAX_EVENTS
    if rate is not None:
        largest = max(_SMALLEST_PASSAGE, min(largest, round(rate * PASSAGE_SECONDS)))
    if count is None:
        yield from itertools.repeat(largest)
        return
    passages = -(-count // largest)
    for number in range(passages):
        yield count * (number + 1) // passages - count * number // passages


def _event_count(messages: int, traffic: Traffic) -> int:
    """How many of a passage's messages are not repetitions."""
    return max(1, round(messages / (1 + traffic.duplicate_share)))


def _passage(
    lives: Lifecycles, traffic: Traffic, size: int, faulty: BoolArray, rank: int
) -> Passage:
    late = _overtaken(lives, traffic.out_of_order_share, faulty)
    sent, repeated = _order_of_sending(lives, late, size)
    mark = np.select(
        [faulty[sent], repeated, late[sent] >= 0],
        [MARKS.index(mark) for mark in (Mark.FAULTY, Mark.DUPLICATE, Mark.OUT_OF_ORDER)],
        MARKS.index(Mark.SOUND),
    )
    return Passage(sent, mark, lives.order[sent], lives.truth, Events(lives, faulty, rank))


def _overtaken(lives: Lifecycles, share: float, faulty: BoolArray) -> IntArray:
    """The event that overtakes each event, or -1. No event of two such pairs is the same."""
    by_order = np.lexsort((lives.step, lives.order))
    following: IntArray = np.full(len(lives.step), -1, np.int64)
    same = lives.order[by_order[:-1]] == lives.order[by_order[1:]]
    following[by_order[:-1][same]] = by_order[1:][same]
    possible = (following >= 0) & (lives.step % 2 == 0) & ~faulty & ~faulty[following]
    probability = min(1.0, share * len(possible) / max(1, possible.sum()))
    chosen = possible & lives.draws.happens(probability)[: len(possible)]
    return np.where(chosen, following, -1)


def _order_of_sending(
    lives: Lifecycles, late: IntArray, size: int
) -> tuple[IntArray, npt.NDArray[np.bool_]]:
    """The event that is sent at each turn, and whether it was sent before."""
    events = len(late)
    turn = np.where(late >= 0, late + 0.5, np.arange(events))
    again = np.argsort(lives.draws.uniform()[:events], kind="stable")[: size - events]
    delay = 1 + lives.draws.below(REPEATED_WITHIN)[again]
    sent = np.argsort(np.concatenate([turn, turn[again] + delay]), kind="stable")
    return np.concatenate([np.arange(events), again])[sent], sent >= events


class Events:
    """Keys, values and headers of a passage's events.

    Args:
        lives: the events.
        faulty: which of them are broken.
        rank: how many events were broken before; faults and their variants take turns.
    """

    def __init__(self, lives: Lifecycles, faulty: BoolArray, rank: int) -> None:
        order_id = lives.events["order_id"].combine_chunks()
        times = with_iso_timestamps(pa.table({"time": timestamps(lives.event_time)}))["time"]
        step = pa.array(lives.step).cast(pa.string())
        correlation = pc.binary_join_element_wise(order_id, step, "-")
        columns = (order_id, _json_texts(lives.events), correlation, times)
        self._keys, self._values, self._correlation, self._times = map(_as_bytes, columns)
        self._hashes = key_hashes(order_id).tolist()
        ordered = lives.events["order_date"].cast(pa.int64()).to_numpy()
        self.broken = {
            event: broken(self.sound(event), int(ordered[event]), number)
            for number, event in enumerate(np.flatnonzero(faulty).tolist(), rank)
        }

    def sound(self, event: int) -> SimulatedMessage:
        """The message of an event as it should be."""
        return SimulatedMessage(
            self._keys[event],
            self._values[event],
            [
                VERSION_HEADER,
                (CORRELATION_ID, self._correlation[event]),
                (EVENT_TIME, self._times[event]),
            ],
            self._hashes[event],
        )


def _json_texts(orders: pa.Table) -> pa.ChunkedArray:
    """Each order as a JSON object, without what is not known. No text of them needs escaping."""
    texts = with_iso_timestamps(orders)
    members: list[Any] = []
    for name in orders.column_names:
        quote = '"' if pa.types.is_string(texts.schema.field(name).type) else ""
        start = f'{"," if members else "{"}"{name}":{quote}'
        member = pc.binary_join_element_wise(start, texts[name].cast(pa.string()), quote, "")
        members.append(pc.coalesce(member, ""))
    return pc.binary_join_element_wise(*members, "}", "")


def _as_bytes(column: pa.Array | pa.ChunkedArray) -> list[bytes]:
    found: list[bytes] = column.cast(pa.binary()).to_pylist()
    return found
