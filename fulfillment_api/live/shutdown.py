"""Streams never end by themselves, and the server waits for them: they are told when it is to."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def at_shutdown(act: Callable[[], None]) -> Iterator[None]:
    """Let the event loop call `act` when the process is asked to end.

    The server closes an application only after its last response has ended, which a stream's does
    not: so the signal is heard here, and passed on to whoever had asked for it. Where nobody had,
    or outside the main thread, there is nothing to be heard.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    former = {number: signal.getsignal(number) for number in _SIGNALS}

    def handle(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(act)
        pass_on = former[signal.Signals(number)]
        if callable(pass_on):
            pass_on(number, frame)

    handled = [number for number, handler in former.items() if callable(handler)]
    for number in handled:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number in handled:
            signal.signal(number, former[number])
