"""The batch path, CSV to committed rows, against the floor: a bare COPY of the same rows.

Both are timed in one run on one server, so their ratio holds on a noisy machine. The embedded
PostgreSQL runs with fsync on. CPU seconds of PostgreSQL are those of all its processes.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import resource
import statistics
import tempfile
import time
import uuid
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Final, NamedTuple

import psutil
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from fulfillment_assets.delay_model.scorer import DelayScorer
from fulfillment_assets.deviations.severity import Thresholds
from fulfillment_assets.local.postgres import EmbeddedPostgres
from fulfillment_assets.orders.csv_reader import read_orders
from fulfillment_assets.orders.simulator import SimulationPlan, write_csv
from fulfillment_assets.scoring.drop_folder import claim
from fulfillment_assets.scoring.pipeline import score_file
from fulfillment_assets.scoring.rows import Arrival, prediction_rows, score_orders
from fulfillment_assets.settings import Settings
from fulfillment_assets.store import migrate
from fulfillment_assets.store.connection import create_engine
from fulfillment_assets.store.copy import copy_into, encode
from fulfillment_assets.store.partitions import utc_today

DAYS: Final = 30
WARM_UP_ROWS: Final = 1_000
HISTORY_FILE_ROWS: Final = 250_000


class Sample(NamedTuple):
    """Seconds of one scored file: wall clock, CPU of this process, CPU of PostgreSQL."""

    seconds: float
    client: float
    server: float


@dataclass(frozen=True, slots=True)
class BatchTimes:
    """Seconds, and what follows from them."""

    rows: int
    history: int
    seconds: float
    rows_per_second: int
    cpu_seconds_client: float
    cpu_seconds_postgres: float
    rows_per_cpu_second: int
    copy_floor_seconds: float
    ratio_to_floor: float
    peak_rss_mb: int


@dataclass(frozen=True, slots=True)
class _Bench:
    engine: Engine
    settings: Settings
    scorer: DelayScorer
    server: psutil.Process

    def score(self, orders: Path, *, received_at: dt.datetime | None = None) -> Sample:
        """Score a file from claim to commit and archive; the file itself stays."""
        before = self._cpu()
        started = time.perf_counter()
        job = claim(self.engine, self.settings, orders, keep=True).job
        if received_at is not None:
            self._backdate(job.id, received_at)
        score_file(self.engine, self.settings, self.scorer, job.id, run_id="benchmark")
        seconds = time.perf_counter() - started
        after = self._cpu()
        return Sample(seconds, after[0] - before[0], after[1] - before[1])

    def copy_floor(self, orders: Path) -> float:
        """Seconds of a bare COPY of the file's prediction rows into a plain table."""
        arrival = Arrival("batch", dt.datetime.now(dt.UTC), uuid.uuid4())
        encoded = [
            encode(prediction_rows(scored, arrival))
            for batch in read_orders(orders)
            for scored in [score_orders(batch.orders, self.scorer, Thresholds(), arrival)]
        ]
        with self.engine.begin() as connection:
            connection.execute(sa.text("DROP TABLE IF EXISTS copy_floor"))
            connection.execute(
                sa.text("CREATE TABLE copy_floor AS SELECT * FROM predictions WITH NO DATA")
            )
        started = time.perf_counter()
        with self.engine.begin() as connection:
            for chunk in encoded:
                copy_into(connection, "copy_floor", chunk)
        return time.perf_counter() - started

    def add_history(self, rows: int) -> None:
        """Fill the database with other orders, received on the days before today."""
        files = -(-rows // HISTORY_FILE_ROWS)
        for number in range(files):
            count = min(HISTORY_FILE_ROWS, rows - number * HISTORY_FILE_ROWS)
            orders = simulated(self.settings, count, seed=1_000 + number)
            day = dt.datetime.now(dt.UTC) - dt.timedelta(days=1 + number % DAYS)
            self.score(orders, received_at=day)
            orders.unlink()
        with self.engine.begin() as connection:
            connection.execute(sa.text("ANALYZE"))

    def _backdate(self, job_id: uuid.UUID, received_at: dt.datetime) -> None:
        with self.engine.begin() as connection:
            connection.execute(
                sa.text("UPDATE batch_jobs SET created_at = :at WHERE id = :id"),
                {"at": received_at, "id": job_id},
            )

    def _cpu(self) -> tuple[float, float]:
        """CPU seconds so far of this process, and of all processes of the server."""
        client = time.process_time()
        main = self.server.cpu_times()
        server = main.user + main.system + main.children_user + main.children_system
        for child in self.server.children():
            with contextlib.suppress(psutil.NoSuchProcess):
                server += sum(child.cpu_times()[:2])
        return client, server


def run(rows: int, *, history: int = 0, repeats: int = 3) -> BatchTimes:
    """Score `repeats` files of `rows` simulated orders each into a database holding `history`.

    Times are medians over the repeats.
    """
    with tempfile.TemporaryDirectory(prefix="fulfillment-bench-") as folder:
        settings = Settings().model_copy(update={"data_dir": Path(folder), "inbox_dir": None})
        with EmbeddedPostgres(settings.data_dir).running() as server:
            migrate.upgrade(server.url)
            engine = create_engine(server.url)
            scorer = DelayScorer.load(settings.models_dir)
            bench = _Bench(engine, settings, scorer, _postmaster(engine))
            times = _measure(bench, rows, history, repeats)
            engine.dispose()
    return times


def _postmaster(engine: Engine) -> psutil.Process:
    with engine.connect() as connection:
        backend = connection.scalar(sa.text("SELECT pg_backend_pid()"))
    parent = psutil.Process(backend).parent()
    if parent is None:
        raise RuntimeError("PostgreSQL has no main process")
    return parent


def simulated(settings: Settings, rows: int, *, seed: int) -> Path:
    """A file of simulated orders of the last 30 days, made where its memory does not count."""
    out = settings.data_dir / f"orders-{seed}.csv"
    plan = SimulationPlan(
        count=rows, seed=seed, start=utc_today() - dt.timedelta(days=DAYS), days=DAYS
    )
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as elsewhere:
        elsewhere.submit(write_csv, plan, out).result()
    return out


def _measure(bench: _Bench, rows: int, history: int, repeats: int) -> BatchTimes:
    bench.add_history(history)
    bench.score(simulated(bench.settings, WARM_UP_ROWS, seed=1))
    samples, floors, peak = [], [], 0
    for repeat in range(repeats):
        orders = simulated(bench.settings, rows, seed=2 + repeat)
        samples.append(bench.score(orders))
        if repeat == 0:  # before the floor, which holds a whole file in memory
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        floors.append(bench.copy_floor(orders))
    seconds = statistics.median(sample.seconds for sample in samples)
    client = statistics.median(sample.client for sample in samples)
    server = statistics.median(sample.server for sample in samples)
    floor = statistics.median(floors)
    return BatchTimes(
        rows=rows,
        history=history,
        seconds=round(seconds, 3),
        rows_per_second=round(rows / seconds),
        cpu_seconds_client=round(client, 3),
        cpu_seconds_postgres=round(server, 3),
        rows_per_cpu_second=round(rows / (client + server)),
        copy_floor_seconds=round(floor, 3),
        ratio_to_floor=round(seconds / floor, 2),
        peak_rss_mb=peak,
    )
