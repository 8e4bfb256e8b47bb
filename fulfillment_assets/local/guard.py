"""Ends processes by a mark in their environment, also on behalf of a supervisor that was killed.

The mark is the name of an environment variable. Children inherit it, so it finds a whole tree,
with the processes in it that forked twice or opened a session of their own.

As a program, `guard.py MARK GRACE_SECONDS` waits for the end of its standard input, which comes
with the end of the supervisor, however it ended, and then ends what is still there.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from typing import Final

import psutil

MARK_PREFIX: Final = "FULFILLMENT_SUPERVISED_BY_"

_POLL_SECONDS: Final = 0.05
_KILL_SECONDS: Final = 10.0
_EXEC_SECONDS: Final = 0.2


def find(mark: str, value: str | None = None) -> list[psutil.Process]:
    """The living processes that carry the mark, and those that share a session with one of them.

    Args:
        mark: name of the environment variable.
        value: only processes whose variable has this value; None for any.
    """
    sessions: dict[psutil.Process, int] = {}
    marked: set[int] = set()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            session = sessions[process] = os.getsid(process.pid)
            environment = process.environ()
            if mark in environment and value in {None, environment[mark]}:
                marked.add(session)
    return [process for process, session in sessions.items() if session in marked]


def terminate(mark: str, grace_seconds: float, value: str | None = None) -> list[psutil.Process]:
    """End the processes that `find` finds: SIGTERM first, SIGKILL after the grace period.

    Returns once none is left, or with those that even SIGKILL did not end within ten seconds.
    """
    asked: set[psutil.Process] = set()
    deadline = time.monotonic() + grace_seconds
    # One that is about to end has lost its environment, and with it the mark, before it is gone.
    while processes := {*find(mark, value), *filter(is_alive, asked)}:
        now = time.monotonic()
        if now > deadline + _KILL_SECONDS:
            break
        for process in processes:
            with contextlib.suppress(psutil.Error):
                if now > deadline:
                    process.kill()
                elif process not in asked:
                    process.terminate()
        asked |= processes
        time.sleep(_POLL_SECONDS)
    return list(processes)


def is_alive(process: psutil.Process) -> bool:
    """Whether a process runs; one that has ended and waits for its parent does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def main() -> None:
    """Wait until the supervisor is gone, then end what it has left."""
    mark, grace_seconds = sys.argv[1], float(sys.argv[2])
    sys.stdin.buffer.read()
    terminate(mark, grace_seconds)
    # A child forked in the supervisor's last moment carries the mark only once it has exec'ed.
    time.sleep(_EXEC_SECONDS)
    terminate(mark, grace_seconds)


if __name__ == "__main__":
    main()
