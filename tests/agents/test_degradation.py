"""A model that fails: the policy model goes on, or a person does; no case is dropped."""

from __future__ import annotations

import time
from typing import Any

import pytest

from fulfillment_assets.agents import models as models_module
from fulfillment_assets.agents.models import Models, NamedModel
from fulfillment_assets.agents.policy_model import PolicyModel
from tests.agents.graph_fixtures import (
    LATE_AND_HAPPY,
    Bureau,
    bureau_fixture,
    response,
    server_fixture,
    shipped_chunks_fixture,
    tools_of,
)
from tests.agents.openai_protocol import Call, Says
from tests.agents.openai_server import ChatServer, Drops, Hangs, Raw, Reply, Status

__all__ = ["bureau_fixture", "server_fixture", "shipped_chunks_fixture"]

FAULTS: list[tuple[Reply, str]] = [
    (Status(500), "failure 500"),
    (Status(429), "failure 429"),
    (Status(401), "failure 401"),
    (Status(400), "failure 400"),
    (Hangs(0.8), "timed out"),
    (Drops(), "Connection error"),
    (Raw(b"<html>gateway</html>"), ""),
    (Raw(b'{"choices": []}'), ""),
    (Says(None, (Call("issue_refund", "[250]"),)), ""),
    (Says(refusal="I cannot help with that."), "refused: I cannot help"),
    (Says(""), "said: nothing"),
]


def failing(server: ChatServer, fault: Reply, *roles: str) -> None:
    """Let the server answer these roles, or all, with a fault, for ever."""
    careful = server.script

    def script(body: dict[str, Any]) -> Reply:
        return fault if not roles or server.requests[-1].role in roles else careful(body)

    server.script = script


@pytest.mark.parametrize(("fault", "told"), FAULTS)
def test_where_the_policy_model_may_stand_in_it_settles_the_case(
    bureau: Bureau, server: ChatServer, fault: Reply, told: str
) -> None:
    failing(server, fault)
    place = bureau.asking(server, agent_max_retries=0, agent_timeout_seconds=0.4)
    outcome = place.work_new(LATE_AND_HAPPY)
    assert outcome.status == "resolved"
    assert response(outcome, "payment").action == "issue_refund"
    failure = response(outcome, "orchestrator").details["failure"]
    assert failure.startswith("gpt-4o-mini: ")
    assert told in failure
    assert "sk-test" not in failure


@pytest.mark.parametrize(("fault", "told"), FAULTS)
def test_where_it_may_not_a_person_gets_a_ticket_with_the_reason(
    bureau: Bureau, server: ChatServer, fault: Reply, told: str
) -> None:
    failing(server, fault)
    place = bureau.asking(
        server, agent_fallback="escalate", agent_max_retries=0, agent_timeout_seconds=0.4
    )
    outcome = place.work_new(LATE_AND_HAPPY)
    assert outcome.status == "escalated"
    assert bureau.effects() == ["create_ticket"]
    [ticket] = bureau.office.rows("SELECT * FROM escalation_tickets")
    assert "No model could answer" in ticket["question"]
    assert told in ticket["question"]
    assert response(outcome, "escalation").details["ending"] == "handed_over"
    assert outcome.summary


class TestAModelThatFailsHalfWay:
    def test_the_stand_in_goes_on_where_it_stopped(
        self, bureau: Bureau, server: ChatServer
    ) -> None:
        server.answers["payment"] = [
            Says("RF-1.1: First a look.", (Call("check_refund_eligibility"),)),
            *[Status(500)] * 2,
        ]
        outcome = bureau.asking(server).work_new(LATE_AND_HAPPY)
        payment = response(outcome, "payment")
        assert payment.model == "gpt-4o-mini, policy"
        assert tools_of(outcome, "payment") == [
            ("check_refund_eligibility", "info"),
            ("issue_refund", "done"),
        ]
        assert outcome.status == "resolved"

    def test_what_it_had_done_is_kept_and_told_to_the_person(
        self, bureau: Bureau, server: ChatServer
    ) -> None:
        move = Call("transfer_warehouse", {"to_block": "C", "reason": "faster"})
        server.answers["shipment"] = [Says("SH-5.1: It is moved.", (move,)), *[Status(500)] * 2]
        outcome = bureau.asking(server, agent_fallback="escalate").work_new()
        shipment = response(outcome, "shipment")
        assert (shipment.action, shipment.details["ending"]) == (
            "transfer_warehouse",
            "handed_over",
        )
        [ticket] = bureau.office.rows("SELECT * FROM escalation_tickets")
        assert "transfer_warehouse done" in ticket["findings"][0]["tried"]
        assert outcome.status == "escalated"

    def test_a_failed_summary_leaves_the_case_as_it_ended(
        self, bureau: Bureau, server: ChatServer
    ) -> None:
        failing(server, Status(400), "summary")
        outcome = bureau.asking(server, agent_fallback="escalate").work_new(LATE_AND_HAPPY)
        assert outcome.status == "resolved"
        assert "Refunded 40.00 USD" in outcome.summary


class TestTheRouter:
    @pytest.mark.parametrize(
        "wrong",
        [
            Call("route", {"specialists": [], "reason": "x", "confidence": 1}),
            Call("route", {"specialists": ["bank"], "reason": "x", "confidence": 1}),
            Call("route", "{"),
            Call("issue_refund", {"amount_usd": 250}),
        ],
    )
    def test_a_wrong_answer_is_explained_and_asked_again(
        self, bureau: Bureau, server: ChatServer, wrong: Call
    ) -> None:
        server.answers["router"] = [Says(None, (wrong,))]
        outcome = bureau.asking(server).work_new()
        assert outcome.status == "resolved"
        second = server.asked("router")[1].body["messages"]
        assert second[-1]["role"] == "tool"
        assert "Call `route`" in second[-1]["content"]
        assert {one.model for one in outcome.responses} == {"gpt-4o-mini"}

    @pytest.mark.parametrize(
        ("fallback", "status"), [("policy", "resolved"), ("escalate", "escalated")]
    )
    def test_after_a_second_wrong_answer_it_is_given_up(
        self, bureau: Bureau, server: ChatServer, fallback: str, status: str
    ) -> None:
        server.answers["router"] = [Says(None, (Call("route", "{"),))] * 2
        outcome = bureau.asking(server, agent_fallback=fallback).work_new()
        assert outcome.status == status
        assert len(server.requests) == 2


class TestAServerThatIsDown:
    def test_is_left_alone_for_a_while_and_then_asked_again(
        self, bureau: Bureau, server: ChatServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(models_module, "PAUSE_SECONDS", 1.0)
        failing(server, Status(500))
        place = bureau.asking(server, agent_max_retries=0)
        assert place.work_new().status == "resolved"
        assert len(server.requests) == 1
        assert place.work_new().status == "resolved"
        assert len(server.requests) == 1
        time.sleep(1.1)
        place.work_new()
        assert len(server.requests) == 2

    def test_a_refusal_is_no_outage(self, bureau: Bureau, server: ChatServer) -> None:
        server.answers["router"] = [Says(refusal="No.")]
        place = bureau.asking(server)
        place.work_new()
        assert {one.model for one in place.work_new().responses} == {"gpt-4o-mini"}


def test_a_stand_in_that_fails_too_leaves_the_case_to_a_person(
    bureau: Bureau, server: ChatServer
) -> None:
    class Broken(PolicyModel):
        def _generate(self, *given: Any, **more: Any) -> Any:
            raise RuntimeError("no decision")

    failing(server, Status(500))
    place = bureau.asking(server, agent_max_retries=0)
    broken = NamedModel("policy", Broken(rulebook=bureau.office.book), (0.0, 0.0))
    outcome = place.with_models(Models(place.models.primary, broken)).work_new()
    assert outcome.status == "escalated"
    assert bureau.effects() == ["create_ticket"]
    assert "no decision" in response(outcome, "escalation").details["failure"]
