"""How a subscription reaches its client: as a response that goes on, or over a websocket."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

import anyio
from fastapi import Response, WebSocket, WebSocketDisconnect
from starlette.types import Receive, Scope, Send

from fulfillment_api.live.hub import Hub
from fulfillment_api.live.positions import Position
from fulfillment_api.live.subscription import Subscription

_RETRY: Final = b"retry: 2000\n\n"
"""So many milliseconds a browser waits before it connects again."""

_GOING_AWAY: Final = 1001


class EventStream(Response):
    """Server-sent events. No middleware, and no proxy that heeds the headers, holds them back.

    Args:
        hub: what they come from.
        client: what it is to be sent.
        since: what it has had.
    """

    media_type = "text/event-stream"

    def __init__(self, hub: Hub, client: Subscription[bytes], since: Position | None) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._hub = hub
        self._client = client
        self._since = since

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send what happens until the client is gone, or is to be no more."""
        async with self._hub.joined(self._client, self._since) as pieces:
            start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
            await send(start)
            async with anyio.create_task_group() as group:
                group.start_soon(_until_gone, receive, group.cancel_scope)
                with self._client.scope:
                    await send(_piece(_RETRY))
                    async for piece in pieces:
                        await send(_piece(piece))
                    await send(_piece(b"", more=False))
                group.cancel_scope.cancel()


def _piece(body: bytes, *, more: bool = True) -> dict[str, object]:
    return {"type": "http.response.body", "body": body, "more_body": more}


async def _until_gone(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


async def send_all(
    websocket: WebSocket, hub: Hub, client: Subscription[list[str]], since: Position | None
) -> None:
    """Send what happens over a websocket; whatever the client sends is passed over."""
    async with hub.joined(client, since) as pieces:
        await websocket.accept()
        async with anyio.create_task_group() as group:
            group.start_soon(_until_closed, websocket.receive, group.cancel_scope)
            with client.scope, suppress(WebSocketDisconnect):
                async for texts in pieces:
                    for text in texts:
                        await websocket.send_text(text)
                await websocket.close(_GOING_AWAY)
            group.cancel_scope.cancel()


async def _until_closed(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "websocket.disconnect":
        pass
    scope.cancel()
