"""A worker of uvicorn that serves the API, and clients that keep it busy from several threads."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx2
import psutil

from fulfillment_assets.local.ports import any_port
from fulfillment_assets.settings import PROJECT_ROOT
from tests.cli.commands import bare_environment
from tests.scoring.fixtures import MODELS

HANG_SECONDS: Final = 60.0
"""Whoever waits that long for an answer has met a hang."""

Request = tuple[str, str, Any]
"""Method, path, and what is sent as JSON, if not None."""


@dataclass(frozen=True)
class Worker:
    """A worker, and its log."""

    url: str
    process: psutil.Process
    log: Path

    def get(self, path: str) -> httpx2.Response:
        return httpx2.get(self.url + path, timeout=HANG_SECONDS)


@contextlib.contextmanager
def worker(database: str, folder: Path, **variables: str) -> Iterator[Worker]:
    """Serve the API over a database; variables are of its environment."""
    port, log = any_port(), folder / "api.log"
    command = f"-m uvicorn fulfillment_api.app:create_app --factory --port {port} --no-access-log"
    environment = bare_environment() | {
        "DATABASE_URL": database,
        "PYTHONPATH": os.fspath(PROJECT_ROOT),
        "FULFILLMENT_MODELS_DIR": os.fspath(MODELS),
        **variables,
    }
    with (
        log.open("wb") as lines,
        subprocess.Popen(
            [sys.executable, *command.split()], cwd=folder, env=environment, stderr=lines
        ) as process,
    ):
        found = Worker(f"http://127.0.0.1:{port}", psutil.Process(process.pid), log)
        try:
            wait_until(lambda: _is_alive(found), f"{found.url} is alive", log)
            yield found
        finally:
            process.terminate()
            process.wait(60)


def wait_until(holds: Callable[[], bool], what: str, log: Path, seconds: float = 120.0) -> None:
    """Wait for a condition, with the end of the log to explain why it does not come true."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"never: {what}\n{log.read_text()[-3_000:]}"
        time.sleep(0.1)


def _is_alive(found: Worker) -> bool:
    try:
        return httpx2.get(f"{found.url}/health/live").status_code == 200
    except httpx2.TransportError:
        return False


@dataclass(frozen=True)
class Answer:
    """What a client got; status 0 where the connection broke or nothing came."""

    path: str
    status: int
    headers: dict[str, str]
    began: float
    seconds: float


@dataclass
class Clients:
    """Threads that send one request after another, each its own, until they are told to stop."""

    worker: Worker
    make: Callable[[int], list[Request]]
    answers: list[Answer] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def busy(self, threads: int) -> Iterator[None]:
        """Keep the worker busy during the block."""
        asking = [threading.Thread(target=self._ask, args=(place,)) for place in range(threads)]
        for thread in asking:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in asking:
                thread.join()

    def since(self, moment: float) -> list[Answer]:
        """The answers to requests that began after a moment of `time.monotonic`."""
        return [answer for answer in list(self.answers) if answer.began >= moment]

    def wait_for(self, status: int, paths: set[str], *, count: int = 5) -> None:
        """Wait until each path has this status several times from now on."""
        begun = time.monotonic()

        def seen() -> bool:
            found = [one.path for one in self.since(begun) if one.status == status]
            return all(found.count(path) >= count for path in paths)

        wait_until(seen, f"{status} of {paths}", self.worker.log)

    def _ask(self, place: int) -> None:
        number = 0
        host = self.worker.url.removeprefix("http://")
        connection = http.client.HTTPConnection(host, timeout=HANG_SECONDS)
        while not self._stop.is_set():
            number += 1
            for method, path, body in self.make(place * 1_000_000 + number):
                self.answers.append(_answer(connection, method, path, body))
        connection.close()


def _answer(connection: http.client.HTTPConnection, method: str, path: str, body: Any) -> Answer:
    began = time.monotonic()
    data = None if body is None else json.dumps(body)
    headers = {} if body is None else {"Content-Type": "application/json"}
    try:
        connection.request(method, path, data, headers)
        response = connection.getresponse()
        response.read()
    except (OSError, http.client.HTTPException):
        connection.close()
        return Answer(path, 0, {}, began, time.monotonic() - began)
    found = {name.lower(): value for name, value in response.getheaders()}
    return Answer(path, response.status, found, began, time.monotonic() - began)
