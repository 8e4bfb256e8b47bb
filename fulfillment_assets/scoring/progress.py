"""Who listens to the progress of a file that this process scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Progress = Callable[[int], None]
"""Called with the number of rows that are done so far."""


def _nobody(rows: int) -> None:
    """Let the progress pass unheard."""


_listener: ContextVar[Progress] = ContextVar("progress", default=_nobody)


@contextmanager
def listening(progress: Progress) -> Iterator[None]:
    """Call `progress` for every chunk that is staged inside the block."""
    token = _listener.set(progress)
    try:
        yield
    finally:
        _listener.reset(token)


def report(rows: int) -> None:
    """Tell the listener that so many rows are done."""
    _listener.get()(rows)
