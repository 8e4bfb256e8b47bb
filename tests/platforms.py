"""A platform of a test's own, started as its users start it: with one command, in a process."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil
import pytest
from filelock import FileLock

from fulfillment_assets.local.ports import any_port
from fulfillment_assets.settings import PROJECT_ROOT
from tests.cli.commands import MAIN, bare_environment

WAIT_SECONDS: Final = 90.0

_IS_UP: Final = "The platform is up"


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    """The first true value of a condition."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {WAIT_SECONDS:.0f} s: {what}"
        time.sleep(0.02)
    return value


@dataclass
class Platform:
    """A platform in a folder of its own, run by one `fulfillment` command."""

    data_dir: Path
    start_lock: Path
    environment: dict[str, str]
    process: subprocess.Popen[str] | None = None
    output: list[str] = field(default_factory=list)

    def launch(self, command: str) -> subprocess.Popen[str]:
        """Start a command on this platform, without a terminal."""
        return subprocess.Popen(
            [sys.executable, "-c", MAIN, command],
            cwd=PROJECT_ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def start(self, command: str) -> None:
        """Start a command and wait until the platform is up.

        One after the other: two platforms that start at once could choose the same port.
        """
        with FileLock(self.start_lock):
            self.process = self.launch(command)
            assert self.process.stdout is not None
            for line in self.process.stdout:
                self.output.append(line)
                if line.startswith("└") and _IS_UP in "".join(self.output):
                    return
        raise AssertionError("".join(self.output))

    def end(self) -> int:
        """Wait for the end of the command; returns its exit status."""
        assert self.process is not None
        assert self.process.stdout is not None
        # Not `communicate`: it does not see the lines that were read ahead.
        self.output.extend(self.process.stdout)
        return self.process.wait(WAIT_SECONDS)

    def left_behind(self) -> list[str]:
        """The processes that still belong to the platform, whoever started them."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                ours = process.environ().get("FULFILLMENT_DATA_DIR") == str(self.data_dir)
                if ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(" ".join(process.cmdline()))
        return found


@pytest.fixture
def platform(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform on a machine without Java."""
    data_dir = tmp_path / "data"
    environment = bare_environment() | {"PATH": path_without_java(tmp_path / "bin")}
    for name in ("POSTGRES", "KAFKA", "DAGSTER", "API"):
        environment[f"FULFILLMENT_{name}_PORT"] = str(any_port())
    environment["FULFILLMENT_DATA_DIR"] = str(data_dir)
    lock = tmp_path_factory.getbasetemp().parent / "platform.lock"
    started = Platform(data_dir, lock, environment)
    yield started
    if started.process is not None and started.process.poll() is None:
        started.process.terminate()
        started.process.wait(WAIT_SECONDS)


def path_without_java(directory: Path) -> str:
    """A directory with all the programs of PATH but Java and Maven."""
    directory.mkdir()
    for folder in reversed(os.get_exec_path()):
        for program in Path(folder).glob("*"):
            link = directory / program.name
            link.unlink(missing_ok=True)
            if program.name not in {"java", "mvn"}:
                link.symlink_to(program)
    return str(directory)
