"""The processes of a PostgreSQL server, told apart from all others."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from fulfillment_assets.local.cluster import Cluster
from fulfillment_assets.local.guard import is_alive

_PID_FILE: Final = "postmaster.pid"
_ORPHAN_SECONDS: Final = 1.0
_POLL_SECONDS: Final = 0.02


@dataclass(frozen=True, slots=True)
class Postmaster:
    """A running server, as its pid file tells.

    Attributes:
        process: the server's first process, which ends last.
        port: the TCP port that it listens on.
        ready: whether it accepts connections.
    """

    process: psutil.Process
    port: int
    ready: bool


class ServerProcesses:
    """Finds the server that runs on a data directory, no matter who started it.

    Args:
        cluster: the data directory.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._pid_file = cluster.directory / _PID_FILE

    def postmaster(self) -> Postmaster | None:
        """The running server, or None.

        Raises:
            DataDirectoryError: the data is another user's.
        """
        self._cluster.check_owner()
        try:
            lines = self._pid_file.read_text().splitlines()
            process = psutil.Process(int(lines[0]))
            port = int(lines[3])
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (psutil.NoSuchProcess, IndexError, ValueError):
            # Its process is gone, or it is being written just now.
            return None
        if not self._is_server(process):
            return None
        return Postmaster(process, port, ready=[line.strip() for line in lines[7:]] == ["ready"])

    def clear_remains(self) -> None:
        """Clear away what a killed server left: its workers, and a pid file naming a stranger."""
        if not self._pid_file.exists():
            return
        if not wait_until(lambda: not self._all(), _ORPHAN_SECONDS):
            for process in self._all():
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            wait_until(lambda: not self._all(), _ORPHAN_SECONDS)
        self._pid_file.unlink(missing_ok=True)

    def _all(self) -> list[psutil.Process]:
        return [process for process in psutil.process_iter() if self._is_server(process)]

    def _is_server(self, process: psutil.Process) -> bool:
        """Whether a process belongs to this server: all of them work in the data directory."""
        try:
            if not is_alive(process) or process.name() != "postgres":
                return False
            return Path(process.cwd()) == self._cluster.directory
        except psutil.NoSuchProcess:
            return False
        except psutil.AccessDenied:
            # Better to take another's server for ours, and refuse to start, than the reverse.
            return process.uids().real == self._cluster.owner


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait for a condition; returns whether it came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True
