"""A load tool that costs little: keep-alive connections, requests that are bytes already.

The loop is closed: each connection sends its next request once it has read the answer to the
last. It runs in a process of its own, on one thread, and knows of HTTP only what it needs.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import selectors
import socket
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Final

NUMBER: Final = b"@@@@@@@@@@"
"""In a request: becomes the number of the request, in as many digits."""

WARM_UP_SECONDS: Final = 2.0
BROKEN: Final = "broken"
"""Stands for the status of an answer that was never read to its end."""

_HOST: Final = "127.0.0.1"
_PATIENCE_SECONDS: Final = 60.0
_RECEIVE: Final = 256 * 1024
_LENGTH: Final = b"\r\ncontent-length: "
_ANSWER: Final = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


@dataclass(frozen=True, slots=True)
class Load:
    """What a load met.

    Attributes:
        seconds: for which it was measured, after a warm-up.
        statuses: how many answers had which status, those of the warm-up too.
        ms_p50: latency, from the first byte sent to the last one read, in milliseconds.
    """

    requests: int
    seconds: float
    statuses: dict[str, int]
    ms_p50: float
    ms_p95: float
    ms_p99: float

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds

    @property
    def errors(self) -> int:
        """Answers that were none, or whose status was not 200."""
        return sum(count for status, count in self.statuses.items() if status != "200")


def load(
    port: int, requests: Sequence[bytes], *, connections: int = 8, seconds: float = 5.0
) -> Load:
    """Send requests, one after the other and from the first again, from a process of its own.

    Args:
        port: of a server on loopback.
        requests: whole requests, each with the header Host; see `NUMBER`.
        connections: so many are sent at a time.
        seconds: how long to measure, after a warm-up.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as elsewhere:
        return elsewhere.submit(_drive, port, requests, connections, seconds).result()


def own_rate(seconds: float = 3.0) -> float:
    """Requests a second that the tool itself manages, against a server that does nothing."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as elsewhere, _listening() as door:
        served = elsewhere.submit(_answer_all, door)
        found = load(door.getsockname()[1], [request("/")], seconds=seconds)
        served.result()
    return found.rate


def request(path: str, *, key: str = "", body: bytes = b"", method: str = "") -> bytes:
    """The bytes of a request; a POST of JSON where there is a body."""
    lines = [
        f"{method or ('POST' if body else 'GET')} {path} HTTP/1.1",
        f"Host: {_HOST}",
        *([f"X-API-Key: {key}"] if key else []),
        *(["Content-Type: application/json", f"Content-Length: {len(body)}"] if body else []),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass(slots=True, eq=False)
class _Connection:
    """One connection, on which one request at a time is under way."""

    port: int
    socket: socket.socket = field(init=False)
    sent_at: float = 0.0
    received: bytes = b""

    def __post_init__(self) -> None:
        self.socket = socket.create_connection((_HOST, self.port), _PATIENCE_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data: bytes) -> None:
        self.received = b""
        self.sent_at = time.perf_counter()
        with contextlib.suppress(ConnectionError):  # which the next `receive` tells
            self.socket.sendall(data)

    def receive(self) -> str | None:
        """The status of the answer, once it has arrived as a whole."""
        try:
            data = self.socket.recv(_RECEIVE)
        except ConnectionError:
            return BROKEN
        if not data:
            return BROKEN
        self.received = data = self.received + data if self.received else data
        start = data.find(b"\r\n\r\n")
        if start < 0:
            return None
        place = data.find(_LENGTH, 0, start)
        length = 0 if place < 0 else int(data[place + len(_LENGTH) :].split(b"\r", 1)[0])
        return None if len(data) < start + 4 + length else data[9:12].decode()


def _drive(port: int, requests: Sequence[bytes], connections: int, seconds: float) -> Load:
    import numpy as np

    gc.disable()
    data = (
        wanted.replace(NUMBER, b"%010d" % number)
        for number, wanted in enumerate(itertools.cycle(requests))
    )
    latencies: list[float] = []
    statuses: Counter[str] = Counter()
    begins = time.perf_counter() + WARM_UP_SECONDS
    ends = begins + seconds
    with selectors.DefaultSelector() as selector:
        for _ in range(connections):
            _open(selector, port).send(next(data))
        while (now := time.perf_counter()) < ends:
            for key, _ in selector.select(_PATIENCE_SECONDS):
                connection: _Connection = key.data
                status = connection.receive()
                if status is None:
                    continue
                now = time.perf_counter()
                if begins <= now < ends:
                    latencies.append(now - connection.sent_at)
                statuses[status] += 1
                if status == BROKEN:
                    selector.unregister(connection.socket)
                    connection.socket.close()
                    connection = _open(selector, port)
                connection.send(next(data))
        for key in list(selector.get_map().values()):
            key.data.socket.close()
    if not latencies:
        raise RuntimeError(f"no request was answered within {seconds:.0f} seconds")
    p50, p95, p99 = (round(float(ms), 2) for ms in np.quantile(latencies, [0.5, 0.95, 0.99]) * 1e3)
    return Load(len(latencies), seconds, dict(statuses), p50, p95, p99)


def _open(selector: selectors.BaseSelector, port: int) -> _Connection:
    connection = _Connection(port)
    selector.register(connection.socket, selectors.EVENT_READ, connection)
    return connection


@contextlib.contextmanager
def _listening() -> Iterator[socket.socket]:
    with socket.create_server((_HOST, 0)) as door:
        yield door


def _answer_all(door: socket.socket) -> None:
    """Answer every request with the same bytes, until the last connection was closed."""
    with selectors.DefaultSelector() as selector:
        selector.register(door, selectors.EVENT_READ)
        served = 0
        while not served or len(selector.get_map()) > 1:
            for key, _ in selector.select():
                if key.fileobj is door:
                    client, _ = door.accept()
                    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    selector.register(client, selectors.EVENT_READ, client)
                elif _answered(key.data):
                    served += 1
                else:
                    selector.unregister(key.data)
                    key.data.close()


def _answered(client: socket.socket) -> bool:
    try:
        if asked := client.recv(_RECEIVE):
            client.sendall(_ANSWER)
        return bool(asked)
    except ConnectionError:
        return False
