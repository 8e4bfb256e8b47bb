"""Limits of rate and size, and what browsers may do."""

from __future__ import annotations

import asyncio

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.engine import Engine
from starlette.types import Message

from fulfillment_api.errors import BadRequestError, BodyTooLargeError
from fulfillment_api.security import body_limit
from fulfillment_api.security.body_limit import limited
from fulfillment_api.security.rate_limit import TokenBuckets
from tests.api.conftest import Start
from tests.api.examples import new_key, problem, url_of


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    now = 0.0
    buckets = TokenBuckets(10, clock=lambda: now)
    assert [buckets.take("a") for _ in range(10)] == [0.0] * 10
    assert buckets.take("a") == pytest.approx(0.1)
    assert buckets.take("b") == 0.0
    now = 0.1
    assert buckets.take("a") == 0.0
    assert buckets.take("a") > 0
    now = 100.0
    assert [buckets.take("a") > 0 for _ in range(11)] == [False] * 10 + [True]


def test_a_slow_rate_lets_one_request_through() -> None:
    now = 0.0
    buckets = TokenBuckets(0.5, clock=lambda: now)
    assert buckets.take("a") == 0.0
    assert buckets.take("a") == pytest.approx(2.0)


def test_a_key_that_is_too_fast_waits_and_another_does_not(engine: Engine, start: Start) -> None:
    fast, other = new_key(engine, name="fast"), new_key(engine, name="other")
    api = start(url_of(engine), api_rate_per_key=2)
    headers = {"X-API-Key": fast}
    found = [api.get("/settings", headers=headers) for _ in range(6)]
    refused = [response for response in found if response.status_code != 200]
    assert refused
    assert "Too many requests: wait 1 s" in problem(refused[0], 429)["detail"]
    assert int(refused[0].headers["retry-after"]) >= 1
    assert api.get("/settings", headers={"X-API-Key": other}).status_code == 200


def test_an_address_that_is_too_fast_waits_whatever_it_asks(engine: Engine, start: Start) -> None:
    api = start(url_of(engine), api_rate_per_address=2)
    statuses = [api.get("/health/live").status_code for _ in range(6)]
    assert statuses[:2] == [200, 200]
    assert 429 in statuses


def put(api: TestClient, content: bytes) -> int:
    response = api.put(
        "/settings/kpi_window_days",
        content=content,
        headers={"Content-Type": "application/json"},
    )
    if response.status_code == 413:
        assert "5,242,880 bytes" in problem(response, 413)["detail"]
    return response.status_code


def test_a_body_beyond_the_limit_is_refused_by_its_announced_length(api: TestClient) -> None:
    assert put(api, b" " * body_limit.BODY_BYTES) == 422
    assert put(api, b" " * (body_limit.BODY_BYTES + 1)) == 413


def test_a_body_without_a_length_is_refused_while_it_streams() -> None:
    chunk, sent = b" " * 1024**2, 0

    async def endless() -> Message:
        nonlocal sent
        sent += len(chunk)
        return {"type": "http.request", "body": chunk, "more_body": True}

    async def read(path: str) -> None:
        receive = limited({"type": "http", "path": path, "headers": []}, endless)
        while True:
            await receive()

    with pytest.raises(BodyTooLargeError):
        asyncio.run(read("/api/v1/settings/x"))
    assert sent == 6 * 1024**2
    with pytest.raises(BodyTooLargeError):
        asyncio.run(read("/api/v1/predict/batch"))
    assert sent == (6 + 2_049) * 1024**2


@pytest.mark.parametrize("length", ["-1", "x", "1e3", "9" * 30])
def test_a_length_that_is_no_number_is_refused(length: str) -> None:
    scope = {"type": "http", "path": "/", "headers": [(b"content-length", length.encode())]}

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    with pytest.raises(BadRequestError, match="Content-Length is a number of bytes"):
        limited(scope, receive)


def test_responses_tell_browsers_to_be_careful(api: TestClient) -> None:
    headers = api.get("/orders").headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert "cdn.jsdelivr.net" in api.get("/docs").headers["content-security-policy"]


def test_no_other_origin_is_let_in_unless_it_is_listed(engine: Engine, start: Start) -> None:
    origin = {"Origin": "https://shop.example"}
    asked = origin | {"Access-Control-Request-Method": "PUT"}
    closed = start(url_of(engine))
    assert "access-control-allow-origin" not in closed.get("/orders", headers=origin).headers
    assert closed.options("/orders", headers=asked).status_code == 405
    opened = start(url_of(engine), api_cors_origins=["https://shop.example"])
    assert opened.options("/orders", headers=asked).status_code == 200
    answer = opened.get("/orders", headers=origin)
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    assert "access-control-allow-credentials" not in answer.headers
    other = opened.get("/orders", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in other.headers


@pytest.mark.parametrize(
    ("offered", "taken"), [("abc-1", True), ("a" * 65, False), ("a b", False), ("", False)]
)
def test_a_request_id_is_taken_if_it_is_well_formed(
    api: TestClient, offered: str, taken: bool
) -> None:
    answer = api.get("/orders", headers={"X-Request-ID": offered}).headers["x-request-id"]
    assert (answer == offered) == taken
    assert answer
