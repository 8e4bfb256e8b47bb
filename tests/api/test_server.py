"""The API as it is started: by uvicorn, over real HTTP."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from sqlalchemy.engine import Engine

from fulfillment_assets.local.ports import any_port
from fulfillment_assets.settings import PROJECT_ROOT
from tests.api.examples import new_key, url_of
from tests.cli.commands import bare_environment

CHUNK = b" " * 1024**2


@pytest.fixture
def served(engine: Engine, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """URL of a running API over a fresh database, and its log."""
    port, log = any_port(), tmp_path / "api.log"
    command = f"-m uvicorn fulfillment_api.app:create_app --factory --port {port} --no-access-log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *command.split()],
            cwd=tmp_path,
            env=bare_environment()
            | {"DATABASE_URL": url_of(engine), "PYTHONPATH": os.fspath(PROJECT_ROOT)},
            stderr=output,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(f"{url}/health/live", log)
        yield url, log
    finally:
        process.terminate()
        process.wait(10)


def wait_for(url: str, log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            assert httpx2.get(url).status_code == 200
            return
        except httpx2.TransportError:
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)


def test_it_is_open_to_this_machine_until_the_first_key_is_made(
    served: tuple[str, Path], engine: Engine
) -> None:
    url, _ = served
    assert httpx2.get(f"{url}/settings").status_code == 200
    assert httpx2.get(f"{url}/settings", headers={"Host": "evil.example"}).status_code == 403
    key = new_key(engine, "viewer")
    deadline = time.monotonic() + 20
    while httpx2.get(f"{url}/settings").status_code != 401:
        assert time.monotonic() < deadline
        time.sleep(0.5)
    assert httpx2.get(f"{url}/settings", headers={"X-API-Key": key}).status_code == 200


def test_a_body_that_is_too_large_ends_early(served: tuple[str, Path]) -> None:
    url, _ = served
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while sent < 1_000:
            sent += 1
            yield CHUNK

    try:
        status = httpx2.post(f"{url}/predict", content=endless()).status_code
    except httpx2.TransportError:  # it may hang up while we still write
        status = 413
    assert status == 413
    assert sent < 200
    assert httpx2.get(f"{url}/health/live").status_code == 200


def test_a_request_is_a_line_of_json_without_what_it_asked_for(served: tuple[str, Path]) -> None:
    url, log = served
    httpx2.get(f"{url}/orders/O-secret?x=secret", headers={"X-Request-ID": "r-7"})
    deadline = time.monotonic() + 10
    while '"r-7"' not in log.read_text():  # it is written after the response
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
    [line] = [text for text in log.read_text().splitlines() if '"r-7"' in text]
    told = json.loads(line)
    assert (told["event"], told["route"], told["status"], told["method"]) == (
        "request",
        "/api/v1/orders/{order_id}",
        404,
        "GET",
    )
    assert told["milliseconds"] > 0
    assert "secret" not in log.read_text()
