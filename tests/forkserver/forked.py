"""What the children of a tested forkserver do. Each takes the path of a file that it may write."""

from __future__ import annotations

import atexit
import json
import os
import random
import sys
import threading
import time
from pathlib import Path
from typing import Final

import numpy as np

IMPORTED_IN: Final = os.getpid()
"""The process that imported this module."""


def act(argument: str) -> None:
    """Do what is asked for: the name of one of the functions below, a space, and the path."""
    name, path = argument.split(" ", 1)
    {function.__name__: function for function in (report, fail, leave, wait, tidy, swell)}[name](
        Path(path)
    )


def report(path: Path) -> None:
    """Say who and where we are."""
    seen = {
        "pid": os.getpid(),
        "imported_in": IMPORTED_IN,
        "environment": dict(os.environ),
        "modules": sorted(sys.modules),
        "descriptors": len(os.listdir("/proc/self/fd")),  # noqa: PTH208
        "drawn": [random.random(), float(np.random.random())],
        "threads": threading.active_count(),
    }
    _write(path, json.dumps(seen))


def fail(path: Path) -> None:
    """Raise an error."""
    raise ValueError(f"nothing is in {path}")


def leave(path: Path) -> None:
    """Exit with a status of our own."""
    raise SystemExit(7)


def wait(path: Path) -> None:
    """Say that we are there, and wait to be interrupted or killed."""
    try:
        _write(path, str(os.getpid()))
        time.sleep(60)
    except KeyboardInterrupt:
        _write(path, "interrupted")


def tidy(path: Path) -> None:
    """Leave work to a thread, and to the end of the process."""
    atexit.register(lambda: _write(path, path.read_text() + ", then the exit function"))
    threading.Timer(0.1, _write, [path, "first the thread"]).start()


def swell(path: Path) -> None:
    """Use much memory."""
    _write(path, str(len(b"x" * 100_000_000)))


def _write(path: Path, text: str) -> None:
    unfinished = path.with_suffix(".part")
    unfinished.write_text(text)
    unfinished.replace(path)
