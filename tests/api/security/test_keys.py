"""Keys: who gets in, as what, and until when."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient
from httpx2 import Response
from sqlalchemy.engine import Engine

from fulfillment_api.roles import Role
from fulfillment_api.security import keyring
from fulfillment_api.security.keys import (
    ApiKeyError,
    create_key,
    list_keys,
    revoke_key,
)
from tests.api.conftest import Start
from tests.api.examples import ELSEWHERE, NOWHERE, client_for, new_key, problem, url_of


def test_without_a_key_it_says_how_to_get_one(engine: Engine, start: Start) -> None:
    new_key(engine)
    api = start(url_of(engine))
    assert api.get("/openapi.json").status_code == 200
    response = api.get("/nowhere")
    assert "fulfillment keys create" in problem(response, 401)["detail"]
    assert response.headers["www-authenticate"] == "Bearer"


def test_a_forbidden_body_is_not_read(engine: Engine, start: Start) -> None:
    api = start(url_of(engine), key=new_key(engine, "viewer"))
    response = api.put("/settings/kpi_window_days", content=b"{")
    assert (
        problem(response, 403)["detail"] == "This takes a key with the role admin; yours is viewer."
    )


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer {}"},
        {"Authorization": "bearer  {}"},
        {"X-API-Key": "{}"},
    ],
)
def test_a_key_comes_in_one_of_two_headers(
    engine: Engine, start: Start, headers: dict[str, str]
) -> None:
    key = new_key(engine, "viewer")
    filled = {name: value.format(key) for name, value in headers.items()}
    assert start(url_of(engine)).get("/orders", headers=filled).status_code == 200


@pytest.mark.parametrize("change", ["", "x", "ffk_", "flip", "ffk_000000000000_" + "A" * 43, "é"])
def test_what_is_no_key_is_refused(engine: Engine, start: Start, change: str) -> None:
    key = new_key(engine)
    wrong = key[:-1] + ("A" if key[-1] != "A" else "B") if change == "flip" else change
    response = start(url_of(engine)).get(
        "/orders", headers={b"Authorization": b"Bearer " + wrong.encode()}
    )
    assert key not in response.text
    problem(response, 401)


def test_only_the_hash_of_a_key_is_kept(engine: Engine) -> None:
    key = new_key(engine)
    with engine.connect() as connection:
        row = connection.execute(sa.text("SELECT CAST(api_keys AS text) FROM api_keys")).scalar()
        assert row is not None
        assert key not in row
        assert key.rpartition("_")[2] not in row


def test_a_revoked_key_is_refused_once_it_is_forgotten(
    engine: Engine, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyring, "REMEMBERED_SECONDS", 0.0)
    api = start(url_of(engine), key=new_key(engine))
    assert api.get("/orders").status_code == 200
    with engine.begin() as connection:
        revoke_key(connection, list_keys(connection)[0].id)
    problem(api.get("/orders"), 401)


def test_revoking_the_last_key_does_not_open_the_door(engine: Engine, start: Start) -> None:
    new_key(engine)
    with engine.begin() as connection:
        revoke_key(connection, list_keys(connection)[0].id)
    problem(start(url_of(engine)).get("/orders"), 401)


def test_the_use_of_a_key_is_noted(engine: Engine, start: Start) -> None:
    start(url_of(engine), key=new_key(engine)).get("/orders")
    with engine.connect() as connection:
        assert list_keys(connection)[0].last_used_at is not None


def test_a_key_that_cannot_be_looked_up_is_no_entry() -> None:
    with client_for(NOWHERE, key="ffk_000000000000_" + "A" * 43) as api:
        problem(api.get("/orders"), 503)


@pytest.mark.parametrize("name", ["", "  ", "a" * 101, "a\nb"])
def test_a_key_has_a_name(engine: Engine, name: str) -> None:
    with engine.begin() as connection, pytest.raises(ApiKeyError, match="1 to 100 printable"):
        create_key(connection, name=name, role=Role.VIEWER)


def test_the_first_key_closes_the_door(
    api: TestClient, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyring, "REMEMBERED_SECONDS", 0.0)
    assert api.get("/orders").status_code == 200
    new_key(engine)
    problem(api.get("/orders"), 401)


def test_without_keys_only_this_machine_is_served(engine: Engine, start: Start) -> None:
    api = start(url_of(engine), address=ELSEWHERE)
    assert "only this machine" in problem(api.get("/orders"), 403)["detail"]
    assert api.get("/health/live").status_code == 200


def test_without_keys_no_other_site_reaches_it_through_a_browser(api: TestClient) -> None:
    problem(api.get("/orders", headers={"Host": "rebound.example"}), 403)
    problem(changed_from(api, "https://evil.example"), 403)
    problem(changed_from(api, "null"), 403)
    problem(changed_from(api, "http://[evil"), 403)
    assert changed_from(api, "http://127.0.0.1:8000").status_code == 200


def changed_from(api: TestClient, origin: str) -> Response:
    return api.put("/settings/kpi_window_days", json={"value": 7}, headers={"Origin": origin})
