"""Token buckets: how many requests a second, and how many at once, come from one place."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Final

_MOST: Final = 10_000
"""So many buckets are kept; the one that was not asked for the longest goes first."""


class TokenBuckets:
    """A bucket for each key, of this process alone.

    A bucket holds one second's worth of requests, and fills at the rate. It is used by the event
    loop's thread only.

    Args:
        rate: requests a second.
        clock: seconds; monotonic.
    """

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._size = max(1.0, rate)
        self._clock = clock
        self._buckets: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def take(self, key: Hashable) -> float:
        """Take a token; returns 0, or for how many seconds to wait until there is one."""
        now = self._clock()
        tokens, filled = self._buckets.pop(key, (self._size, now))
        tokens = min(self._size, tokens + (now - filled) * self._rate)
        wait = 0.0 if tokens >= 1 else (1 - tokens) / self._rate
        self._buckets[key] = (tokens if wait else tokens - 1, now)
        if len(self._buckets) > _MOST:
            self._buckets.popitem(last=False)
        return wait
