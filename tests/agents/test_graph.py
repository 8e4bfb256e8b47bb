"""The graph of a case, worked by the policy model with the real tools on a real database."""

from __future__ import annotations

import json
import threading
import uuid
from pathlib import Path
from typing import Any

import pytest

from fulfillment_assets.agents.diagram import graph_document
from fulfillment_assets.agents.models import Answer, Models
from fulfillment_assets.agents.specialist import MAX_TURNS
from fulfillment_assets.knowledge.errors import KnowledgeUnavailableError
from fulfillment_assets.settings import PROJECT_ROOT
from tests.agents.graph_fixtures import (
    HAPPY,
    LATE_AND_HAPPY,
    UNHAPPY,
    Bureau,
    bureau_fixture,
    response,
    server_fixture,
    shipped_chunks_fixture,
    tools_of,
)
from tests.agents.openai_protocol import Call, Says
from tests.agents.openai_server import ChatServer

__all__ = ["bureau_fixture", "server_fixture", "shipped_chunks_fixture"]


def agents_of(outcome: Any) -> set[str]:
    return {one.agent_type for one in outcome.responses}


class TestWhatBecomesOfACase:
    def test_an_order_not_yet_shipped_moves_to_a_faster_block_and_the_customer_hears_of_it(
        self, bureau: Bureau
    ) -> None:
        outcome = bureau.work_new(prior_purchases=0)
        assert outcome.status == "resolved"
        assert agents_of(outcome) == {"shipment", "customer", "orchestrator"}
        assert response(outcome, "shipment").action == "transfer_warehouse"
        assert response(outcome, "customer").action == "send_notification"
        assert bureau.effects() == ["transfer_warehouse", "send_notification", "log_interaction"]

    def test_a_late_order_is_refunded_rescheduled_and_the_customer_told_of_both(
        self, bureau: Bureau
    ) -> None:
        outcome = bureau.work_new(LATE_AND_HAPPY, order_id="O-late-3")
        assert outcome.status == "resolved"
        assert response(outcome, "payment").action == "issue_refund"
        [refund] = [one for one in bureau.office.actions() if one["tool"] == "issue_refund"]
        assert refund["amount_usd"] == 40
        sent = response(outcome, "customer").details["steps"]
        templates = [s["arguments"]["template"] for s in sent if s["tool"] == "send_notification"]
        assert templates[-1] == "refund_confirmation"

    def test_the_customer_is_told_the_new_date_that_was_just_set(self, bureau: Bureau) -> None:
        outcome = bureau.work_new(LATE_AND_HAPPY, payment_status="pending")
        [moved] = [one for one in bureau.office.actions() if one["tool"] == "reschedule_shipment"]
        sent = [one for one in bureau.office.actions() if one["tool"] == "send_notification"]
        assert sent[0]["arguments"]["template"] == "apology_email"
        assert moved["arguments"]["new_delivery_date"] in sent[0]["result"]["body"]
        assert outcome.status == "resolved"

    def test_an_unhappy_customer_s_order_goes_to_a_person_with_what_was_tried(
        self, bureau: Bureau
    ) -> None:
        outcome = bureau.work_new(**UNHAPPY)
        assert outcome.status == "escalated"
        [ticket] = bureau.office.rows("SELECT * FROM escalation_tickets")
        assert ticket["queue"] == "customer-care"
        assert "transfer_warehouse done (SH-4.3)" in ticket["findings"][0]["tried"]

    def test_a_shipment_that_no_rule_can_save_is_handed_over(self, bureau: Bureau) -> None:
        deviation = bureau.open(LATE_AND_HAPPY, payment_status="pending", order_id="O-stuck-6")
        for day in ("2026-03-11", "2026-03-12"):
            agent = bureau.office.agent("shipment", deviation)
            assert agent("reschedule_shipment", new_delivery_date=day, reason="x")["status"] == (
                "done"
            )
        outcome = bureau.work(bureau.office.deviation("O-stuck-6", kind="fulfillment_gap"))
        assert outcome.status == "escalated"
        assert response(outcome, "shipment").details["ending"] == "handed_over"
        [ticket] = bureau.office.rows("SELECT * FROM escalation_tickets")
        assert ticket["queue"] == "logistics-desk"

    def test_a_segment_goes_to_a_person(self, bureau: Bureau) -> None:
        outcome = bureau.work(bureau.office.segment(orders=90))
        assert outcome.status == "escalated"
        assert agents_of(outcome) == {"escalation", "orchestrator"}

    def test_an_order_of_unknown_status_goes_to_a_person(self, bureau: Bureau) -> None:
        outcome = bureau.work_new(order_status=None)
        assert (outcome.status, bureau.effects()) == ("escalated", ["create_ticket"])

    def test_a_cancelled_order_is_closed_with_that_reason(self, bureau: Bureau) -> None:
        outcome = bureau.work_new(order_status="cancelled")
        assert (outcome.status, bureau.effects()) == ("resolved", [])
        assert "cancelled" in response(outcome, "shipment").details["reason"]

    def test_working_it_again_has_no_effect_twice(self, bureau: Bureau) -> None:
        deviation = bureau.open(LATE_AND_HAPPY, **UNHAPPY)
        first = bureau.work(deviation)
        before = bureau.office.actions()
        again = bureau.work(deviation)
        money = [one for one in bureau.office.actions() if one["amount_usd"] is not None]
        tickets = bureau.office.rows("SELECT * FROM escalation_tickets")
        assert (first.status, again.status) == ("escalated", "escalated")
        assert (len(money), len(tickets)) == (1, 1)
        assert {one["id"] for one in before} <= {one["id"] for one in bureau.office.actions()}


class TestTrail:
    def test_each_response_has_what_was_retrieved_with_scores_and_the_rule_of_each_step(
        self, bureau: Bureau
    ) -> None:
        outcome = bureau.work_new(LATE_AND_HAPPY)
        for agent_type in ("shipment", "customer", "payment"):
            details = response(outcome, agent_type).details
            assert len(details["chunks"]) == 5
            assert all(0 < chunk["score"] <= 1 for chunk in details["chunks"])
            acted = [s for s in details["steps"] if s["result"]["status"] == "done"]
            assert acted and all(step["rule"] for step in acted)

    def test_the_conversation_is_whole_and_can_be_stored(self, bureau: Bureau) -> None:
        outcome = bureau.work_new(LATE_AND_HAPPY)
        for one in outcome.responses:
            json.dumps([one.details, one.conversation, one.usage])
        roles = [message["role"] for message in response(outcome, "payment").conversation]
        assert roles == ["system", "user", *["assistant", "tool"] * 2, "assistant"]

    def test_every_answer_of_the_policy_model_names_its_rule(self, bureau: Bureau) -> None:
        outcome = bureau.work_new(LATE_AND_HAPPY, **UNHAPPY)
        for one in outcome.responses:
            said = [m["content"] for m in one.conversation if m["role"] == "assistant"]
            if one.agent_type != "orchestrator":
                assert all(text[:2].isupper() and "-" in text[:6] for text in said)

    def test_the_policy_model_costs_nothing(self, bureau: Bureau) -> None:
        outcome = bureau.work_new()
        assert outcome.usage["calls"] == sum(one.usage["calls"] for one in outcome.responses) > 4
        assert outcome.usage["cost_usd"] == 0
        assert {one.model for one in outcome.responses} == {"policy"}

    def test_rules_that_were_not_retrieved_are_looked_up(self, bureau: Bureau) -> None:
        searched, asked = bureau.search, set[str]()

        def nothing_at_first(text: str, agent_type: Any) -> list[Any]:
            first = agent_type not in asked
            asked.add(agent_type)
            return [] if first else searched(text, agent_type)

        bureau.search = nothing_at_first  # type: ignore[assignment]
        outcome = bureau.work_new()
        assert tools_of(outcome, "shipment")[0] == ("search_knowledge_base", "info")

    def test_without_a_knowledge_base_the_tools_hold_the_rules_all_the_same(
        self, bureau: Bureau
    ) -> None:
        def broken(text: str, agent_type: Any) -> list[Any]:
            raise KnowledgeUnavailableError("Chroma does not answer")

        bureau.search = broken  # type: ignore[assignment]
        outcome = bureau.work_new(LATE_AND_HAPPY)
        assert outcome.status == "resolved"
        payment = response(outcome, "payment").details
        assert payment["chunks"] == []
        assert payment["retrieval_error"] == "Chroma does not answer"

    def test_no_text_from_outside_steers_what_is_retrieved(self, bureau: Bureau) -> None:
        marks = ("MARK-carrier", "MARK-customer", "MARK-order")
        bureau.work(
            bureau.open(
                LATE_AND_HAPPY, carrier_name=marks[0], customer_id=marks[1], order_id=marks[2]
            ),
            note="MARK-note",
        )
        assert bureau.search.asked
        assert not [text for text, _ in bureau.search.asked if "MARK" in text]


class Meeting(Models):
    """Lets shipment and payment think at the same moment only."""

    barrier = threading.Barrier(2, timeout=20)

    def ask(self, messages: Any, tools: Any = (), **rest: Any) -> Answer:
        names = {tool.name for tool in tools}
        if names & {"check_carrier_status", "check_refund_eligibility"} and len(messages) == 2:
            self.barrier.wait()
        return super().ask(messages, tools, **rest)


def test_specialists_of_a_round_work_in_parallel(bureau: Bureau) -> None:
    meeting = Meeting(bureau.models.primary)
    outcome = bureau.with_models(meeting).work_new(LATE_AND_HAPPY)
    assert {"shipment", "payment"} <= agents_of(outcome)


class TestBounds:
    def test_a_model_that_calls_tools_for_ever_ends_with_a_person(
        self, bureau: Bureau, server: ChatServer
    ) -> None:
        careful = server.script

        def endless(body: dict[str, Any]) -> Any:
            names = {tool["function"]["name"] for tool in body.get("tools", ())}
            if names and "route" not in names:
                return Says("Once more.", (Call("search_knowledge_base", {"query": "refund"}),))
            return careful(body)

        server.script = endless
        outcome = bureau.asking(server).work_new()
        assert outcome.status == "escalated"
        shipment = response(outcome, "shipment")
        assert shipment.details["ending"] == "handed_over"
        assert f"{MAX_TURNS} turns" in shipment.details["reason"]
        assert shipment.usage["calls"] == MAX_TURNS
        assert response(outcome, "escalation").action == "create_ticket"

    def test_what_is_beyond_the_calls_of_one_answer_is_refused(
        self, bureau: Bureau, server: ChatServer
    ) -> None:
        many = tuple(Call("log_interaction", {"summary": f"entry {number}"}) for number in range(9))
        server.answers["customer"] = [Says("All at once.", many), Says("CO-7.1: Done.")]
        outcome = bureau.asking(server).work_new()
        statuses = [status for _, status in tools_of(outcome, "customer")]
        assert statuses == ["done"] * 6 + ["refused"] * 3
        assert bureau.effects().count("log_interaction") == 6


class TestRequiredPeople:
    def test_a_router_cannot_keep_a_person_away_whom_a_rule_demands(
        self, bureau: Bureau, server: ChatServer
    ) -> None:
        lenient = {"specialists": ["customer"], "reason": "quiet", "confidence": 1.0}
        server.answers["router"] = [Says(None, (Call("route", lenient),))]
        outcome = bureau.asking(server).work_new(**UNHAPPY)
        route = response(outcome, "orchestrator").details["route"]
        assert route["specialists"] == ["customer", "escalation"]
        assert route["required"] == {"escalation": "ES-1.2"}
        assert outcome.status == "escalated"

    def test_a_router_that_is_not_sure_brings_in_a_person(
        self, bureau: Bureau, server: ChatServer
    ) -> None:
        unsure = {"specialists": ["shipment"], "reason": "perhaps", "confidence": 0.4}
        server.answers["router"] = [Says(None, (Call("route", unsure),))]
        outcome = bureau.asking(server).work_new()
        assert response(outcome, "orchestrator").details["route"]["required"] == {
            "escalation": "ES-1.3"
        }


def test_the_documented_diagram_is_that_of_the_graph() -> None:
    path = Path(PROJECT_ROOT, "docs", "agent_graph.md")
    assert path.read_text(encoding="utf-8") == graph_document()


@pytest.mark.parametrize("start", [HAPPY, LATE_AND_HAPPY])
def test_the_graph_is_the_same_for_every_model(
    bureau: Bureau, server: ChatServer, start: dict[str, Any]
) -> None:
    """A careful model behind HTTP does what the policy model does."""
    bureau.office.order("O-same", dict(start))
    by_policy = bureau.work(bureau.office.deviation("O-same"))
    effects = sorted(bureau.effects())
    for table in ("order_interventions", "customer_contacts", "tool_actions"):
        bureau.office.execute(f"DELETE FROM {table}")
    by_http = bureau.asking(server).work(
        bureau.office.deviation("O-same", kind="fulfillment_gap"), thread_id=str(uuid.uuid4())
    )
    assert sorted(bureau.effects()) == effects
    assert [(one.agent_type, one.action) for one in by_http.responses] == [
        (one.agent_type, one.action) for one in by_policy.responses
    ]
    assert {one.model for one in by_http.responses} == {"gpt-4o-mini"}
