"""A large file handed in over HTTP: what it costs the worker in memory, and how fast it is.

One worker of uvicorn over a real PostgreSQL takes the file, as the body itself and as a form. The
client runs here, so both share the machine's cores. Memory is the worker's resident set, sampled
while the file is sent; what it had before, warmed up by a small file, is taken off.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from fulfillment_assets.local.ports import any_port
from fulfillment_assets.local.postgres import EmbeddedPostgres
from fulfillment_assets.orders.simulator import SimulationPlan, write_csv
from fulfillment_assets.settings import PROJECT_ROOT
from fulfillment_assets.store import migrate
from fulfillment_assets.store.partitions import utc_today

MEGABYTE: Final = 1024**2
BLOCK_BYTES: Final = MEGABYTE // 4

_SIMULATED_ROWS: Final = 20_000
_SAMPLED_EVERY: Final = 0.02
_BOUNDARY: Final = "fulfillment-benchmark"
_START_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class UploadTimes:
    """One way to hand in a file.

    Attributes:
        way: `raw`, or `multipart`.
        megabytes: of the file.
        seconds: from the first byte sent to the answer.
        megabytes_per_second: received, hashed, stored and synced.
        rss_before_mb: the worker's memory before, in MB.
        rss_growth_mb: how much more it had at most.
        cpu_seconds: the worker's.
    """

    way: str
    megabytes: int
    seconds: float
    megabytes_per_second: int
    rss_before_mb: int
    rss_growth_mb: float
    cpu_seconds: float


def run(megabytes: int) -> list[UploadTimes]:
    """Hand in a file of so many megabytes in both ways."""
    with tempfile.TemporaryDirectory(prefix="fulfillment-bench-") as name:
        folder = Path(name)
        orders = _orders(folder, megabytes * MEGABYTE)
        with EmbeddedPostgres(folder).running() as server:
            migrate.upgrade(server.url)
            with _worker(server.url, folder) as (process, port):
                return [_measure(process, port, orders, way) for way in ("raw", "multipart")]


def markdown(found: list[UploadTimes]) -> Iterator[str]:
    """The figures as a table, line by line."""
    yield "| upload | MB | seconds | MB/s | worker's CPU, s | RSS before, MB | RSS growth, MB |"
    yield "|---|--:|--:|--:|--:|--:|--:|"
    for one in found:
        yield (
            f"| {one.way} | {one.megabytes} | {one.seconds} | {one.megabytes_per_second} "
            f"| {one.cpu_seconds} | {one.rss_before_mb} | {one.rss_growth_mb} |"
        )


def _orders(folder: Path, size: int) -> Path:
    """A file of orders of a size: simulated ones, again and again; nobody scores them."""
    small = folder / "small.csv"
    write_csv(SimulationPlan(count=_SIMULATED_ROWS, seed=1, start=utc_today()), small)
    header, _, rows = small.read_bytes().partition(b"\n")
    path = folder / "orders.csv"
    with path.open("wb") as file:
        file.write(header + b"\n")
        while file.tell() < size:
            file.write(rows)
        file.truncate(size)
    return path


@contextlib.contextmanager
def _worker(url: str, folder: Path) -> Iterator[tuple[psutil.Process, int]]:
    port, log = any_port(), folder / "api.log"
    command = f"-m uvicorn fulfillment_api.app:create_app --factory --port {port} --no-access-log"
    environment = os.environ | {
        "DATABASE_URL": url,
        "FULFILLMENT_DATA_DIR": str(folder),
        "PYTHONPATH": str(PROJECT_ROOT),
    }
    with (
        log.open("wb") as lines,
        subprocess.Popen(
            [sys.executable, *command.split()], cwd=folder, env=environment, stderr=lines
        ) as process,
    ):
        try:
            _wait_until_alive(port, log)
            yield psutil.Process(process.pid), port
        finally:
            process.terminate()


def _wait_until_alive(port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("GET", "/health/live")
            if connection.getresponse().status == http.client.OK:
                return
        except OSError:
            if time.monotonic() > deadline:
                raise RuntimeError(f"the API does not start: {log.read_text()}") from None
            time.sleep(0.1)
        finally:
            connection.close()


def _measure(process: psutil.Process, port: int, orders: Path, way: str) -> UploadTimes:
    _send(port, [way.encode() * 1_000], 1_000 * len(way), way)
    size = orders.stat().st_size
    before, cpu = process.memory_info().rss, _cpu(process)
    started = time.perf_counter()
    with _peak_of(process) as peak:
        _send(port, _blocks(orders), size, way)
    seconds = time.perf_counter() - started
    return UploadTimes(
        way=way,
        megabytes=size // MEGABYTE,
        seconds=round(seconds, 2),
        megabytes_per_second=round(size / MEGABYTE / seconds),
        rss_before_mb=before // MEGABYTE,
        rss_growth_mb=round((max(peak) - before) / MEGABYTE, 1),
        cpu_seconds=round(_cpu(process) - cpu, 2),
    )


@contextlib.contextmanager
def _peak_of(process: psutil.Process) -> Iterator[list[int]]:
    """Samples of a process's memory, in bytes, taken during the block."""
    samples, done = [process.memory_info().rss], threading.Event()

    def sample() -> None:
        while not done.wait(_SAMPLED_EVERY):
            samples.append(process.memory_info().rss)

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield samples
    finally:
        done.set()
        thread.join()


def _send(port: int, content: Iterator[bytes] | list[bytes], size: int, way: str) -> None:
    """Send a file; it must be content that was not sent before."""
    body: Iterator[bytes] = iter(content)
    kind = "text/csv"
    if way == "multipart":
        head, tail = _form()
        body, size = _wrapped(head, body, tail), len(head) + size + len(tail)
        kind = f"multipart/form-data; boundary={_BOUNDARY}"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    with contextlib.closing(connection):
        headers = {"Content-Type": kind, "Content-Length": str(size)}
        connection.request("POST", "/predict/batch?again=true", body=body, headers=headers)
        response = connection.getresponse()
        answer = json.loads(response.read())
    if response.status not in (http.client.OK, http.client.ACCEPTED):
        raise RuntimeError(f"the upload was refused: {answer}")


def _form() -> tuple[bytes, bytes]:
    head = (
        f"--{_BOUNDARY}\r\nContent-Disposition: form-data; "
        'name="file"; filename="orders.csv"\r\nContent-Type: text/csv\r\n\r\n'
    )
    return head.encode(), f"\r\n--{_BOUNDARY}--\r\n".encode()


def _wrapped(head: bytes, body: Iterator[bytes], tail: bytes) -> Iterator[bytes]:
    yield head
    yield from body
    yield tail


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            yield block


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
