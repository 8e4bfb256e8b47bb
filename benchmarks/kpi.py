"""Reads of the KPIs over a full window, and what keeping them costs a batch.

Two databases of one server hold simulated orders of the last 30 days, scored and committed as
the platform does it; one of them a hundredth of the other. The dashboard is read from both in
turn, so that the ratio holds on a noisy machine. Then micro-batches of new and moving orders, as
messages that Kafka has given already, are committed to the larger one, and their parts timed.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine, make_url

from benchmarks.micro_batches import as_messages, as_validated, micro_batch, still_open_of
from fulfillment_assets.delay_model.scorer import DelayScorer
from fulfillment_assets.deviations.severity import Thresholds, load_thresholds
from fulfillment_assets.events.messages import decode_messages
from fulfillment_assets.kpis import outcomes
from fulfillment_assets.kpis.dashboard import read_dashboard
from fulfillment_assets.kpis.rollups import DIMENSIONS
from fulfillment_assets.local.postgres import EmbeddedPostgres
from fulfillment_assets.orders.simulator import SimulationPlan, simulate
from fulfillment_assets.scoring import staging
from fulfillment_assets.scoring.ahead import ahead
from fulfillment_assets.scoring.pipeline import apply_staged
from fulfillment_assets.scoring.rows import Arrival, event_times, score_orders
from fulfillment_assets.scoring.staging import EncodedBatch
from fulfillment_assets.settings import Settings
from fulfillment_assets.store import migrate
from fulfillment_assets.store.connection import create_engine
from fulfillment_assets.store.partitions import ensure_partition, utc_today

DAYS: Final = 30
SMALLER: Final = 100
WARM_UP: Final = 20
FILL_ROWS: Final = 250_000

_DAY: Final = dt.timedelta(days=1)
_INSTANT: Final = pa.timestamp("us", "UTC")
_DELIVERED: Final = outcomes.moved(
    "SELECT 1 AS weight, delivery_date > promised_delivery_date AS is_late, "
    "delivery_date AS known_at, delay_probability, severity, "
    f"{', '.join(DIMENSIONS)} FROM orders WHERE order_status = 'delivered'"
)


@dataclass(frozen=True, slots=True)
class KpiTimes:
    """Milliseconds of one read of the dashboard, and of the parts of one micro-batch.

    Attributes:
        history: orders in the window.
        fill_seconds: what committing them took.
        read_ms_p50: of the dashboard, from the connection to the objects.
        smaller_ms_p50: the same with a hundredth of the orders.
        ratio: of the medians of both.
        rollups_and_rules_share: of a micro-batch's time; without what Kafka takes.
    """

    history: int
    fill_seconds: float
    read_ms_p50: float
    read_ms_p95: float
    smaller_ms_p50: float
    smaller_ms_p95: float
    ratio: float
    batch_ms_p50: float
    rollups_ms_p50: float
    rules_ms_p50: float
    rollups_and_rules_share: float


class _Clock:
    """Seconds that an engine's statements took, by the table that they write."""

    def __init__(self, engine: Engine, *tables: str) -> None:
        self.seconds = dict.fromkeys(tables, 0.0)
        self._begun = 0.0
        sa.event.listen(engine, "before_cursor_execute", self._before)
        sa.event.listen(engine, "after_cursor_execute", self._after)

    def _before(self, *_: Any) -> None:
        self._begun = time.perf_counter()

    def _after(self, _connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
        for table in self.seconds:
            if f"INSERT INTO {table}" in statement:
                self.seconds[table] += time.perf_counter() - self._begun


@dataclass(frozen=True, slots=True)
class FilledDatabase:
    """A database with simulated orders, and the last of them that are still open."""

    engine: Engine
    scorer: DelayScorer
    still_open: pa.Table
    fill_seconds: float

    def read(self) -> float:
        """Seconds of one read of the whole dashboard."""
        started = time.perf_counter()
        with self.engine.connect() as connection:
            read_dashboard(connection)
        return time.perf_counter() - started


def run(history: int, *, reads: int = 200, batches: int = 50) -> KpiTimes:
    """Fill two databases, read the dashboard from each, and commit micro-batches.

    Args:
        history: orders in the larger one; the other has a hundredth of them.
        reads: of each, after a warm-up.
        batches: of `BATCH_ORDERS` orders each.

    Raises:
        ValueError: there are too few orders for a hundredth of them.
    """
    if history < SMALLER:
        raise ValueError(f"the history must have {SMALLER} orders at least, not {history}")
    with tempfile.TemporaryDirectory(prefix="fulfillment-bench-") as folder:
        settings = Settings().model_copy(update={"data_dir": Path(folder)})
        with EmbeddedPostgres(settings.data_dir).running() as server:
            scorer = DelayScorer.load(settings.models_dir)
            with (
                filled(server.url, "smaller", scorer, history // SMALLER) as smaller,
                filled(server.url, "larger", scorer, history) as larger,
            ):
                times = _read_in_turn((larger, smaller), reads)
                return KpiTimes(
                    history=history,
                    fill_seconds=round(larger.fill_seconds, 1),
                    **_read_times(*times),
                    **_batch_times(larger, batches),
                )


@contextlib.contextmanager
def filled(url: str, name: str, scorer: DelayScorer, count: int) -> Iterator[FilledDatabase]:
    """A database of that name with so many orders of the last 30 days, committed by day."""
    started = time.perf_counter()
    server = create_engine(url)
    with server.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    server.dispose()
    place = make_url(url).set(database=name).render_as_string(hide_password=False)
    migrate.upgrade(place)
    engine = create_engine(place)
    still_open = pa.table({})
    for chunk in simulate(_plan(count), chunk_rows=FILL_ROWS):
        orders = as_validated(chunk.orders)
        still_open = still_open_of(orders)
        for received_at, batch in ahead(_encoded_by_day(scorer, orders)):
            _commit(engine, batch, received_at)
    with engine.begin() as connection:
        connection.execute(sa.text(_DELIVERED))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("VACUUM ANALYZE"))
    yield FilledDatabase(engine, scorer, still_open, time.perf_counter() - started)
    engine.dispose()


def _plan(count: int) -> SimulationPlan:
    return SimulationPlan(count, seed=1, start=utc_today() - DAYS * _DAY, days=DAYS)


def _encoded_by_day(
    scorer: DelayScorer, orders: pa.Table
) -> Iterator[tuple[dt.datetime, EncodedBatch]]:
    """The orders, scored, in batches as received at the end of the day of their last event."""
    now = dt.datetime.now(dt.UTC)
    last = pc.floor_temporal(event_times(orders, now), unit="day")
    for day in pc.unique(last).to_pylist():
        received_at = min(now, day + _DAY - dt.timedelta(microseconds=1))
        of_day = orders.filter(pc.equal(last, pa.scalar(day, _INSTANT)))
        yield received_at, _encoded(scorer, of_day.combine_chunks(), received_at)


def _encoded(scorer: DelayScorer, orders: pa.Table, received_at: dt.datetime) -> EncodedBatch:
    arrival = Arrival("api", received_at)
    return staging.encode_batch(score_orders(orders, scorer, Thresholds(), arrival), arrival)


def _commit(engine: Engine, batch: EncodedBatch, received_at: dt.datetime) -> float:
    """Commit scored orders as the platform does; return the seconds of `apply_staged`."""
    day = received_at.date()
    with engine.begin() as connection:
        ensure_partition(connection, day)
    with engine.begin() as connection:
        staging.open_staging(connection)
        thresholds = load_thresholds(connection)
        staging.stage(connection, batch, day)
        started = time.perf_counter()
        apply_staged(connection, thresholds, received_at)
        return time.perf_counter() - started


def _read_in_turn(
    databases: tuple[FilledDatabase, FilledDatabase], reads: int
) -> tuple[list[float], ...]:
    for _ in range(WARM_UP):
        for database in databases:
            database.read()
    samples = [[database.read() for database in databases] for _ in range(reads)]
    return tuple([sample[place] for sample in samples] for place in range(len(databases)))


def _read_times(larger: list[float], smaller: list[float]) -> dict[str, float]:
    medians = statistics.median(larger), statistics.median(smaller)
    return {
        "read_ms_p50": _milliseconds(medians[0]),
        "read_ms_p95": _milliseconds(np.quantile(larger, 0.95)),
        "smaller_ms_p50": _milliseconds(medians[1]),
        "smaller_ms_p95": _milliseconds(np.quantile(smaller, 0.95)),
        "ratio": round(medians[0] / medians[1], 2),
    }


def _batch_times(database: FilledDatabase, batches: int) -> dict[str, float]:
    """Commit micro-batches; the first one warms up and does not count."""
    clock = _Clock(database.engine, "order_changes", "kpi_rollups")
    totals, rollups, rules = [], [], []
    for number in range(batches + 1):
        messages = as_messages(micro_batch(database.still_open, number))
        before = dict(clock.seconds)
        started, now = time.perf_counter(), dt.datetime.now(dt.UTC)
        orders = decode_messages(messages, now).orders
        applied = _commit(database.engine, _encoded(database.scorer, orders, now), now)
        totals.append(time.perf_counter() - started)
        upsert, counting = (clock.seconds[table] - before[table] for table in clock.seconds)
        rollups.append(counting)
        rules.append(applied - upsert - counting)
    share = (sum(rollups[1:]) + sum(rules[1:])) / sum(totals[1:])
    return {
        "batch_ms_p50": _milliseconds(statistics.median(totals[1:])),
        "rollups_ms_p50": _milliseconds(statistics.median(rollups[1:])),
        "rules_ms_p50": _milliseconds(statistics.median(rules[1:])),
        "rollups_and_rules_share": round(share, 3),
    }


def _milliseconds(seconds: float | np.float64) -> float:
    return round(float(seconds) * 1_000, 2)
