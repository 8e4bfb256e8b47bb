"""Answers that many ask for at once: made once, and good for a moment."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Final, Generic, TypeVar

T = TypeVar("T")

_MOST: Final = 256


class ShortMemory(Generic[T]):
    """Remembers answers for `seconds`; whoever asks while one is made waits for it.

    It is used by the event loop's thread only. An error is told to those who wait, and forgotten.

    Args:
        seconds: how long an answer is good.
        clock: seconds; monotonic.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._answers: OrderedDict[Hashable, tuple[float, asyncio.Future[T]]] = OrderedDict()

    async def get(self, key: Hashable, make: Callable[[], Awaitable[T]]) -> T:
        """The answer under a key, or what `make` gives."""
        known = self._answers.get(key)
        if known is not None and self._clock() < known[0]:
            return await asyncio.shield(known[1])
        answer = asyncio.ensure_future(make())
        self._answers[key] = (float("inf"), answer)
        self._answers.move_to_end(key)
        answer.add_done_callback(lambda done: self._made(key, done))
        while len(self._answers) > _MOST:
            self._answers.popitem(last=False)
        return await asyncio.shield(answer)

    def _made(self, key: Hashable, answer: asyncio.Future[T]) -> None:
        if self._answers.get(key, (0.0, None))[1] is not answer:
            return
        if answer.cancelled() or answer.exception() is not None:
            del self._answers[key]
        else:
            self._answers[key] = (self._clock() + self._seconds, answer)
