"""Whatever is sent, the answer is problem details that tell nothing of the inside."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.engine import Engine

from fulfillment_api.resources.settings import endpoints
from tests.api.conftest import Start
from tests.api.examples import problem, url_of

UUID = "0195d0a0-7a3c-7cc4-8a1e-3f6f8f3f9b10"


@pytest.mark.parametrize(
    ("path", "status", "told"),
    [
        ("/nowhere", 404, "There is no such path"),
        ("/orders/O-1", 404, "Nothing was heard of an order 'O-1'"),
        (f"/deviations/{UUID}", 404, f"There is no deviation {UUID}"),
        (f"/agent-response/{UUID}", 404, f"There is no deviation {UUID}"),
        (f"/batch/{UUID}/status", 404, f"There is no batch job {UUID}"),
        (f"/batch/{UUID}/rejected?format=csv", 404, f"There is no batch job {UUID}"),
        ("/deviations/5", 422, "path.deviation_id: Input should be a valid UUID"),
        ("/orders?limit=0", 422, "query.limit: Input should be greater than or equal to 1"),
        ("/orders?limit=-1", 422, "query.limit"),
        ("/orders?limit=501", 422, "query.limit: Input should be less than or equal to 500"),
        ("/orders?limit=" + "9" * 5_000, 422, "query.limit"),
        ("/orders?cursor=x", 422, "query.cursor: take the cursor from `pagination.next`"),
        ("/orders?cursor=WyJkZXZpYXRpb25zIiwgIngiXQ", 422, "query.cursor"),
        ("/orders?since=yesterday", 422, "query.since"),
        ("/orders?since=0001-01-01T00:00:00%2B14:00", 422, "query.since"),
        ("/orders?until=9999-12-31T23:59:59-14:00", 422, "query.until"),
        ("/orders?risk=high", 422, "query.risk.0"),
        ("/orders?search=a%00b", 400, "NUL"),
        ("/orders/a%00b", 400, "NUL"),
        ("/orders?search=%ff", 400, "UTF-8"),
        ("/orders/%c3%28", 400, "UTF-8"),
        ("/orders?search=%0A", 422, "query.search"),
        ("/orders?search=" + "a" * 201, 422, "query.search"),
        ("/orders/" + "a" * 65, 422, "path.order_id"),
        ("/kpi/dashboard?days=nan", 422, "query.days"),
        ("/kpi/dashboard?days=-1", 422, "query.days"),
        ("/kpi/segments?by=colour", 422, "query.by: unknown dimension 'colour'"),
        ("/kpi/segments?by=mode&by=mode", 422, "query.by: dimension 'mode_of_shipment' is named"),
        ("/kpi/timeseries?grain=hour&days=3000", 422, "points are more than a series may have"),
        ("/kpi/timeseries?grain=week", 422, "query.grain"),
    ],
)
def test_a_get_that_makes_no_sense(api: TestClient, path: str, status: int, told: str) -> None:
    assert told in problem(api.get(path), status)["detail"]


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        (b"", 422, "body: Field required"),
        (b"{", 422, "JSON decode error"),
        (b"[]", 422, "body"),
        (b'{"value": "\xff"}', 400, "body"),
        (b'{"value": NaN}', 422, "body.value"),
        (b'{"value": 1e400}', 422, "body.value"),
        (b'{"value": true}', 422, "body.value"),
        (b'{"value": 7}', 422, "severity_critical_above must be a number from 0 to 1"),
        (b'{"value": "x"}', 422, "severity_critical_above must be a number from 0 to 1"),
        (b'{"value": 0.7, "\\ud800": 1}', 422, "body"),
        (b'{"value": ' + b"9" * 5_000 + b"}", 400, "body"),
        (b'{"value": "\\u0000"}', 422, "body.value"),
        (b'{"value": "\\ud800"}', 422, "body.value"),
        (b'{"value": 0.7, "by": "me"}', 422, "body.by"),
        (b'{"value": [' + b"[" * 100_000 + b"]" * 100_000 + b"]}", 400, "body"),
        (b'{"value": 0.1}', 422, "severity_warning_above (0.5) must not be above"),
    ],
)
def test_a_body_that_makes_no_sense(api: TestClient, body: bytes, status: int, told: str) -> None:
    response = api.put(
        "/settings/severity_critical_above",
        content=body,
        headers={"Content-Type": "application/json"},
    )
    assert told in problem(response, status)["detail"]


def test_every_broken_rule_is_listed_with_its_field(api: TestClient) -> None:
    found = problem(api.get("/orders?limit=0&risk=high"), 422)
    assert {error["field"] for error in found["errors"]} == {"query.limit", "query.risk.0"}


def test_a_method_that_a_path_does_not_take_names_those_that_it_takes(api: TestClient) -> None:
    response = api.post("/orders")
    problem(response, 405)
    assert response.headers["allow"] == "GET"


def test_an_unforeseen_error_tells_nothing_but_a_request_id(
    engine: Engine,
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("SELECT secret FROM inside")

    monkeypatch.setattr(endpoints, "list_settings", fail)
    lines: list[Any] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record)

    handler = Kept()
    logger = logging.getLogger("fulfillment_api")
    logger.addHandler(handler)
    try:
        response = start(url_of(engine)).get("/settings", headers={"X-Request-ID": "abc-1"})
    finally:
        logger.removeHandler(handler)
    found = problem(response, 500)
    assert found["request_id"] == "abc-1"
    assert "secret" not in response.text
    told = [record.msg for record in lines if record.name == "fulfillment_api.problems"]
    assert [(event["event"], event["request_id"]) for event in told] == [
        ("unexpected error", "abc-1")
    ]
