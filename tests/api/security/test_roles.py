"""Who may do what: every route of the application against the table of roles."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute, APIWebSocketRoute
from sqlalchemy.engine import Engine
from starlette.routing import Route
from starlette.types import Message

from fulfillment_api.app import create_app
from fulfillment_api.roles import PREFIX, PUBLIC, ROLES, SOCKETS, Role
from fulfillment_api.security.keys import create_key, revoke_key
from tests.api.examples import HERE, NOWHERE, new_key, settings_for, url_of

VALUES: Final = {
    "{order_id}": "O-1",
    "{name}": "kpi_window_days",
    "{version}": "lgbm-000000000000",
}
"""What stands for a parameter; the others are ids."""

WEBSOCKET: Final = "WEBSOCKET"
TABLE: Final[dict[tuple[str, str], Role | None]] = {
    **ROLES,
    **{(WEBSOCKET, path): role for path, role in SOCKETS.items()},
}
DEADLINE: Final = 120.0


def path_of(template: str) -> str:
    parts = []
    for part in template.split("/"):
        parts.append(VALUES.get(part, str(uuid.uuid4())) if part.startswith("{") else part)
    return PREFIX + "/".join(parts)


class Asking:
    """Asks an application without a server, and lets go once it has begun to answer."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    def statuses(self, key: str | None) -> dict[tuple[str, str], int]:
        """The status of each route's answer; of a websocket 101 where it is accepted."""

        async def ask() -> dict[tuple[str, str], int]:
            async with self._app.router.lifespan_context(self._app):
                return {
                    (method, template): await self._status(method, path_of(template), key)
                    for method, template in TABLE
                }

        return asyncio.run(ask())

    async def _status(self, method: str, path: str, key: str | None) -> int:
        answered: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        asked = iter(self._messages(method))

        async def receive() -> Message:
            if (message := next(asked, None)) is not None:
                return message
            await asyncio.Event().wait()
            raise AssertionError

        async def send(message: Message) -> None:
            status = {
                "http.response.start": message.get("status"),
                "websocket.accept": 101,
                "websocket.close": message.get("code", 1000),
                "websocket.http.response.start": message.get("status"),
            }.get(message["type"])
            if status is not None and not answered.done():
                answered.set_result(status)

        call: asyncio.Future[Any] = asyncio.ensure_future(
            self._app(_scope(method, path, key), receive, send)
        )
        await asyncio.wait({call, answered}, timeout=DEADLINE, return_when="FIRST_COMPLETED")
        if not answered.done():
            call.result()
        if not call.done():
            call.cancel()
            await asyncio.wait({call}, timeout=DEADLINE)
        return answered.result()

    @staticmethod
    def _messages(method: str) -> Iterator[Message]:
        if method == WEBSOCKET:
            yield {"type": "websocket.connect"}
        else:
            yield {"type": "http.request", "body": b"", "more_body": False}


def _scope(method: str, path: str, key: str | None) -> dict[str, Any]:
    headers = [(b"host", b"127.0.0.1:8000")]
    if key is not None:
        headers.append((b"authorization", f"Bearer {key}".encode()))
    found: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": headers,
        "client": HERE,
        "server": ("127.0.0.1", 8000),
    }
    if method == WEBSOCKET:
        del found["method"]
        found |= {"type": "websocket", "scheme": "ws", "subprotocols": []}
    return found


@pytest.fixture
def app(engine: Engine, tmp_path: Path) -> FastAPI:
    return create_app(settings_for(url_of(engine), data_dir=tmp_path))


def routes_of(app: FastAPI) -> set[tuple[str, str]]:
    found = {
        (method, route.path_format.removeprefix(PREFIX))
        for route in app.routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    }
    return found | {
        (WEBSOCKET, route.path_format.removeprefix(PREFIX))
        for route in app.routes
        if isinstance(route, APIWebSocketRoute)
    }


def test_every_route_stands_in_the_table_and_each_row_is_a_route() -> None:
    app = create_app(settings_for(NOWHERE))
    assert routes_of(app) == set(TABLE)
    others = {route.path for route in app.routes if type(route) is Route}
    assert others <= PUBLIC, "what is beside the table is open to anybody"


@pytest.mark.parametrize("holder", [*Role, "revoked", None])
def test_a_caller_may_do_what_the_table_says_and_nothing_else(
    engine: Engine, app: FastAPI, holder: Role | str | None
) -> None:
    key, role = key_of(engine, holder)
    for route, status in Asking(app).statuses(key).items():
        needed = TABLE[route]
        if needed is None or (role is not None and role.covers(needed)):
            assert status not in (401, 403, 500), (route, status)
        else:
            assert status == (401 if role is None else 403), route


def key_of(engine: Engine, holder: Role | str | None) -> tuple[str | None, Role | None]:
    """A key with its role; none counts for somebody who has no valid key."""
    new_key(engine)  # from the first key on nobody comes in without one
    if isinstance(holder, Role):
        return new_key(engine, holder.value), holder
    if holder is None:
        return None, None
    with engine.begin() as connection:
        made, key = create_key(connection, name="gone", role=Role.ADMIN)
        revoke_key(connection, made.id)
    return key, None
