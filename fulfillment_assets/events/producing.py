"""Sending simulated messages at a pace."""

from __future__ import annotations

import contextlib
import gc
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa

from fulfillment_assets.events.client import KafkaUnavailableError, broker_errors, producer
from fulfillment_assets.events.simulated import MARKS, Mark, Passage
from fulfillment_assets.settings import Settings

_SLICE: Final = 1_000
_TICK_SECONDS: Final = 0.01
_CATCH_UP_SECONDS: Final = 1.0
_COLLECT_AFTER: Final = 50_000  # objects
_MOST_IN_FLIGHT: Final = 50_000  # the client itself sets no limit to what it holds in memory


@dataclass(frozen=True, slots=True)
class Burst:
    """So many messages at once, every so many seconds, the first at the start."""

    messages: int
    seconds: float

    @classmethod
    def parse(cls, text: str) -> Burst:
        """Read `MESSAGES@SECONDS`, such as `5000@30`.

        Raises:
            ValueError: it is something else.
        """
        messages, _, seconds = text.partition("@")
        try:
            burst = cls(int(messages), float(seconds))
        except ValueError:
            burst = cls(0, 0.0)
        if burst.messages < 1 or not (math.isfinite(burst.seconds) and burst.seconds > 0):
            raise ValueError(
                f"burst must be MESSAGES@SECONDS, such as 5000@30 for 5,000 messages at once every "
                f"30 seconds, not {text!r}"
            )
        return burst


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast messages are sent, and how long.

    Without rate and burst they are sent as fast as can be. What ends it is the count or the
    duration, whichever comes first; without either it goes on until it is stopped.

    Attributes:
        rate: messages a second.
        burst: messages on top of them.
        count: how many messages, all told.
        duration: seconds.
    """

    rate: float | None = None
    burst: Burst | None = None
    count: int | None = None
    duration: float | None = None

    @property
    def total(self) -> int | None:
        """How many messages it comes to, if all are sent in time; None where it cannot be told."""
        limits = [] if self.count is None else [self.count]
        if self.duration is not None and self.steady:
            rate, burst = self.rate or 0.0, self.burst or Burst(0, 1.0)
            limits.append(
                math.ceil(rate * self.duration)
                + burst.messages * math.ceil(self.duration / burst.seconds)
            )
        return min(limits, default=None)

    @property
    def steady(self) -> bool:
        """Whether there is a pace at all."""
        return self.rate is not None or self.burst is not None

    @property
    def deadline(self) -> float:
        """Seconds after which nothing more is sent, whether or not all was."""
        if self.duration is None:
            return math.inf
        return self.duration + (_CATCH_UP_SECONDS if self.steady else 0.0)

    def due(self, seconds: float) -> float:
        """How many messages shall have been sent so many seconds after the start."""
        if not self.steady:
            return math.inf
        due = 0 if self.rate is None else math.floor(self.rate * seconds) + 1
        if self.burst is not None:
            due += self.burst.messages * (math.floor(seconds / self.burst.seconds) + 1)
        return due if (total := self.total) is None else min(due, total)


@dataclass(slots=True)
class Sent:
    """What was sent, and acknowledged by the broker."""

    topic: str
    messages: int = 0
    orders: int = 0
    seconds: float = 0.0
    marks: Counter[Mark] = field(default_factory=Counter)

    @property
    def rate(self) -> float:
        """Messages a second."""
        return self.messages / self.seconds if self.seconds else 0.0


def send(
    settings: Settings,
    passages: Iterable[Passage],
    pace: Pace,
    *,
    stop: threading.Event,
    progress: Callable[[Sent], None] = lambda sent: None,
    truth: Callable[[pa.Table], None] = lambda table: None,
) -> Sent:
    """Send messages to the events' topic, and return once the broker has acknowledged them.

    Args:
        settings: which broker, which topic.
        passages: the messages; they end before the pace does, or must not end.
        pace: how fast and how long.
        stop: set by another thread or a signal handler to send no more.
        progress: called now and then.
        truth: takes the outcomes of the orders of which something was sent.

    Raises:
        KafkaUnavailableError: the broker does not answer or refuses; what was sent is unknown.
    """
    with broker_errors(settings), producer(settings) as client, _collecting_rarely():
        feed = _Feed(settings, client, pace, stop, progress)
        for passage in passages:
            number = feed.send(passage)
            orders = np.unique(passage.orders[:number])
            feed.sent.orders += len(orders)
            truth(passage.truth.take(pa.array(orders)))
            if number < len(passage):
                break
        return feed.finish()


@contextlib.contextmanager
def _collecting_rarely() -> Iterator[None]:
    """Spare the garbage collector the client's many short-lived objects: a sixth of the time."""
    former = gc.get_threshold()
    gc.set_threshold(_COLLECT_AFTER, *former[1:])
    try:
        yield
    finally:
        gc.set_threshold(*former)


class _Feed:
    """Sends messages when they are due, and sees to it that they arrive."""

    def __init__(
        self,
        settings: Settings,
        client: Any,
        pace: Pace,
        stop: threading.Event,
        progress: Callable[[Sent], None],
    ) -> None:
        self.sent = Sent(settings.events_topic)
        self._settings = settings
        self._client = client
        self._partitions = len(client.partitions_for(settings.events_topic))
        self._pace = pace
        self._stop = stop
        self._progress = progress
        self._failures: list[Exception] = []
        self._started: float | None = None
        self._flushed = 0

    def send(self, passage: Passage) -> int:
        """Send messages as they become due; return how many were sent before the end."""
        self._started = self._started or time.monotonic()
        begun = 0
        while begun < len(passage) and not self._over():
            due = self._pace.due(self._elapsed()) - self.sent.messages
            count = int(min(len(passage) - begun, _SLICE, max(0, due)))
            if count < 1:
                self._stop.wait(_TICK_SECONDS)
                continue
            self._send(passage, begun, begun + count)
            begun += count
        return begun

    def finish(self) -> Sent:
        """Wait until all is acknowledged."""
        self._flush()
        self.sent.seconds = self._elapsed()
        return self.sent

    def _over(self) -> bool:
        return self._stop.is_set() or self._elapsed() >= self._pace.deadline

    def _elapsed(self) -> float:
        return 0.0 if self._started is None else time.monotonic() - self._started

    def _send(self, passage: Passage, start: int, end: int) -> None:
        send, topic, partitions = self._client.send, self.sent.topic, self._partitions
        failed = self._failures.append
        for key, value, headers, key_hash in passage.messages(start, end):
            send(topic, value, key, headers, key_hash % partitions).add_errback(failed)
        self.sent.messages += end - start
        self.sent.marks.update(MARKS[code] for code in passage.marks[start:end].tolist())
        if self.sent.messages - self._flushed >= _MOST_IN_FLIGHT:
            self._flush()
        self._check()
        self.sent.seconds = self._elapsed()
        self._progress(self.sent)

    def _flush(self) -> None:
        self._client.flush()
        self._flushed = self.sent.messages
        self._check()

    def _check(self) -> None:
        if self._failures:
            raise KafkaUnavailableError(
                f"Kafka at {self._settings.kafka_bootstrap_servers} did not take "
                f"{len(self._failures):,} messages: {self._failures[0]}"
            )
