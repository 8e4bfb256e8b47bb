"""Around every request: its id, its log line, its measurement, and headers that browsers heed."""

from __future__ import annotations

import time
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fulfillment_api.observability.metrics import RequestMetrics
from fulfillment_api.problems import problem_response
from fulfillment_api.request_id import HEADER, begin_request
from fulfillment_api.security.guard import PRINCIPAL
from fulfillment_assets.observability.logs import get_busy_logger

_WEBSOCKET: Final = "WEBSOCKET"
_METHODS: Final = frozenset(
    {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", _WEBSOCKET}
)
_STARTS: Final = ("http.response.start", "websocket.http.response.start", "websocket.accept")
_SWITCHED: Final = 101
"""The status of a handshake that made a websocket."""
_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_POLICY: Final = b"default-src 'none'; frame-ancestors 'none'"
_DOCS_POLICY: Final = (
    b"default-src 'self'; script-src 'self' 'unsafe-inline' https://cdn.jsdelivr.net; "
    b"style-src 'self' 'unsafe-inline' https://cdn.jsdelivr.net; "
    b"img-src 'self' data: https://fastapi.tiangolo.com; frame-ancestors 'none'"
)
_UNMATCHED: Final = "unmatched"

_log = get_busy_logger("fulfillment_api.access")


class Observer:
    """Stands around `app`; an error that nobody caught ends here, as a response.

    Args:
        app: what is observed.
        metrics: where the measurements go.
    """

    def __init__(self, app: ASGIApp, metrics: RequestMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        request_id = begin_request(Headers(scope=scope).get(HEADER))
        started, status = time.perf_counter(), 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] in _STARTS:
                status = message.get("status", _SWITCHED)
                _add_headers(message, scope["path"], request_id)
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception as error:
            if status:  # the response has begun: all that is left is to break it off
                raise
            await problem_response(error)(scope, receive, sending)
        finally:
            self._note(scope, status, time.perf_counter() - started)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        offered = scope.get("method", _WEBSOCKET)
        method = offered if offered in _METHODS else "other"
        route = getattr(scope.get("route"), "path_format", _UNMATCHED)
        self._metrics.observe(method, route, status, seconds)
        principal = scope.get(PRINCIPAL)
        _log.info(
            "request",
            method=method,
            route=route,
            status=status,
            milliseconds=round(seconds * 1_000, 2),
            key_id=None if principal is None or not principal.key_id else str(principal.key_id),
        )


def _add_headers(message: Message, path: str, request_id: str) -> None:
    headers = message.setdefault("headers", [])
    policy = _DOCS_POLICY if path.startswith("/docs") else _POLICY
    known = {name for name, _ in headers}
    wanted = (
        (b"x-request-id", request_id.encode()),
        (b"content-security-policy", policy),
        *_HEADERS,
    )
    headers += [header for header in wanted if header[0] not in known]
