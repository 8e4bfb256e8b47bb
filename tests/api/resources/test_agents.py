"""What the agents did, and what waits for a person."""

from __future__ import annotations

import json
import uuid

from fastapi.testclient import TestClient

from tests.agents.examples import Office
from tests.api.examples import pages


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
