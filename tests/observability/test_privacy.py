"""No log line tells who an order is for, what somebody wrote, or a secret."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa

from fulfillment_api.resources.predictions.schemas import ORDER_EXAMPLE
from fulfillment_api.resources.settings import endpoints
from fulfillment_assets.agents.work import work_one
from fulfillment_assets.agents.workshop import workshop
from fulfillment_assets.scoring import drop_folder
from tests.api.conftest import Start, start
from tests.api.examples import new_key, url_of
from tests.defs.runs import score
from tests.observability.captured import Lines
from tests.orders.examples import csv_text, order_row
from tests.scoring.streams import Stream, order_event
from tests.scoring.workplace import LATE, OPEN, Workplace

__all__ = ["start"]

MARK = "zqmark"
"""Stands in everything that no line may hold."""

MARKED = {
    "order_id": f"{MARK}-order",
    "customer_id": f"{MARK}-customer",
    "carrier_name": f"{MARK} carrier",
}


def assert_silent(lines: Lines, *events: str) -> None:
    """These events were told, and no mark in any of them."""
    assert {line["event"] for line in lines.all()} >= set(events)
    assert MARK not in lines.text.lower()


def test_files_and_the_agents_tell_nothing_of_their_rows(
    place: Workplace, instance: dg.DagsterInstance, lines: Lines
) -> None:
    good = order_row(**MARKED, **LATE, **OPEN) | {"remark": f"{MARK} rang twice"}
    bad = good | {"order_id": f"{MARK}-bad", "warehouse_block": MARK}
    file = place.file(csv_text([good, bad]), f"{MARK}.csv")
    job = drop_folder.claim(place.engine, place.settings, file).job
    assert score(instance, job).success
    with place.engine.connect() as connection:
        found = connection.scalar(sa.text("SELECT id FROM deviations"))
    with workshop(place.engine, place.settings) as shop:
        worked = work_one(shop, found, "w", by=f"{MARK} person", note=f"{MARK}: pay me")
    assert worked.error is None
    assert_silent(lines, "orders.scored", "agent.tool_called", "agent.case_settled")


def test_messages_tell_nothing_of_their_values(flow: Stream, lines: Lines) -> None:
    flow.send(
        order_event(**MARKED, **LATE, **OPEN),
        (MARK.encode(), f'{{"order_id": "{MARK}"'.encode(), (("x", MARK.encode()),)),
    )
    flow.score(0, 2)
    assert_silent(lines, "orders.scored")


def test_an_error_while_a_case_is_worked_tells_nothing_of_the_case(
    place: Workplace, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.score(place.orders({**MARKED, **LATE, **OPEN}))
    place.execute(
        "ALTER TABLE agent_responses ADD CONSTRAINT never CHECK (conversation_history IS NULL)"
    )
    with workshop(place.engine, place.settings) as shop:
        found = place.value("SELECT id FROM deviations")
        worked = work_one(shop, found, "w", by="me", note=f"{MARK}: pay me")
    assert worked.outcome is None
    (told,) = (line for line in lines.all() if "exception" in line)
    assert told["event"] == f"deviation {found} was not settled"
    assert told["correlation_id"]
    assert "CheckViolation" in told["exception"]
    assert_silent(lines)


@pytest.mark.parametrize("path", [f"/orders/{MARK}", f"/orders?search={MARK}", f"/{MARK}?q={MARK}"])
def test_requests_tell_nothing_of_paths_and_queries(
    place: Workplace, start: Start, lines: Lines, path: str
) -> None:
    api = start(url_of(place.engine), key=new_key(place.engine, name=MARK))
    secret = str(api.headers["authorization"]).removeprefix("Bearer ")
    api.get(path, headers={"User-Agent": MARK, "Cookie": MARK})
    assert_silent(lines, "request")
    assert secret not in lines.text


def test_predictions_tell_nothing_of_their_orders(
    place: Workplace, start: Start, lines: Lines
) -> None:
    api = start(url_of(place.engine))
    late: dict[str, Any] = {"discount_offered": 60, "weight_in_gms": 1_500}
    order = ORDER_EXAMPLE | MARKED | late | {"order_status": "processing", "delivery_date": None}
    assert api.post("/predict", json=order).status_code == 200
    assert api.post("/predict", json=order | {"warehouse_block": MARK}).status_code == 422
    assert api.post("/predict", content=f'{{"{MARK}"'.encode()).status_code == 422
    assert_silent(lines, "request")


def test_an_unforeseen_error_of_a_request_tells_nothing_of_its_values(
    place: Workplace, start: Start, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(connection: sa.Connection) -> None:
        connection.execute(sa.text("SELECT CAST(:value AS int)"), {"value": f"{MARK} value"})

    monkeypatch.setattr(endpoints, "list_settings", fail)
    assert start(url_of(place.engine)).get("/settings").status_code == 500
    (told,) = lines.of("unexpected error")
    assert "InvalidTextRepresentation" in told["exception"]
    assert told["correlation_id"] == told["request_id"]
    assert_silent(lines, "request")
