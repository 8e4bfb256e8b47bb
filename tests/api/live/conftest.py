"""The API as uvicorn serves it: a stream has no end that a test client could wait for."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy.engine import Engine

from fulfillment_assets.local.ports import any_port
from fulfillment_assets.settings import PROJECT_ROOT
from tests.api.examples import url_of
from tests.api.test_server import wait_for
from tests.cli.commands import bare_environment


@dataclass(frozen=True)
class Server:
    """A running API.

    Attributes:
        log: what it writes.
    """

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def sockets(self) -> str:
        """Where its websockets are."""
        return self.url.replace("http", "ws")


Serve = Callable[[str], Server]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Serves the API over a database: `serve(url)`."""
    with ExitStack() as started:
        yield lambda url: started.enter_context(_served(url, tmp_path))


@pytest.fixture
def server(engine: Engine, serve: Serve) -> Server:
    """The API over a fresh database without keys."""
    return serve(url_of(engine))


@contextmanager
def _served(database: str, folder: Path) -> Iterator[Server]:
    port = any_port()
    log = folder / f"api-{port}.log"
    command = f"-m uvicorn fulfillment_api.app:create_app --factory --port {port} --no-access-log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *command.split()],
            cwd=folder,
            env=bare_environment()
            | {"DATABASE_URL": database, "PYTHONPATH": os.fspath(PROJECT_ROOT)},
            stderr=output,
        )
    server = Server(f"http://127.0.0.1:{port}", process, log)
    try:
        wait_for(f"{server.url}/health/live", log)
        yield server
    finally:
        process.terminate()
        process.wait(30)
