"""One client of the stream, and what waits to be sent to it."""

from __future__ import annotations

import asyncio
import uuid
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final, Generic, TypeVar

import anyio

from fulfillment_api.live.events import Message

T = TypeVar("T")

MOST_WAITING: Final = 1_000
"""So many messages may wait for a client that does not take them."""

Encode = Callable[[Sequence[Message]], T]


def as_sse(messages: Sequence[Message]) -> bytes:
    """Messages as one piece of a stream of server-sent events."""
    return b"".join(one.sse for one in messages)


def as_json_texts(messages: Sequence[Message]) -> list[str]:
    """Messages as texts for a websocket."""
    return [one.json for one in messages]


class Subscription(Generic[T]):
    """What a client gets; used by the event loop's thread only.

    Args:
        encode: makes of messages what is sent; clients with the same share its results.
        kinds: the kinds of events that it wants.
        key_id: the key by which it came in; None: it needed none.

    Attributes:
        scope: is cancelled where the client is too slow to be told that it is.
    """

    def __init__(self, encode: Encode[T], kinds: frozenset[str], key_id: uuid.UUID | None) -> None:
        self.encode = encode
        self.kinds = kinds
        self.key_id = key_id
        self.scope = anyio.CancelScope()
        self._waiting: deque[tuple[int, T]] = deque()
        self._count = 0
        self._changed = asyncio.Event()
        self._ended = False

    def wants(self, message: Message) -> bool:
        """Whether the client asked for messages like this; those about the stream all get."""
        return message.event in self.kinds or message.event in ("status", "reset", "heartbeat")

    def offer(self, count: int, piece: T) -> bool:
        """Let `count` encoded messages wait to be sent; False: too many do already."""
        if self._count + count > MOST_WAITING and self._waiting:
            return False
        self._waiting.append((count, piece))
        self._count += count
        self._changed.set()
        return True

    def tell(self, messages: Sequence[Message]) -> None:
        """Let messages for this client alone wait, however many do already."""
        wanted = [one for one in messages if self.wants(one)]
        if wanted:
            self._waiting.append((len(wanted), self.encode(wanted)))
            self._count += len(wanted)
            self._changed.set()

    def end(self) -> None:
        """Send what waits, and then no more."""
        self._ended = True
        self._changed.set()

    def drop(self) -> None:
        """Send nothing more."""
        self._waiting.clear()
        self._ended = True
        self.scope.cancel()

    async def pieces(self) -> AsyncIterator[T]:
        """What is to be sent, until the subscription ends."""
        while True:
            while self._waiting:
                count, piece = self._waiting.popleft()
                self._count -= count
                yield piece
            if self._ended:
                return
            self._changed.clear()
            await self._changed.wait()
