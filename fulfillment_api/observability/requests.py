"""Around every request: its id, its log line, its measurement, and headers that browsers heed."""

from __future__ import annotations

import time
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fulfillment_api.errors import problem_response
from fulfillment_api.observability.logs import get_logger
from fulfillment_api.observability.metrics import RequestMetrics
from fulfillment_api.request_id import HEADER, begin_request
from fulfillment_api.security.guard import PRINCIPAL

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
_DOCS_POLICY: Final = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' https://cdn.jsdelivr.net; "
    "style-src 'self' 'unsafe-inline' https://cdn.jsdelivr.net; "
    "img-src 'self' data: https://fastapi.tiangolo.com; frame-ancestors 'none'"
)
_UNMATCHED: Final = "unmatched"

_log = get_logger("access")


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
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = begin_request(Headers(scope=scope).get(HEADER))
        started, status = time.perf_counter(), 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
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
        method = scope["method"] if scope["method"] in _METHODS else "other"
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
    headers = MutableHeaders(scope=message)
    headers[HEADER] = request_id
    if path.startswith("/docs"):
        headers["Content-Security-Policy"] = _DOCS_POLICY
    for name, value in _HEADERS.items():
        headers.setdefault(name, value)
