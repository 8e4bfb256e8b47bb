"""Whatever happens to orders, in any order: rollups are what a naive recount gives."""

from __future__ import annotations

import datetime as dt
import itertools
import uuid
from dataclasses import replace
from typing import ClassVar

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from psycopg2.errors import UniqueViolation
from sqlalchemy.engine import Engine

from fulfillment_assets.kpis import rollups
from fulfillment_assets.scoring.rescore import rescore_day
from tests.kpis.examples import (
    DAY,
    HOUR,
    NOW,
    Batch,
    Event,
    NaivePlatform,
    commit,
    committed_scorer,
    daily_rollups_of,
    events,
    order_table,
    rollups_of,
    wipe,
)

receipts = st.sampled_from([-30 * HOUR, -HOUR, 0 * HOUR, HOUR, DAY])
moments = st.none() | st.sampled_from([NOW - 3 * DAY, NOW - HOUR, NOW, NOW + 5 * HOUR])
chances = st.floats(0.001, 0.999)
places = st.integers(0, 1_000)


class Orders(RuleBasedStateMachine):
    """Orders that arrive, are scored again, delivered, cancelled, heard of twice or too late."""

    engine: ClassVar[Engine]

    def __init__(self) -> None:
        super().__init__()
        wipe(self.engine)
        self.naive = NaivePlatform()
        self.batches: list[tuple[Batch, uuid.UUID]] = []
        self.numbers = itertools.count(1)

    def hear(self, received: dt.timedelta, *heard: Event) -> None:
        """Commit events received at a moment of their own, and tell the naive model."""
        moment = NOW + received + next(self.numbers) * dt.timedelta(microseconds=1)
        batch, job = Batch(heard, moment), uuid.uuid4()
        commit(self.engine, *heard, received_at=moment, batch_job_id=job)
        self.naive.take(batch)
        self.batches.append((batch, job))

    def known(self, place: int) -> Event:
        """Some order as it is known; a new one before there is any."""
        known = sorted(self.naive.latest)
        return self.naive.latest[known[place % len(known)]][1] if known else Event("O1")

    @rule(heard=st.lists(events, min_size=1, max_size=5), received=receipts)
    def arrive(self, heard: list[Event], received: dt.timedelta) -> None:
        self.hear(received, *heard)

    @rule(place=places, probability=chances, received=receipts, at=moments)
    def score_again(
        self, place: int, probability: float, received: dt.timedelta, at: dt.datetime | None
    ) -> None:
        self.hear(received, replace(self.known(place), probability=probability, at=at))

    @rule(
        place=places,
        status=st.sampled_from(["shipped", "delivered", "cancelled"]),
        received=receipts,
        at=moments,
    )
    def move_on(
        self, place: int, status: str, received: dt.timedelta, at: dt.datetime | None
    ) -> None:
        self.hear(received, replace(self.known(place), order_status=status, at=at))

    @rule(place=places, block=st.sampled_from("ABF"), received=receipts)
    def change_segment(self, place: int, block: str, received: dt.timedelta) -> None:
        self.hear(received, replace(self.known(place), warehouse_block=block))

    @rule(place=places, received=receipts)
    def send_a_batch_twice(self, place: int, received: dt.timedelta) -> None:
        if self.batches:
            self.hear(received, *self.batches[place % len(self.batches)][0].events)

    @rule(place=places)
    def write_a_batch_twice(self, place: int) -> None:
        if self.batches:
            batch, job = self.batches[place % len(self.batches)]
            with pytest.raises(UniqueViolation):
                commit(self.engine, *batch.events, received_at=batch.received_at, batch_job_id=job)

    @rule(place=places)
    def score_a_day_with_the_model(self, place: int) -> None:
        if not self.batches:
            return
        day = self.batches[place % len(self.batches)][0].received_at.date()
        rescore_day(self.engine, committed_scorer(), day)
        for order_id, (rank, event) in self.naive.latest.items():
            if rank[1].date() == day:
                [probability] = committed_scorer().score(order_table([event])).probability
                self.naive.latest[order_id] = (rank, replace(event, probability=probability))

    @rule()
    def rebuild(self) -> None:
        with self.engine.begin() as connection:
            rollups.rebuild(connection)

    @invariant()
    def rollups_are_a_recount(self) -> None:
        with self.engine.connect() as connection:
            assert rollups_of(connection) == self.naive.rollups()
            assert daily_rollups_of(connection) == self.naive.daily_rollups()
            assert rollups.differences(connection) == 0
            counted = connection.scalar(sa.text("SELECT count(*) FROM orders"))
        assert counted == len(self.naive.latest)


def test_rollups_stay_a_recount_whatever_happens(engine: Engine) -> None:
    Orders.engine = engine
    run_state_machine_as_test(
        Orders,
        settings=settings(
            max_examples=20,
            stateful_step_count=18,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
