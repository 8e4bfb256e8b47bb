"""Without keys the API is for this machine alone: here is what that means."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import Final
from urllib.parse import SplitResult, urlsplit

from sqlalchemy.engine import Engine
from starlette.datastructures import Headers
from starlette.types import Scope

from fulfillment_api.errors import ForbiddenError
from fulfillment_api.security.keys import any_key

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


@lru_cache(maxsize=1_024)
def is_loopback(host: str) -> bool:
    """Whether an address or a name is this machine's own."""
    bare = host.strip("[]")
    try:
        return ipaddress.ip_address(bare).is_loopback
    except ValueError:
        return bare.lower() == "localhost"


def refuse_open_door(engine: Engine, host: str) -> None:
    """Before the API binds beyond loopback: somebody must need a key.

    Raises:
        ValueError: there is no valid key.
    """
    if is_loopback(host):
        return
    with engine.connect() as connection:
        if not any_key(connection, valid=True):
            raise ValueError(
                f"FULFILLMENT_API_HOST is {host}, and there is no API key: everybody who reaches "
                "this machine could do everything. Make a key first with `fulfillment keys create "
                "--role admin --name NAME`, or bind to 127.0.0.1."
            )


def refuse_strangers(scope: Scope) -> None:
    """Where no key is asked for: only programs of this machine, and no web page of another site.

    A page that a browser on this machine shows could otherwise reach the API: directly, or under
    a name of its own that leads to 127.0.0.1 (DNS rebinding).

    Raises:
        ForbiddenError: the request comes from elsewhere, or on behalf of another site.
    """
    headers = Headers(scope=scope)
    client = scope.get("client")
    host = _parts(f"//{headers.get('host', '')}").hostname or ""
    if (client is not None and not is_loopback(client[0])) or not is_loopback(host):
        raise ForbiddenError(
            "Without API keys only this machine is served, under 127.0.0.1 or localhost. "
            "`fulfillment keys create` makes a key."
        )


def refuse_other_sites(scope: Scope, allowed: frozenset[str]) -> None:
    """No page of another site changes anything, unless its origin is listed.

    Raises:
        ForbiddenError: the header Origin names another site.
    """
    headers = Headers(scope=scope)
    origin = headers.get("origin")
    if origin is None or scope.get("method") in SAFE or origin in allowed or "*" in allowed:
        return
    if _parts(origin).netloc != headers.get("host"):
        raise ForbiddenError(
            "This origin may not use the API from a browser; FULFILLMENT_API_CORS_ORIGINS lists "
            "those that may."
        )


def _parts(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")
