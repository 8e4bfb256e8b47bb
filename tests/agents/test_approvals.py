"""Requests for approval are decided once, by a named person, in time."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from fulfillment_assets.agents import approvals
from fulfillment_assets.agents.approvals import Approval
from fulfillment_assets.agents.errors import ApprovalError
from tests.agents.examples import DAY, NOW, Office


def asked(office: Office, deviation: uuid.UUID, amount: float = 60.0, **changes: Any) -> Approval:
    wanted = {
        "tool": "issue_refund",
        "arguments": {"amount_usd": amount, "reason": "late"},
        "amount": amount,
        "why": "above 50 USD",
    } | changes
    with office.engine.begin() as connection:
        return approvals.record(connection, deviation, "payment", wanted, now=NOW, expires_hours=24)


def decided(office: Office, request: Approval, decision: Any, **more: Any) -> Approval:
    with office.engine.begin() as connection:
        arguments: dict[str, Any] = {"by": "erin", "now": NOW} | more
        return approvals.decide(connection, request.id, decision, **arguments)


@pytest.fixture
def deviation(office: Office) -> uuid.UUID:
    office.order(cost_of_product=300.0)
    return office.deviation()


def test_a_request_is_listed_until_it_is_decided(office: Office, deviation: uuid.UUID) -> None:
    request = asked(office, deviation)
    with office.engine.connect() as connection:
        assert approvals.list_approvals(connection) == [request]
    done = decided(office, request, "approved", note="fine")
    assert (done.status, done.decided_by, done.note) == ("approved", "erin", "fine")
    with office.engine.connect() as connection:
        assert approvals.list_approvals(connection) == []
        assert approvals.list_approvals(connection, status=None, deviation_id=deviation) == [done]
        assert approvals.find_approval(connection, request.id) == done


def test_deciding_twice_tells_who_decided(office: Office, deviation: uuid.UUID) -> None:
    request = asked(office, deviation)
    decided(office, request, "rejected")
    with pytest.raises(ApprovalError, match=r"rejected before, by erin at 2026-03-10 10:00"):
        decided(office, request, "approved", by="frank")


def test_deciding_again_the_same_way_changes_nothing(office: Office, deviation: uuid.UUID) -> None:
    request = asked(office, deviation)
    done = decided(office, request, "approved", note="fine")
    assert decided(office, request, "approved", by="frank", now=NOW + DAY) == done


def test_of_two_who_decide_at_once_one_does(office: Office, deviation: uuid.UUID) -> None:
    request = asked(office, deviation)

    def vote(decision: str) -> str:
        try:
            return decided(office, request, decision, by=decision).status
        except ApprovalError as error:
            return str(error)

    with ThreadPoolExecutor(2) as pool:
        results = sorted(pool.map(vote, ("approved", "rejected")), key=len)
    assert results[0] in ("approved", "rejected")
    assert f"was {results[0]} before, by {results[0]}" in results[1]


def test_asking_for_the_same_again_is_one_request(office: Office, deviation: uuid.UUID) -> None:
    assert asked(office, deviation) == asked(office, deviation)


def test_asking_for_something_else_withdraws_what_was_asked(
    office: Office, deviation: uuid.UUID
) -> None:
    first, second = asked(office, deviation), asked(office, deviation, 55.0)
    with pytest.raises(ApprovalError, match="rejected before, by replaced"):
        decided(office, first, "approved")
    assert decided(office, second, "approved").arguments["amount_usd"] == 55.0


def test_a_request_expires_and_counts_as_rejected(office: Office, deviation: uuid.UUID) -> None:
    request = asked(office, deviation)
    with pytest.raises(ApprovalError, match=r"expired at 2026-03-11 10:00"):
        decided(office, request, "approved", now=NOW + DAY)
    with office.engine.begin() as connection:
        assert approvals.expire(connection, NOW + DAY / 2) == []
        [gone] = approvals.expire(connection, NOW + DAY)
    for decision in ("approved", "rejected"):
        with pytest.raises(ApprovalError, match="rejected before, by expiry"):
            decided(office, request, decision, now=NOW + DAY)
    assert (gone.id, gone.status, gone.decided_by) == (request.id, "rejected", "expiry")


@pytest.mark.parametrize("by", ["", "  ", "expiry", "replaced"])
def test_a_decision_names_a_person(office: Office, deviation: uuid.UUID, by: str) -> None:
    with pytest.raises(ApprovalError, match="names the person"):
        decided(office, asked(office, deviation), "approved", by=by)


def test_what_there_is_not_is_told(office: Office, deviation: uuid.UUID) -> None:
    unknown = uuid.uuid4()
    with office.engine.connect() as connection:
        with pytest.raises(ApprovalError, match=str(unknown)):
            approvals.decide(connection, unknown, "approved", by="erin")
        with pytest.raises(ValueError, match="unknown status 'open'"):
            approvals.list_approvals(connection, status="open")
        with pytest.raises(ValueError, match="limit must be from 1 to 1000"):
            approvals.list_approvals(connection, limit=0)


def test_a_request_is_as_a_tool_asks_for_it(office: Office, deviation: uuid.UUID) -> None:
    agent = office.agent("payment", deviation)
    wanted = agent("issue_refund", amount_usd=60, reason="late")["approval"]
    request = asked(office, deviation, **wanted)
    assert request.amount_usd == 60
    done = agent.approved(request.tool, "erin", **request.arguments)
    assert done["approved_by"] == "erin"
