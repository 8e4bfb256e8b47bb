"""Hands what the listener finds to everybody who is connected to this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any, Final

from anyio.to_thread import run_sync
from sqlalchemy.exc import SQLAlchemyError

from fulfillment_api.database import Database
from fulfillment_api.errors import UnavailableError
from fulfillment_api.live.events import LostError, Message, check, events_until, message
from fulfillment_api.live.listener import Listener, News
from fulfillment_api.live.positions import Position, Snapshot
from fulfillment_api.live.subscription import Subscription, T
from fulfillment_assets.observability.logs import get_logger

HEARTBEAT_SECONDS: Final = 15.0
READY_SECONDS: Final = 10.0
"""So long a client waits for the first look at the database."""

_AWAY: Final = "The database does not answer; try again in a moment."

_log = get_logger("fulfillment_api.live")


class Hub:
    """The stream of one process; used by the event loop's thread only.

    It listens to PostgreSQL as long as there are clients.

    Args:
        database: where the events are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._joined = 0
        self._clients: set[Subscription[Any]] = set()
        self._listener: Listener | None = None
        self._stopped: list[Listener] = []
        self._heart: asyncio.Task[None] | None = None
        self._heard = asyncio.Event()
        self._position: Snapshot | None = None
        self._kpis: Message | None = None
        self._away = False
        self._ending = False

    @property
    def clients(self) -> int:
        """How many are connected and have caught up."""
        return len(self._clients)

    @asynccontextmanager
    async def joined(
        self, client: Subscription[T], since: Position | None
    ) -> AsyncIterator[AsyncIterator[T]]:
        """What a client is to be sent: all that happened after a position, and then what happens.

        Args:
            client: who asks.
            since: what the client has had; None: it begins now.

        Raises:
            UnavailableError: the database does not answer, or the server is shutting down.
            SQLAlchemyError: the database does not answer.
        """
        if self._ending:
            raise UnavailableError("The server is shutting down; connect again in a moment.")
        self._joined += 1
        try:
            self._begin()
            lost = await self._ready_for(since)
            async with aclosing(self._pieces(client, since, lost)) as pieces:
                yield pieces
        finally:
            self._clients.discard(client)
            self._joined -= 1
            if not self._joined:
                self._stop()

    def end_streams(self) -> None:
        """Let every stream end, and none begin: the server is shutting down."""
        self._ending = True
        for client in self._clients:
            client.end()

    async def close(self) -> None:
        """End everything, and wait until the connection is closed."""
        self.end_streams()
        self._stop()
        for listener in self._stopped:
            await run_sync(listener.join)

    def _begin(self) -> None:
        if self._listener is not None:
            return
        loop = asyncio.get_running_loop()

        def tell(news: News) -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody is there to be told
                loop.call_soon_threadsafe(self._hear, listener, news)

        url = self._database.engine.url.render_as_string(hide_password=False)
        self._listener = listener = Listener(url, tell)
        listener.start()
        self._heart = loop.create_task(self._beat())

    def _stop(self) -> None:
        if self._listener is None or self._heart is None:
            return
        self._listener.stop()
        self._heart.cancel()
        self._stopped = [one for one in self._stopped if one.is_alive] + [self._listener]
        self._listener = self._heart = self._position = self._kpis = None
        self._away = False

    async def _ready_for(self, since: Position | None) -> str | None:
        """Wait until the listener is at least where the client was; why that is impossible."""
        try:
            async with asyncio.timeout(READY_SECONDS):
                await self._until(lambda: self._position is not None or self._away)
                if self._away:
                    raise UnavailableError(_AWAY)
                if since is None:
                    return None
                try:
                    await run_sync(self._check, since)
                except LostError as error:
                    return str(error)
                if self._listener is not None:
                    self._listener.wake()
                await self._until(
                    lambda: self._position is not None and self._position.covers(since.end)
                )
        except TimeoutError:
            raise UnavailableError(_AWAY) from None
        return None

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._heard.clear()
            await self._heard.wait()

    async def _pieces(
        self, client: Subscription[T], since: Position | None, lost: str | None
    ) -> AsyncGenerator[T, None]:
        if since is not None and lost is None:
            try:
                async for page in self._missed(since):
                    if wanted := [one for one in page if client.wants(one)]:
                        yield client.encode(wanted)
            except LostError as error:
                lost = str(error)
            except SQLAlchemyError:
                return  # the client comes again, with the last id that it got
        # No other task runs between the last look at the position and this.
        self._clients.add(client)
        self._greet(client, lost)
        async for piece in client.pieces():
            yield piece

    async def _missed(self, since: Position) -> AsyncIterator[Sequence[Message]]:
        """What lies between a position and the hub's own, until there is nothing."""
        while (end := self._position) is not None:
            page = await run_sync(self._page, since, end)
            if page:
                yield page
                reached = page[-1].position
                since = reached if isinstance(reached, Position) else Position(reached or end)
            elif end == self._position:
                return
            else:
                since = Position(end)

    def _page(self, since: Position, end: Snapshot) -> Sequence[Message]:
        with self._database.read() as connection:
            return next(events_until(connection, since, end), [])

    def _check(self, since: Position) -> None:
        with self._database.read() as connection:
            check(connection, since)

    def _greet(self, client: Subscription[Any], lost: str | None) -> None:
        if lost is not None:
            client.tell([message("reset", {"reason": lost}, self._position)])
        client.tell([self._status(self._position)])
        if self._kpis is not None:
            client.tell([self._kpis])
        if self._ending:
            client.end()

    def _status(self, position: Snapshot | None = None) -> Message:
        return message("status", {"database": "away" if self._away else "up"}, position)

    def _hear(self, listener: Listener, news: News) -> None:
        if listener is not self._listener:
            return
        self._away, was_away = news.position is None, self._away
        if self._away != was_away and self._position is not None:
            self._broadcast([self._status()])
        self._heard.set()
        if news.position is None:
            return
        self._position = news.position
        self._broadcast(news.messages)
        if news.kpis is not None:
            self._kpis = news.kpis
            self._broadcast([news.kpis])
        if news.keys is not None:
            for client in self._clients:
                if client.key_id not in news.keys:
                    client.end()

    def _broadcast(self, messages: Sequence[Message]) -> None:
        """Encode messages once for all clients that want the same, and hand them out."""
        pieces: dict[tuple[Any, frozenset[str]], tuple[int, Any]] = {}
        for client in list(self._clients):
            sort = (client.encode, client.kinds)
            if sort not in pieces:
                wanted = [one for one in messages if client.wants(one)]
                pieces[sort] = (len(wanted), client.encode(wanted))
            count, piece = pieces[sort]
            if count and not client.offer(count, piece):
                _log.warning("a client of the live stream was too slow")
                self._clients.discard(client)
                client.drop()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            self._broadcast([message("heartbeat", {}, self._position)])
