"""What every request passes before it is routed: form, rate, key, size."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final
from urllib.parse import parse_qsl, unquote_to_bytes, urlencode

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from fulfillment_api.errors import BadRequestError, TooManyRequestsError
from fulfillment_api.problems import problem_response
from fulfillment_api.roles import PREFIX, PUBLIC
from fulfillment_api.security import tickets
from fulfillment_api.security.body_limit import limited
from fulfillment_api.security.exposure import is_loopback, refuse_other_sites, refuse_strangers
from fulfillment_api.security.keyring import LOCAL, KeyRing, Principal
from fulfillment_api.security.rate_limit import TokenBuckets
from fulfillment_assets.settings import Settings

PRINCIPAL: Final = "fulfillment.principal"
"""Where in the scope it stands who asks; it is missing for public paths."""

_UNPREFIXED: Final = (PREFIX, "/docs", "/openapi.json")


class Guard:
    """Lets a request through to `app`, or answers it.

    Args:
        app: what is guarded.
        keys: who may come in.
        settings: host, limits and origins.
    """

    def __init__(self, app: ASGIApp, keys: KeyRing, settings: Settings) -> None:
        self._app = app
        self._keys = keys
        self._loopback = is_loopback(settings.api_host)
        self._origins = frozenset(settings.api_cors_origins)
        self._addresses = TokenBuckets(settings.api_rate_per_address)
        self._callers = TokenBuckets(settings.api_rate_per_key)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        try:
            guarded = await self._admit(scope, receive)
        except Exception as error:
            # Of a websocket it is the answer to the handshake.
            await problem_response(error)(scope, receive, send)
            return
        await self._app(scope, guarded, send)

    async def _admit(self, scope: Scope, receive: Receive) -> Receive:
        _check_form(scope)
        _unalias(scope)
        client = scope.get("client")
        self._limit(self._addresses, client[0] if client else "")
        if scope["path"] not in PUBLIC:
            principal = await self._principal(scope)
            self._limit(self._callers, principal.key_id)
            scope[PRINCIPAL] = principal
        return limited(scope, receive) if scope["type"] == "http" else receive

    async def _principal(self, scope: Scope) -> Principal:
        if self._loopback and await self._keys.is_open():
            refuse_strangers(scope)
            refuse_other_sites(scope, self._origins)
            return LOCAL
        token, ticket = _token(Headers(scope=scope)), _take_ticket(scope)
        if token is None and ticket is not None:
            return await self._keys.holder_of(ticket)
        return await self._keys.principal(token)

    @staticmethod
    def _limit(buckets: TokenBuckets, key: Hashable) -> None:
        wait = buckets.take(key)
        if wait:
            raise TooManyRequestsError(wait)


def _token(headers: Headers) -> str | None:
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return credentials.strip()
    return headers.get("x-api-key")


def _take_ticket(scope: Scope) -> str | None:
    """The ticket of the query, which then holds none: the server writes it to its log."""
    if scope["path"] not in tickets.PATHS:
        return None
    query: str = scope.get("query_string", b"").decode()
    pairs = parse_qsl(query, keep_blank_values=True)
    found = [value for name, value in pairs if name == tickets.PARAMETER]
    if not found:
        return None
    kept = [(name, value) for name, value in pairs if name != tickets.PARAMETER]
    scope["query_string"] = urlencode(kept).encode()
    return found[0]


def _check_form(scope: Scope) -> None:
    """Refuse what is no text, or no text that PostgreSQL could hold."""
    for part in (scope.get("raw_path") or b"", scope.get("query_string", b"")):
        try:
            text = unquote_to_bytes(part).decode()
        except UnicodeDecodeError:
            raise BadRequestError("The address is not valid UTF-8.") from None
        if "\0" in text:
            raise BadRequestError("The address holds a NUL character.")


def _unalias(scope: Scope) -> None:
    """A bare path such as `/predict` is the same below the prefix."""
    path: str = scope["path"]
    if not path.startswith(_UNPREFIXED):
        scope["path"] = PREFIX + path
