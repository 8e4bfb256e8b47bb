"""What processes take of the machine, with all that they started."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from typing import Final

import psutil

_MEGABYTE: Final = 1024**2
_RUN_SECONDS: Final = 20.0


def cpu_seconds(pids: Mapping[str, int]) -> dict[str, float]:
    """CPU seconds so far of each process and of its descendants, those that ended included."""
    return {name: round(_tree_seconds(pid), 2) for name, pid in pids.items()}


def rss_mb(pids: Mapping[str, int]) -> dict[str, int]:
    """Resident memory, in MB, of each process that is there, with its long-lived descendants."""
    found = {}
    for name, pid in pids.items():
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            family = [process, *filter(_is_long_lived, process.children(recursive=True))]
            found[name] = sum(map(_rss, family)) // _MEGABYTE
    return found


def _is_long_lived(process: psutil.Process) -> bool:
    """Whether it is older than a run of the stream becomes."""
    return time.time() - process.create_time() > _RUN_SECONDS


def _rss(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def _tree_seconds(pid: int) -> float:
    try:
        process = psutil.Process(pid)
        times, children = process.cpu_times(), process.children()
    except psutil.NoSuchProcess:
        return 0.0
    own = times.user + times.system + times.children_user + times.children_system
    return float(own + sum(_tree_seconds(child.pid) for child in children))
