"""The load tool: it sends what it is given, waits for whole answers, and counts what fails."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from benchmarks.api_load import BROKEN, NUMBER, load, own_rate, request

BODY = b"x" * 100_000


@contextmanager
def serving(answer: Callable[[bytes], list[bytes]]) -> Iterator[int]:
    """A server that answers each request in parts, and hangs up where there are none."""

    def serve(client: socket.socket) -> None:
        with client, contextlib.suppress(ConnectionError):
            while asked := client.recv(65_536):
                parts = answer(asked)
                if not parts:
                    return
                for part in parts:
                    client.sendall(part)

    def accept(door: socket.socket) -> None:
        while True:
            try:
                client, _ = door.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(client,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as door:
        threading.Thread(target=accept, args=(door,), daemon=True).start()
        yield door.getsockname()[1]


def test_a_long_answer_in_parts_is_one_answer() -> None:
    head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(BODY)}\r\n\r\n".encode()
    with serving(lambda _: [head[:20], head[20:], BODY[:7], BODY[7:]]) as port:
        found = load(port, [request("/")], connections=2, seconds=0.3)
    assert set(found.statuses) == {"200"}
    assert found.errors == 0
    assert 0 < found.ms_p50 <= found.ms_p95 <= found.ms_p99


@pytest.mark.parametrize(
    ("answer", "status"),
    [([b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"], "503"), ([], BROKEN)],
)
def test_an_answer_that_is_none_is_an_error(answer: list[bytes], status: str) -> None:
    with serving(lambda _: answer) as port:
        found = load(port, [request("/")], connections=1, seconds=0.3)
    assert found.errors == found.statuses[status] > 0


def test_each_request_has_its_own_number() -> None:
    seen: list[bytes] = []

    def note(asked: bytes) -> list[bytes]:
        seen.append(asked[-12:])
        return [b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"]

    with serving(note) as port:
        load(port, [request("/predict", body=b'"' + NUMBER + b'"')], connections=2, seconds=0.3)
    assert len(seen) == len(set(seen)) > 1
    assert b'"0000000001"' in seen


def test_it_tells_what_it_manages_itself() -> None:
    assert own_rate(0.3) > 0
