"""Log files of local services."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_TAIL_LINES: Final = 20
_TAIL_BYTES: Final = 16_384


def last_lines(path: Path, start: int = 0) -> str:
    """The last 20 lines of a log, or as many as were written after byte `start`."""
    if not path.exists():
        return "(nothing was logged)"
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(start, size - _TAIL_BYTES))
        lines = file.read().decode(errors="replace").splitlines()
    return "\n".join(lines[-_TAIL_LINES:]) or "(nothing was logged)"
