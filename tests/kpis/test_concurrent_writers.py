"""Many writers of the same orders at once: nobody deadlocks, and nothing is counted twice."""

from __future__ import annotations

import datetime as dt
import itertools
import random
import time
from concurrent.futures import ThreadPoolExecutor

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from fulfillment_assets.kpis import rollups
from tests.kpis.examples import HOUR, NOW, Batch, Event, NaivePlatform, commit, rollups_of

WRITERS = 6
SECONDS = 3.0
ORDERS = 150

receipts = itertools.count()


def random_batch(chance: random.Random) -> Batch:
    """A batch of orders in any order, with twins, on which other batches touch as well."""
    events = tuple(
        Event(
            f"O{chance.randrange(ORDERS)}",
            round(chance.uniform(0.001, 0.999), 6),
            at=chance.choice([None, NOW - chance.randrange(6) * HOUR]),
            order_status=chance.choice(["processing", "shipped", "delivered", "cancelled"]),
            warehouse_block=chance.choice("ABF"),
            mode_of_shipment=chance.choice(["Ship", "Road"]),
        )
        for _ in range(chance.randrange(20, 120))
    )
    return Batch(events, NOW + next(receipts) * dt.timedelta(milliseconds=1))


def write_for_a_while(engine: Engine, seed: int) -> list[Batch]:
    chance = random.Random(seed)
    deadline = time.monotonic() + SECONDS
    written = []
    while time.monotonic() < deadline:
        batch = random_batch(chance)
        commit(engine, *batch.events, received_at=batch.received_at)
        written.append(batch)
    return written


def test_concurrent_writers_never_deadlock_and_leave_what_one_writer_would(engine: Engine) -> None:
    with ThreadPoolExecutor(WRITERS) as pool:
        written = list(pool.map(write_for_a_while, [engine] * WRITERS, range(WRITERS)))
    naive = NaivePlatform()
    for batch in itertools.chain.from_iterable(written):
        naive.take(batch)
    with engine.connect() as connection:
        assert rollups_of(connection) == naive.rollups()
        assert rollups.differences(connection) == 0
        doubled = connection.scalar(
            sa.text(
                "SELECT count(*) FROM (SELECT FROM deviations WHERE status = 'pending' "
                "GROUP BY order_id, kind HAVING count(*) > 1) AS doubled"
            )
        )
        assert doubled == 0
    assert min(map(len, written)) > 1


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
    naive = NaivePlatform()
    for batch in batches:
        naive.take(batch)
    with engine.connect() as connection:
        assert rollups_of(connection) == naive.rollups()
