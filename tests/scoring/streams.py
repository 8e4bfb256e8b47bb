"""A workplace with a topic: events are sent, ranges of them scored, and the tables looked at."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import pytest
from sqlalchemy.engine import Engine

from fulfillment_assets.events import offsets
from fulfillment_assets.events.client import admin
from fulfillment_assets.events.gaps import gaps_of
from fulfillment_assets.events.offsets import Position
from fulfillment_assets.events.ranges import Gap, StreamRange
from fulfillment_assets.events.topic_log import look_at
from fulfillment_assets.scoring.stream import StreamResult, score_range
from fulfillment_assets.settings import Settings
from tests.events.messages import Header, event
from tests.events.wire import Sent, send
from tests.scoring.workplace import Workplace


def order_event(order_id: str, *headers: Header, **changes: Any) -> Sent:
    """A sound event of an order: its key, value and headers."""
    return order_id.encode(), event(order_id=order_id, **changes), headers


def order_events(count: int, first: int = 0) -> list[Sent]:
    """Sound events of as many orders."""
    return [order_event(f"O{number}") for number in range(first, first + count)]


@dataclass(frozen=True)
class Stream:
    """What a run of the stream needs.

    Attributes:
        workplace: with settings that name a broker and topics of this test alone.
    """

    workplace: Workplace

    @property
    def settings(self) -> Settings:
        return self.workplace.settings

    @property
    def engine(self) -> Engine:
        return self.workplace.engine

    @property
    def topic(self) -> str:
        return self.settings.events_topic

    def span(self, start: int, end: int, partition: int = 0) -> StreamRange:
        """A range of a partition."""
        return StreamRange(self.topic, partition, start, end)

    def send(self, *events: Sent, partition: int = 0) -> None:
        """Put events into a partition, in their order."""
        send(self.settings, self.topic, events, partition)

    def score(
        self, start: int, end: int, partition: int = 0, run_id: str = "run-1", attempt: int = 1
    ) -> StreamResult:
        """Score a range of a partition."""
        return score_range(
            self.engine,
            self.settings,
            self.workplace.scorer,
            self.span(start, end, partition),
            run_id=run_id,
            attempt=attempt,
        )

    def position(self, partition: int = 0) -> Position:
        """Where a partition stands."""
        with self.engine.connect() as connection:
            known = {p.partition: p for p in offsets.positions(connection, self.topic)}
        return known[partition]

    def gaps(self) -> list[Gap]:
        """All recorded gaps."""
        with self.engine.connect() as connection:
            return gaps_of(connection, self.topic)

    def predicted(self) -> list[tuple[int, int, str]]:
        """Partition, offset and order of every prediction."""
        return self._places("predictions", "order_id")

    def dead(self) -> list[tuple[int, int, str]]:
        """Partition, offset and first error of every dead letter."""
        return self._places("rejected_records", "errors #>> '{0,rule}'")

    def _places(self, table: str, third: str) -> list[tuple[int, int, str]]:
        rows = self.workplace.rows(
            f'SELECT partition, "offset", {third} AS third FROM {table} '
            'WHERE topic = :topic ORDER BY partition, "offset"',
            topic=self.topic,
        )
        return [(row["partition"], row["offset"], row["third"]) for row in rows]

    def assert_balanced(self, lost: int = 0) -> None:
        """All that Kafka holds is accounted for once, and every table tells the same story."""
        with admin(self.settings) as client:
            log = look_at(client, self.topic)
        held = {(p, offset) for p, end in log.ends.items() for offset in range(log.starts[p], end)}
        places = Counter(place[:2] for place in (*self.predicted(), *self.dead()))
        assert max(places.values(), default=1) == 1, "a message was committed twice"
        assert len(held - set(places)) == lost
        with self.engine.connect() as connection:
            stands = offsets.positions(connection, self.topic)
        assert sum(p.predicted for p in stands) == len(self.predicted())
        assert sum(p.dead_lettered for p in stands) == len(self.dead())
        assert {p.partition: p.next_offset for p in stands if p.next_offset} == {
            p: end for p, end in log.ends.items() if end
        }
        announced = self.workplace.value(
            "SELECT count(*) FROM outbox WHERE topic = :topic", topic=self.settings.dlq_topic
        )
        assert announced == len(self.dead())
        assert self.workplace.rollup_differences() == 0
        batches = self.workplace.rows(
            "SELECT sum(messages) AS messages, sum(predicted) AS predicted FROM stream_batches"
        )
        assert (batches[0]["messages"] or 0) == sum(p.messages for p in stands)


@pytest.fixture
def stream(workplace: Workplace, kafka_settings: Settings) -> Stream:
    """A database, folders and topics of one test alone."""
    names = ("kafka_bootstrap_servers", "events_topic", "deviations_topic", "dlq_topic")
    changes = {name: getattr(kafka_settings, name) for name in names}
    return Stream(replace(workplace, settings=workplace.settings.model_copy(update=changes)))


def at(hour: float) -> dt.datetime:
    """An hour of the day on which the orders of these tests were placed."""
    return dt.datetime(2026, 3, 1, tzinfo=dt.UTC) + dt.timedelta(hours=hour)
