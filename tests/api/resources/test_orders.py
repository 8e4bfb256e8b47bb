"""Orders, searched, and with their story."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from fulfillment_assets.delay_model.registry.champion import ensure_champion
from tests.agents.examples import Office
from tests.api.conftest import Start
from tests.api.examples import THEN, pages, url_of
from tests.kpis.examples import HOUR
from tests.scoring.fixtures import MODELS
from tests.scoring.workplace import LATE, OPEN, Workplace


@pytest.mark.usefixtures("scored")
@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, ["O1", "O2", "P3"]),
        ({"search": "O"}, ["O1", "O2"]),
        ({"search": "%"}, []),
        ({"risk": "critical"}, ["O1"]),
        ({"risk": ["critical", "none"]}, ["O1", "P3"]),
        ({"status": "shipped"}, ["O1"]),
        ({"warehouse": "A", "mode": "Road"}, ["P3"]),
        ({"customer_id": "nobody"}, []),
        ({"since": (THEN + HOUR).isoformat()}, []),
        ({"until": (THEN + HOUR).isoformat(), "limit": 2}, ["O1", "O2"]),
    ],
)
def test_orders_are_searched(api: TestClient, asked: dict[str, str], found: list[str]) -> None:
    response = api.get("/orders", params=asked)
    assert [order["order_id"] for order in response.json()["items"]] == found


def test_pages_of_orders_hold_every_order_once(api: TestClient, office: Office) -> None:
    ids = [office.order(name) for name in ("O-1", "O-2", "ü ?&/x", "日本")]
    found = [order["order_id"] for page in pages(api, "/orders", limit=1) for order in page]
    assert found == ids


def test_an_orders_story_has_reasons_in_words_and_every_event_in_time(
    workplace: Workplace, start: Start
) -> None:
    ensure_champion(workplace.engine, MODELS)
    workplace.score(workplace.orders({**LATE, **OPEN, "order_id": "O-1"}))
    story = start(url_of(workplace.engine)).get("/orders/O-1").json()
    assert story["order"]["severity"] == "critical"
    assert story["reasons"] == story["predictions"][0]["reasons"]
    assert story["reasons"][0]["text"].startswith("discount 60 % is far above usual")
    assert {d["kind"] for d in story["deviations"]} >= {"delay_risk"}
    moments = [event["at"] for event in story["timeline"]]
    assert moments == sorted(moments)
    assert {"ordered", "promised", "predicted", "deviation"} <= {
        event["what"] for event in story["timeline"]
    }


def test_an_orders_story_tells_what_agents_did(api: TestClient, office: Office) -> None:
    deviation = office.deviation(office.order("O/1 ?"))
    office.execute(
        "INSERT INTO tool_actions (idempotency_key, deviation_id, order_id, tool, arguments, "
        "result, agent_type) VALUES ('k', :id, 'O/1 ?', 'issue_credit', '{}', '{}', 'payment')",
        id=deviation,
    )
    story = api.get("/orders/O%2F1%20%3F").json()
    assert [action["tool"] for action in story["actions"]] == ["issue_credit"]
    assert ("agent_action", "payment: issue_credit") in {
        (event["what"], event["text"]) for event in story["timeline"]
    }
