"""Brings the index up to date beside the requests: one run at a time, whoever asks for it."""

from __future__ import annotations

import asyncio
from typing import Final

from anyio.to_thread import run_sync
from sqlalchemy.engine import Engine
from sqlalchemy.exc import SQLAlchemyError

from fulfillment_assets.knowledge.errors import KnowledgeError, KnowledgeUnavailableError
from fulfillment_assets.knowledge.index import refresh
from fulfillment_assets.observability.logs import get_logger
from fulfillment_assets.settings import Settings

WAIT_SECONDS: Final = 5.0
"""So long a request waits for the index; the run goes on after that."""

_log = get_logger(__name__)


class Indexing:
    """Runs that refresh the index; used by the event loop's thread only.

    What a run cannot bring in, because Chroma or the embedder is away, the knowledge sensor of the
    asset graph brings in later.

    Args:
        settings: where Chroma is, and which embedder is asked for.
        engine: of the database.
    """

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self._settings = settings
        self._engine = engine
        self._alone = asyncio.Lock()
        self._next: asyncio.Task[None] | None = None
        self._runs: set[asyncio.Task[None]] = set()

    async def bring_in(self, seconds: float = WAIT_SECONDS) -> None:
        """Let a run see what is committed by now, and wait for it for some time.

        A run that has not begun yet serves everybody who comes until it does.
        """
        if self._next is None or self._next.done():
            self._next = asyncio.create_task(self._run())
            self._runs.add(self._next)
            self._next.add_done_callback(self._runs.discard)
        await asyncio.wait({self._next}, timeout=seconds)

    async def _run(self) -> None:
        async with self._alone:
            self._next = None
            await run_sync(self._refresh)

    def _refresh(self) -> None:
        try:
            refresh(self._settings, self._engine)
        except (KnowledgeError, KnowledgeUnavailableError, SQLAlchemyError) as error:
            _log.warning("the index is not up to date yet", reason=type(error).__name__)
