"""The API at scale: one worker of uvicorn over 1,000,000 orders, asked over real HTTP.

Two databases of one server hold simulated orders of the last 30 days; the smaller one tells what
the number of orders costs. Each is served by a worker of its own, of which one at a time works.
Worker, PostgreSQL and the load tool share the machine.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from benchmarks.api_cases import Case, cases_for
from benchmarks.api_history import add_history
from benchmarks.api_load import load, own_rate
from benchmarks.kpi import DAYS, filled
from fulfillment_api.roles import Role
from fulfillment_api.security.keys import create_key
from fulfillment_assets.delay_model.scorer import DelayScorer
from fulfillment_assets.local.ports import any_port
from fulfillment_assets.local.postgres import EmbeddedPostgres
from fulfillment_assets.settings import PROJECT_ROOT, Settings

_OURS: Final = ("DATABASE_URL", "DAGSTER", "FULFILLMENT_", "KAFKA_", "CHROMA_", "OPENAI_")
_START_SECONDS: Final = 60.0
_MEGABYTE: Final = 1024**2
_SESSIONS: Final = (
    "SELECT count(*) FROM pg_stat_activity "
    "WHERE datname = current_database() AND application_name = 'fulfillment'"
)


@dataclass(frozen=True, slots=True)
class Result:
    """What one case gave.

    Attributes:
        ms_p50: latency, from the first byte sent to the last one read, in milliseconds.
        errors: answers that were none, or whose status was not 200.
        rss_mb_before: resident memory of the worker; with `rss_mb`, what the case added to it.
        sessions: connections of the worker to PostgreSQL afterwards.
        files: files and sockets that the worker has open afterwards.
        smaller_ms_p95: the same with the smaller number of orders; None for writes.
        ratio: of the medians of both.
        reached: whether every bar of the case is reached; None where it has none.
    """

    name: str
    rate: int
    ms_p50: float
    ms_p95: float
    ms_p99: float
    errors: int
    rss_mb_before: int
    rss_mb: int
    sessions: int
    files: int
    smaller_ms_p50: float | None
    smaller_ms_p95: float | None
    ratio: float | None
    bar: str
    reached: bool | None


@dataclass(frozen=True, slots=True)
class ApiTimes:
    """What all cases gave.

    Attributes:
        deviations: in the larger database.
        tool_rate: requests a second that the load tool manages against a server of no work.
    """

    orders: int
    smaller_orders: int
    deviations: int
    tool_rate: int
    cases: list[Result]


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker of uvicorn over one database."""

    engine: Engine
    process: psutil.Process
    port: int

    @property
    def rss_mb(self) -> int:
        """Its resident memory."""
        return int(self.process.memory_info().rss) // _MEGABYTE

    @property
    def sessions(self) -> int:
        """Its connections to PostgreSQL; what it is asked through does not count."""
        with self.engine.connect() as connection:
            return int(connection.execute(sa.text(_SESSIONS)).scalar_one()) - 1


@dataclass(frozen=True, slots=True)
class _Served:
    """A filled database, and the worker that serves it."""

    worker: Worker
    cases: dict[str, Case]
    deviations: int


def run(
    orders: int = 1_000_000,
    *,
    smaller: int = 10_000,
    only: Sequence[str] = (),
    seconds: float = 3.0,
    connections: int = 8,
) -> ApiTimes:
    """Fill two databases, serve them, and put every case to both.

    Args:
        orders: in the larger one.
        smaller: orders in the other one.
        only: cases whose name holds one of these; none means all.
        seconds: for which each case is measured, after a second of warm-up.
        connections: how many requests are under way at a time.
    """
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fulfillment-bench-")))
        server = stack.enter_context(EmbeddedPostgres(folder).running())
        few = stack.enter_context(_served(server.url, "smaller", smaller, folder))
        many = stack.enter_context(_served(server.url, "larger", orders, folder))
        results = [
            _measure(case, many.worker, few if case.is_read else None, seconds, connections)
            for case in many.cases.values()
            if not only or any(part in case.name for part in only)
        ]
        return ApiTimes(orders, smaller, many.deviations, round(own_rate()), results)


def _measure(
    case: Case, worker: Worker, few: _Served | None, seconds: float, connections: int
) -> Result:
    before = worker.rss_mb
    found = load(worker.port, case.requests, connections=connections, seconds=seconds)
    after, sessions, files = worker.rss_mb, worker.sessions, worker.process.num_fds()
    less = None
    if few is not None:
        requests = few.cases[case.name].requests
        less = load(few.worker.port, requests, connections=connections, seconds=seconds)
    return Result(
        name=case.name,
        rate=round(found.rate),
        ms_p50=found.ms_p50,
        ms_p95=found.ms_p95,
        ms_p99=found.ms_p99,
        errors=found.errors,
        rss_mb_before=before,
        rss_mb=after,
        sessions=sessions,
        files=files,
        smaller_ms_p50=None if less is None else less.ms_p50,
        smaller_ms_p95=None if less is None else less.ms_p95,
        ratio=None if less is None else round(found.ms_p50 / less.ms_p50, 2),
        bar=_bar(case),
        reached=_reached(case, found.rate, found.ms_p95),
    )


def _bar(case: Case) -> str:
    rate = "" if case.least_rate is None else f">= {case.least_rate:,.0f} req/s"
    p95 = "" if case.most_p95 is None else f"p95 <= {case.most_p95:.0f} ms"
    return ", ".join(filter(None, (rate, p95)))


def _reached(case: Case, rate: float, p95: float) -> bool | None:
    met = [
        *([] if case.least_rate is None else [rate >= case.least_rate]),
        *([] if case.most_p95 is None else [p95 <= case.most_p95]),
    ]
    return all(met) if met else None


@contextlib.contextmanager
def _served(url: str, name: str, orders: int, folder: Path) -> Iterator[_Served]:
    scorer = DelayScorer.load(Settings().models_dir)
    with filled(url, name, scorer, orders) as database:
        deviations = add_history(database.engine, orders=orders, days=DAYS)
        with database.engine.begin() as connection:
            _, key = create_key(connection, name="bench", role=Role.OPERATOR)
            cases = {case.name: case for case in cases_for(connection, key)}
        with worker_of(database.engine, folder / f"{name}.log") as worker:
            yield _Served(worker, cases, deviations)


@contextlib.contextmanager
def worker_of(engine: Engine, log: Path, **variables: str) -> Iterator[Worker]:
    """The API over a database, in one worker of uvicorn, with limits that no load reaches.

    Args:
        engine: of the database; it is asked for the worker's sessions, too.
        log: where its lines go.
        variables: more of its environment.
    """
    port = any_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    environment |= {
        "DATABASE_URL": engine.url.render_as_string(hide_password=False),
        "FULFILLMENT_API_RATE_PER_KEY": "1000000",
        "FULFILLMENT_API_RATE_PER_ADDRESS": "1000000",
        "FULFILLMENT_DATA_DIR": os.fspath(log.parent),
        **variables,
    }
    command = f"-m uvicorn fulfillment_api.app:create_app --factory --no-access-log --port {port}"
    with (
        log.open("wb") as lines,
        subprocess.Popen(
            [sys.executable, *command.split()], cwd=PROJECT_ROOT, env=environment, stderr=lines
        ) as process,
    ):
        try:
            _wait_until_alive(process, port, log)
            yield Worker(engine, psutil.Process(process.pid), port)
        finally:
            process.terminate()


def _wait_until_alive(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/health/live")
            if connection.getresponse().status == http.HTTPStatus.OK:
                return
        time.sleep(0.1)
    raise RuntimeError(f"the API did not start:\n{log.read_text()[-2_000:]}")


def markdown(times: ApiTimes) -> Iterator[str]:
    """The results as lines of Markdown tables."""
    yield (
        f"{times.orders:,} orders and {times.deviations:,} deviations, beside "
        f"{times.smaller_orders:,} orders; the load tool alone manages {times.tool_rate:,} req/s."
    )
    yield ""
    yield (
        "| request | req/s | p50 / p95 / p99 ms | errors | p50 / p95 ms with fewer orders | ratio "
        "| bar | RSS MB | sessions, files |"
    )
    yield "| --- | ---: | ---: | ---: | ---: | ---: | --- | ---: | ---: |"
    for one in times.cases:
        yield _row(one)


def _row(one: Result) -> str:
    missed = "" if one.reached is not False else " (missed)"
    less = "" if one.ratio is None else f"{one.smaller_ms_p50} / {one.smaller_ms_p95}"
    return (
        f"| `{one.name}` | {one.rate:,} | {one.ms_p50} / {one.ms_p95} / {one.ms_p99} "
        f"| {one.errors} | {less} | {'' if one.ratio is None else one.ratio} | {one.bar}{missed} "
        f"| {one.rss_mb_before} to {one.rss_mb} | {one.sessions}, {one.files} |"
    )
