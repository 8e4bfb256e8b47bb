"""Who may listen: keys, tickets, and nobody else."""

from __future__ import annotations

import time

import httpx2
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from tests.api.examples import new_key
from tests.api.live.conftest import Server
from tests.api.live.listening import PATIENCE, listening, of_json, until


def test_keys_and_tickets_open_both_and_nothing_else_does(server: Server, engine: Engine) -> None:
    key = {"X-API-Key": new_key(engine, "viewer")}
    live, socket = f"{server.url}/api/v1/live", f"{server.sockets}/api/v1/ws/kpi"
    deadline = time.monotonic() + PATIENCE
    while httpx2.get(f"{server.url}/settings").status_code != 401:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    ticket = httpx2.post(f"{live}/ticket", headers=key).json()["ticket"]
    broken = ticket[:-1] + ("0" if ticket[-1] != "0" else "1")
    expired = ticket.replace(ticket.split("_")[2], "1700000000")
    assert httpx2.get(live).status_code == 401
    for wrong in (broken, expired, key["X-API-Key"], "x"):
        assert httpx2.get(live, params={"ticket": wrong}).status_code == 401
        with pytest.raises(InvalidStatus) as refused, connect(f"{socket}?ticket={wrong}"):
            pass
        assert refused.value.response.status_code == 401
    for options in ({"headers": key}, {"params": {"ticket": ticket}}):
        with listening(server.url, **options) as events:
            until(events, "status")
    for url, headers in ((socket, key), (f"{socket}?ticket={ticket}", {})):
        with connect(url, additional_headers=headers, open_timeout=PATIENCE) as opened:
            assert of_json(opened.recv(PATIENCE)).event == "status"
    assert httpx2.get(f"{server.url}/settings", params={"ticket": ticket}).status_code == 401
    assert "fft_" not in server.log.read_text()


def test_a_websocket_that_asks_for_nonsense_is_told_so(server: Server) -> None:
    for query, field in (("kinds=x", "query.kinds.0"), ("last_event_id=1", "query.last_event_id")):
        with pytest.raises(InvalidStatus) as refused, connect(f"{server.sockets}/ws/kpi?{query}"):
            pass
        assert refused.value.response.status_code == 422
        assert field in refused.value.response.body.decode()


def test_a_page_of_another_site_gets_no_websocket(server: Server) -> None:
    url = f"{server.sockets}/ws/kpi"
    with (
        pytest.raises(InvalidStatus) as refused,
        connect(url, origin=Origin("http://evil.example")),
    ):
        pass
    assert refused.value.response.status_code == 403


def test_a_key_that_is_revoked_ends_its_streams(server: Server, engine: Engine) -> None:
    key = new_key(engine, "viewer")
    with listening(server.url, headers={"X-API-Key": key}) as events:
        until(events, "status")
        with engine.begin() as connection:
            connection.execute(sa.text("UPDATE api_keys SET revoked_at = now()"))
        for _ in events:
            pass
