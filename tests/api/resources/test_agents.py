"""What the agents did, and what waits for a person."""

from __future__ import annotations

import json
import uuid

import pytest
from fastapi.testclient import TestClient

from fulfillment_assets.agents import claims
from tests.agents.examples import Office
from tests.api.conftest import Start
from tests.api.examples import new_key, pages, problem, url_of


def respond(office: Office, deviation: uuid.UUID, agent_type: str, summary: str) -> None:
    office.execute(
        "INSERT INTO agent_responses (deviation_id, agent_type, action, details_json, "
        "conversation_history, model, usage) VALUES (:id, :agent, 'reschedule_delivery', "
        "CAST(:details AS jsonb), '[]', 'policy', '{}')",
        id=deviation,
        agent=agent_type,
        details=json.dumps({"summary": summary}),
    )


def test_agent_responses_are_listed_searched_and_shown(api: TestClient, office: Office) -> None:
    deviation = office.deviation(office.order("O-1"))
    respond(office, deviation, "shipment", "Moved to Friday, 100% sure.")
    respond(office, deviation, "orchestrator", "All done.")
    office.deviation(office.order("O-2"))

    def listed(**asked: str) -> list[str]:
        items = api.get("/agent-responses", params=asked).json()["items"]
        return [item["agent_type"] for item in items]

    assert listed() == ["orchestrator", "shipment"]
    assert listed(agent_type="shipment") == ["shipment"]
    assert listed(search="friday") == ["shipment"]
    assert listed(search="0% s") == ["shipment"]
    assert listed(search="%%") == []
    assert listed(search="O-1") == ["orchestrator", "shipment"]
    assert listed(order_id="O-2") == []
    assert listed(deviation_id=str(deviation)) == ["orchestrator", "shipment"]
    shown = api.get(f"/agent-response/{deviation}").json()
    assert shown["summary"] == "All done."
    assert [one["agent_type"] for one in shown["responses"]] == ["shipment", "orchestrator"]
    assert shown["deviation"]["id"] == str(deviation)


def test_approvals_are_listed_by_status(api: TestClient, office: Office) -> None:
    deviation = office.deviation(office.order("O-1"))
    for tool in ("issue_refund", "issue_credit"):
        office.execute(
            "INSERT INTO agent_approvals (deviation_id, agent_type, tool, arguments, amount_usd, "
            "reason, expires_at) VALUES (:id, 'payment', :tool, '{}', 120, 'r', now())",
            id=deviation,
            tool=tool,
        )
    found = api.get("/approvals", params={"status": "pending"}).json()["items"]
    assert [one["tool"] for one in found] == ["issue_credit", "issue_refund"]
    assert found[0]["amount_usd"] == "120.00"
    assert [len(page) for page in pages(api, "/approvals", limit=1)] == [1, 1]
    assert api.get("/approvals", params={"status": "approved"}).json()["items"] == []


def moved(office: Office, deviation: uuid.UUID, *statuses: str) -> None:
    for status in statuses:
        office.execute(
            "UPDATE deviations SET status = :status WHERE id = :id", status=status, id=deviation
        )


def test_agents_take_what_an_operator_asks_for_before_the_others(
    office: Office, start: Start
) -> None:
    api = start(url_of(office.engine), key=new_key(office.engine, "operator", "erin"))
    office.deviation(office.order("O-1"))
    warning = office.deviation(office.order("O-2"), severity="warning")
    asked = {"deviation_id": str(warning), "note": "They called."}
    response = api.post("/trigger-agent", json=asked)
    assert response.status_code == 202, response.text
    told = response.json()
    assert (told["status"], told["asked_by"], told["note"]) == ("pending", "erin", "They called.")
    assert api.get(told["follow"]).json()["deviation"]["id"] == str(warning)
    with office.engine.begin() as connection:
        assert claims.claim(connection, "w", limit=1) == [warning]
    assert office.case(warning).operator_note == "They called."


def test_asking_twice_is_asking_once(api: TestClient, office: Office) -> None:
    asked = {"deviation_id": str(office.deviation(office.order("O-1")))}
    first, second = (api.post("/trigger-agent", json=asked).json() for _ in range(2))
    assert first == second
    [line] = office.rows("SELECT action, target FROM api_audit")
    assert line == {"action": "agents.trigger", "target": asked["deviation_id"]}


def test_what_was_escalated_is_tried_again(api: TestClient, office: Office) -> None:
    deviation = office.deviation(office.order("O-1"))
    moved(office, deviation, "agent_triggered", "escalated")
    response = api.post("/trigger-agent", json={"deviation_id": str(deviation)})
    assert (response.status_code, response.json()["status"]) == (202, "pending")


@pytest.mark.parametrize(
    ("statuses", "why"),
    [
        (["resolved"], "nothing left to do"),
        (["agent_triggered"], "wait until they are done"),
        (["agent_triggered", "awaiting_approval"], "decide about it"),
    ],
)
def test_where_agents_cannot_help_it_says_why(
    api: TestClient, office: Office, statuses: list[str], why: str
) -> None:
    deviation = office.deviation(office.order("O-1"))
    moved(office, deviation, *statuses)
    response = api.post("/trigger-agent", json={"deviation_id": str(deviation)})
    assert why in problem(response, 409)["detail"]
    assert office.rows("SELECT * FROM api_audit") == []


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"deviation_id": str(uuid.uuid4())}, 404),
        ({"deviation_id": "x"}, 422),
        ({"deviation_id": str(uuid.uuid4()), "note": "x" * 2_001}, 422),
        ({"deviation_id": str(uuid.uuid4()), "note": "\0"}, 422),
        ({}, 422),
    ],
)
def test_a_request_that_is_none_is_refused(
    api: TestClient, asked: dict[str, str], status: int
) -> None:
    problem(api.post("/trigger-agent", json=asked), status)


@pytest.fixture
def approval(office: Office) -> str:
    """A refund that waits for a person."""
    deviation = office.deviation(office.order("O-1"))
    moved(office, deviation, "agent_triggered", "awaiting_approval")
    return str(
        office.value(
            "INSERT INTO agent_approvals (deviation_id, agent_type, tool, arguments, amount_usd, "
            "reason, expires_at) VALUES (:id, 'payment', 'issue_refund', '{}', 120, 'r', "
            "now() + interval '1 day') RETURNING id",
            id=deviation,
        )
    )


@pytest.mark.parametrize(("way", "status"), [("approve", "approved"), ("reject", "rejected")])
def test_a_decision_has_the_name_of_the_key_and_agents_go_on(
    office: Office, start: Start, approval: str, way: str, status: str
) -> None:
    api = start(url_of(office.engine), key=new_key(office.engine, "operator", "erin"))
    response = api.post(f"/approvals/{approval}/{way}", json={"note": "by phone"})
    assert response.status_code == 200, response.text
    found = response.json()
    assert (found["status"], found["decided_by"], found["note"]) == (status, "erin", "by phone")
    assert api.get(f"/approvals/{approval}").json() == found
    [line] = office.rows("SELECT * FROM api_audit")
    assert (line["action"], line["target"], line["actor"]) == (
        f"approvals.{status}",
        approval,
        "erin",
    )
    with office.engine.begin() as connection:
        assert [str(one) for one in claims.claim_decided(connection, "w")] == [
            found["deviation_id"]
        ]


def test_deciding_again_the_same_way_changes_nothing_and_the_other_way_is_refused(
    api: TestClient, office: Office, approval: str
) -> None:
    first, second = (api.post(f"/approvals/{approval}/approve").json() for _ in range(2))
    assert first == second
    detail = problem(api.post(f"/approvals/{approval}/reject"), 409)["detail"]
    assert detail.startswith("The request was approved before, by local at ")
    assert len(office.rows("SELECT * FROM api_audit")) == 1


def test_what_expired_cannot_be_decided(api: TestClient, office: Office, approval: str) -> None:
    office.execute("UPDATE agent_approvals SET expires_at = now()")
    for way in ("approve", "reject"):
        detail = problem(api.post(f"/approvals/{approval}/{way}"), 409)["detail"]
        assert "expired at" in detail


def test_an_approval_that_there_is_not_is_told(api: TestClient) -> None:
    unknown = f"/approvals/{uuid.uuid4()}"
    problem(api.get(unknown), 404)
    problem(api.post(f"{unknown}/approve"), 404)
