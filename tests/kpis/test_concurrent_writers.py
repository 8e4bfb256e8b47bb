"""Many writers at once: nobody deadlocks, and nothing is counted twice.

With FULFILLMENT_LONG_TESTS=1 they write for a minute.
"""

from __future__ import annotations

import datetime as dt
import itertools
import os
import random
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from fulfillment_assets.kpis import rollups
from fulfillment_assets.scoring.rescore import rescore_day
from tests.kpis.examples import (
    HOUR,
    NOW,
    Batch,
    Event,
    NaivePlatform,
    commit,
    committed_scorer,
    daily_rollups_of,
    rollups_of,
)

WRITERS = 8
SECONDS = 60.0 if os.environ.get("FULFILLMENT_LONG_TESTS") == "1" else 3.0
AT_LEAST = 3
"""Batches of each writer, however slow the machine."""

ORDERS = 150

receipts = itertools.count()


def random_batch(chance: random.Random, name: str = "O") -> Batch:
    """A batch with twins, whose orders and segments stand in any order."""
    return Batch(
        tuple(random_event(chance, name) for _ in range(chance.randrange(20, 120))),
        NOW + next(receipts) * dt.timedelta(milliseconds=1),
    )


def random_event(chance: random.Random, name: str) -> Event:
    number = chance.randrange(ORDERS)
    return Event(
        f"{name}{number}",
        round(chance.uniform(0.001, 0.999), 6),
        at=NOW - chance.randrange(6) * HOUR if number % 2 else None,
        order_status=chance.choice(["processing", "shipped", "delivered", "cancelled"]),
        warehouse_block=chance.choice("ABF"),
        mode_of_shipment=chance.choice(["Ship", "Road"]),
    )


def assert_as_one_writer_would(engine: Engine, batches: list[Batch]) -> None:
    """Hold the tables against what the batches give one after the other, in whatever order."""
    naive = NaivePlatform()
    for batch in batches:
        naive.take(batch)
    with engine.connect() as connection:
        assert rollups_of(connection) == naive.rollups()
        assert daily_rollups_of(connection) == naive.daily_rollups()
        assert rollups.differences(connection) == 0
        pending = connection.execute(
            sa.text("SELECT order_id, kind, severity FROM deviations WHERE status = 'pending'")
        ).all()
    assert sorted(map(tuple, pending)) == sorted((*key, grade) for key, grade in naive.open.items())


@pytest.mark.parametrize("shared", [True, False], ids=["shared orders", "orders of their own"])
def test_concurrent_writers_never_deadlock_and_leave_what_one_writer_would(
    engine: Engine, shared: bool
) -> None:
    deadline = time.monotonic() + SECONDS

    def write_for_a_while(seed: int) -> list[Batch]:
        chance = random.Random(seed)
        written: list[Batch] = []
        while time.monotonic() < deadline or len(written) < AT_LEAST:
            batch = random_batch(chance, name="O" if shared else f"W{seed}-")
            commit(engine, *batch.events, received_at=batch.received_at)
            written.append(batch)
        return written

    with ThreadPoolExecutor(WRITERS) as pool:
        written = list(pool.map(write_for_a_while, range(WRITERS)))
    assert_as_one_writer_would(engine, list(itertools.chain.from_iterable(written)))


def test_a_rebuild_waits_for_writers_and_they_for_it(engine: Engine) -> None:
    batches = [random_batch(random.Random(seed)) for seed in range(12)]

    def rebuild_or_write(batch: Batch | None) -> None:
        if batch is not None:
            commit(engine, *batch.events, received_at=batch.received_at)
            return
        with engine.begin() as connection:
            rollups.rebuild(connection)

    interleaved = [task for batch in batches for task in (None, batch)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(rebuild_or_write, interleaved))
    assert_as_one_writer_would(engine, batches)


def test_scoring_a_day_again_beside_writers_never_deadlocks(engine: Engine) -> None:
    commit(engine, *random_batch(random.Random(1)).events, received_at=NOW)
    scorer = committed_scorer()
    deadline = time.monotonic() + SECONDS

    def write_for_a_while(seed: int) -> int:
        chance, batches = random.Random(seed), 0
        while time.monotonic() < deadline:
            batch = random_batch(chance)
            commit(engine, *batch.events, received_at=batch.received_at)
            batches += 1
        return batches

    def rescore_for_a_while(_: int) -> int:
        times = 0
        while time.monotonic() < deadline:
            rescore_day(engine, scorer, NOW.date())
            times += 1
        return times

    with ThreadPoolExecutor(6) as pool:
        writers = [pool.submit(write_for_a_while, seed) for seed in range(4)]
        rescorers = [pool.submit(rescore_for_a_while, number) for number in range(2)]
        assert min(done.result() for done in (*writers, *rescorers)) > 0
    with engine.connect() as connection:
        assert rollups.differences(connection) == 0
