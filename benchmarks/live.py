"""The live stream with many clients: whether all receive all, and how soon after the commit.

One worker of uvicorn over a real PostgreSQL; the clients and the writer are one more process on the
same machine. An event is a deviation in a transaction of its own. Its latency runs from the moment
before COMMIT is sent to the moment at which a client has read it from its socket.
"""

from __future__ import annotations

import asyncio
import re
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from benchmarks.api import Worker, worker_of
from fulfillment_assets.local.postgres import EmbeddedPostgres
from fulfillment_assets.store import migrate
from fulfillment_assets.store.connection import create_engine

_PATIENCE: Final = 60.0
_CONNECTIONS_AT_ONCE: Final = 20
_NAME: Final = re.compile(rb'"order_id":"LIVE-(\d+)"')
_REQUEST: Final = b"GET /api/v1/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
_GREETING: Final = b"event: status"
_INSERT: Final = """
INSERT INTO deviations (prediction_id, order_id, kind, severity, reason, context)
VALUES (uuidv7(), :name, 'delay_risk', 'critical', 'A benchmark made it.', '{}')
"""


@dataclass(frozen=True, slots=True)
class LiveTimes:
    """What the clients received.

    Attributes:
        rate: events that were committed a second.
        missed: events that a client did not receive, over all clients.
        repeated: events that a client received more than once, over all clients.
        ms_p50: latency, from before the commit to the client, in milliseconds.
        worker_cpu_seconds: of the worker, in `seconds`.
    """

    clients: int
    events: int
    seconds: float
    rate: float
    received: int
    missed: int
    repeated: int
    ms_p50: float
    ms_p95: float
    ms_p99: float
    ms_max: float
    worker_cpu_seconds: float
    worker_rss_mb: int


def run(clients: int = 200, *, rate: float = 50.0, seconds: float = 30.0) -> LiveTimes:
    """Connect clients, commit events at a steady rate, and wait until all have come."""
    with tempfile.TemporaryDirectory(prefix="fulfillment-bench-") as name:
        folder = Path(name)
        with EmbeddedPostgres(folder).running() as server:
            migrate.upgrade(server.url)
            engine = create_engine(server.url)
            with worker_of(engine, folder / "api.log") as worker:
                times = asyncio.run(_measure(engine, worker, clients, rate, round(rate * seconds)))
            engine.dispose()
            return times


class _Client(asyncio.Protocol):
    """Notes when each event came; reads nothing else of what it is sent."""

    def __init__(self) -> None:
        self.greeted = asyncio.Event()
        self.came: list[tuple[int, float]] = []
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.WriteTransport):
            transport.write(_REQUEST)

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        whole, end, self._rest = (self._rest + data).rpartition(b"\n")
        if _GREETING in whole:
            self.greeted.set()
        self.came += [(int(number), now) for number in _NAME.findall(whole + end)]


def _same(client: _Client) -> _Client:
    return client


async def _measure(
    engine: Engine, worker: Worker, count: int, rate: float, events: int
) -> LiveTimes:
    clients = [_Client() for _ in range(count)]
    loop = asyncio.get_running_loop()
    for start in range(0, count, _CONNECTIONS_AT_ONCE):
        some = clients[start : start + _CONNECTIONS_AT_ONCE]
        for client in some:
            await loop.create_connection(partial(_same, client), "127.0.0.1", worker.port)
        await asyncio.wait_for(asyncio.gather(*(one.greeted.wait() for one in some)), _PATIENCE)
    before, started = worker.process.cpu_times(), time.perf_counter()
    committed = await asyncio.to_thread(_write, engine, rate, events)
    seconds = time.perf_counter() - started
    after = worker.process.cpu_times()
    deadline = time.monotonic() + _PATIENCE
    while any(len(one.came) < events for one in clients) and time.monotonic() < deadline:
        await asyncio.sleep(0.1)
    distinct = sum(len({number for number, _ in one.came}) for one in clients)
    received = sum(len(one.came) for one in clients)
    late = np.array([moment - committed[number] for one in clients for number, moment in one.came])
    p50, p95, p99 = np.round(np.percentile(late * 1_000, (50, 95, 99)), 1).tolist()
    return LiveTimes(
        clients=count,
        events=events,
        seconds=round(seconds, 1),
        rate=round(events / seconds, 1),
        received=received,
        missed=count * events - distinct,
        repeated=received - distinct,
        ms_p50=p50,
        ms_p95=p95,
        ms_p99=p99,
        ms_max=round(float(late.max()) * 1_000, 1),
        worker_cpu_seconds=round(after.user + after.system - before.user - before.system, 1),
        worker_rss_mb=worker.rss_mb,
    )


def _write(engine: Engine, rate: float, events: int) -> list[float]:
    """Commit so many events at a rate; gives the moment before each commit."""
    committed = []
    pause, started = threading.Event(), time.perf_counter()
    with engine.connect() as connection:
        for number in range(events):
            pause.wait(max(0.0, started + number / rate - time.perf_counter()))
            connection.execute(sa.text(_INSERT), {"name": f"LIVE-{number}"})
            committed.append(time.perf_counter())
            connection.commit()
    return committed


def markdown(times: LiveTimes) -> Iterator[str]:
    """The figures as a table, line by line."""
    yield (
        "| clients | events/s | events | received | missed, repeated | p50 / p95 / p99 / max ms "
        "| worker's CPU, s of s | RSS MB |"
    )
    yield "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    yield (
        f"| {times.clients} | {times.rate} | {times.events:,} | {times.received:,} "
        f"| {times.missed}, {times.repeated} "
        f"| {times.ms_p50} / {times.ms_p95} / {times.ms_p99} / {times.ms_max} "
        f"| {times.worker_cpu_seconds} of {times.seconds} | {times.worker_rss_mb} |"
    )
