"""What processes take, with their descendants."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from benchmarks.usage import cpu_seconds, rss_mb

PROGRAM = """
import subprocess, sys, time
burn = "import time\\nwhile time.process_time() < 0.3: pass"
subprocess.run([sys.executable, "-c", burn])
child = subprocess.Popen([sys.executable, "-c", burn + "\\nprint(flush=True)\\ntime.sleep(60)"])
time.sleep(60)
"""


@pytest.fixture
def family() -> Iterator[int]:
    """A process with one child that ended, and one that lives; each took 0.3 CPU seconds."""
    process = subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    yield process.pid
    for pid in _children(process.pid):
        os.kill(pid, 9)
    process.kill()
    process.wait()
    process.stdout.close()


def _children(pid: int) -> list[int]:
    import psutil

    return [child.pid for child in psutil.Process(pid).children()]


def test_cpu_seconds_include_those_of_children_dead_and_alive(family: int) -> None:
    assert 0.55 < cpu_seconds({"family": family})["family"] < 5


def test_memory_is_that_of_the_process_while_its_children_are_young(family: int) -> None:
    assert 2 < rss_mb({"family": family})["family"] < 40


def test_a_process_that_is_gone_takes_nothing() -> None:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    assert rss_mb({"gone": done.pid}) == {}
    assert cpu_seconds({"gone": done.pid}) == {"gone": 0.0}
