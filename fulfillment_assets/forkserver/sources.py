"""Whether the source code of a package has changed since it was imported."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final

_PAUSE_SECONDS: Final = 1.0


class SourceWatch:
    """Notices that a Python file of some packages is changed, added or removed.

    It compares sizes and times of change with those at its making, so make it before the packages
    are imported.

    Args:
        packages: names of top-level packages or modules.
        pause_seconds: how long an answer holds; a look at a few hundred files takes milliseconds.

    Raises:
        ModuleNotFoundError: there is no such package.
    """

    def __init__(self, packages: Sequence[str], pause_seconds: float = _PAUSE_SECONDS) -> None:
        self._roots = [root for package in packages for root in _roots(package)]
        self._pause_seconds = pause_seconds
        self._first = self._state()
        self._looked = time.monotonic()
        self._changed = False

    def changed(self) -> bool:
        """Whether the sources are not what they were; stays true once it is."""
        if not self._changed and time.monotonic() - self._looked >= self._pause_seconds:
            self._changed = self._state() != self._first
            self._looked = time.monotonic()
        return self._changed

    def _state(self) -> dict[str, tuple[int, int]]:
        state = {}
        for root in self._roots:
            for path in _python_files(root):
                with contextlib.suppress(FileNotFoundError):  # just being replaced by an editor
                    status = path.stat()
                    state[str(path)] = status.st_mtime_ns, status.st_size
        return state


def _roots(package: str) -> list[Path]:
    """The folders of a package; of a single module, its file."""
    spec = find_spec(package)
    if spec is None:
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)
    return [Path(root) for root in spec.submodule_search_locations or [spec.origin or ""]]


def _python_files(root: Path) -> Iterator[Path]:
    if root.is_file():
        yield root
    for folder, _, names in os.walk(root):
        yield from (Path(folder, name) for name in names if name.endswith(".py"))
