"""A process, told from every other one that has or will have its id. For Linux."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

_STATE: Final = 0
_START: Final = 19
"""Places of the fields after the name in `/proc/PID/stat`; see proc_pid_stat(5)."""

_POLL_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """What a process is known by, also to other processes and after a restart of the machine.

    Attributes:
        host: name of its machine, or container.
        pid: process id.
        ticks: when it started, in clock ticks since boot: unlike its wall-clock time of start,
            this does not move when the clock is set.
    """

    host: str
    pid: int
    ticks: int

    @classmethod
    def this(cls) -> Self:
        """This process."""
        return cls(socket.gethostname(), os.getpid(), _start_ticks(os.getpid()) or 0)

    @property
    def is_here(self) -> bool:
        """Whether it was started on this machine."""
        return self.host == socket.gethostname()

    @property
    def is_alive(self) -> bool:
        """Whether it runs on this machine; one that has ended and waits for its parent does not."""
        return self.is_here and _start_ticks(self.pid) == self.ticks

    def end(self, grace_seconds: float) -> None:
        """Interrupt it with SIGTERM, and kill it if it is still alive after the grace period."""
        self._send(signal.SIGTERM)
        deadline = time.monotonic() + grace_seconds
        while self.is_alive and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        if self.is_alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def _start_ticks(pid: int) -> int | None:
    """When a process started; None if none of that id runs."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[_STATE] in "ZX" else int(fields[_START])
