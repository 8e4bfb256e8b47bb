"""Processes are told apart, also from those that come after them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from fulfillment_assets.forkserver.identity import ProcessIdentity

TELL = """
import dataclasses, json, signal, sys, time
from fulfillment_assets.forkserver.identity import ProcessIdentity
signal.signal(signal.SIGTERM, getattr(signal, sys.argv[1]))
print(json.dumps(dataclasses.asdict(ProcessIdentity.this())), flush=True)
time.sleep(60)
"""


def start(disposition: str) -> tuple[subprocess.Popen[str], ProcessIdentity]:
    """A process that has or ignores SIGTERM, and what it knows itself by."""
    process = subprocess.Popen(
        [sys.executable, "-c", TELL, disposition], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, ProcessIdentity(**json.loads(process.stdout.readline()))


@pytest.fixture
def polite() -> Iterator[tuple[subprocess.Popen[str], ProcessIdentity]]:
    process, identity = start("SIG_DFL")
    yield process, identity
    process.kill()
    process.communicate()


def test_a_process_is_alive_until_it_ends(
    polite: tuple[subprocess.Popen[str], ProcessIdentity],
) -> None:
    process, identity = polite
    assert identity.pid == process.pid
    assert identity.is_here
    assert identity.is_alive
    process.kill()
    deadline = time.monotonic() + 10
    while identity.is_alive:  # it is a zombie then: nobody has waited for it
        assert time.monotonic() < deadline
    process.wait()
    assert not identity.is_alive


@pytest.mark.parametrize("other", [{"ticks": 1}, {"host": "elsewhere"}])
def test_another_process_of_the_same_id_is_neither_alive_nor_ended(
    polite: tuple[subprocess.Popen[str], ProcessIdentity], other: dict[str, object]
) -> None:
    process, identity = polite
    stranger = replace(identity, **other)  # type: ignore[arg-type]
    assert not stranger.is_alive
    stranger.end(grace_seconds=0)
    assert identity.is_alive
    assert process.poll() is None


def test_a_process_is_interrupted_first(
    polite: tuple[subprocess.Popen[str], ProcessIdentity],
) -> None:
    process, identity = polite
    identity.end(grace_seconds=10)
    assert process.wait(10) == -signal.SIGTERM


def test_a_process_that_ignores_it_is_killed() -> None:
    process, identity = start("SIG_IGN")
    identity.end(grace_seconds=0.2)
    assert process.wait(10) == -signal.SIGKILL
    process.communicate()


def test_this_process_is_alive() -> None:
    assert ProcessIdentity.this().pid == os.getpid()
    assert ProcessIdentity.this().is_alive
