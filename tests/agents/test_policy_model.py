"""The offline policy model: whatever the order, it keeps the rules, ends, and finds who is needed.

Orders are drawn at random; the tools that answer it are the real ones on a real database.
"""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

from fulfillment_assets.agents import prompts
from fulfillment_assets.agents.case import case_json
from fulfillment_assets.agents.outcome import Outcome
from fulfillment_assets.agents.policy_model import PolicyModel
from fulfillment_assets.agents.router import ROUTE
from fulfillment_assets.agents.specialist import EFFECTS, MAX_TURNS
from fulfillment_assets.agents.state import SPECIALISTS
from tests.agents.examples import AT_RISK, DAY, LATE, NOW
from tests.agents.graph_fixtures import (
    HAPPY,
    LATE_AND_HAPPY,
    UNHAPPY,
    Bureau,
    bureau_fixture,
    response,
    shipped_chunks_fixture,
    tools_of,
)

__all__ = ["bureau_fixture", "shipped_chunks_fixture"]

NOT_FORESEEN: Final = {"W", "CA", "SH-2", "RF-5"}
"""Refusals that the case does not show beforehand: full blocks, notice, and days of the carrier."""

hours = st.integers(min_value=0, max_value=24 * 20).map(lambda n: dt.timedelta(hours=n))


@st.composite
def orders(draw: st.DrawFn) -> dict[str, Any]:
    """An order as the feed may tell it, in any state."""
    status = draw(
        st.sampled_from(["processing", "shipped", "delayed", "delivered", "cancelled", None])
    )
    ordered = NOW - draw(hours) - 2 * DAY
    shipped = ordered + DAY if status in ("shipped", "delayed", "delivered") else None
    return {
        "order_id": f"O-{draw(st.integers(0, 99_999))}",
        "customer_id": draw(st.sampled_from(["C-1", None])),
        "order_date": ordered,
        "promised_delivery_date": draw(
            st.sampled_from([None, *[ordered + n * DAY for n in (3, 9)]])
        ),
        "order_status": status,
        "ship_date": shipped,
        "delivery_date": NOW - DAY if status == "delivered" else None,
        "warehouse_block": draw(st.sampled_from("ABCDEF")),
        "mode_of_shipment": draw(st.sampled_from(["Ship", "Flight", "Road"])),
        "carrier_name": draw(st.sampled_from(["Northline", "Skylark Air", "Greenway Vans", None])),
        "customer_care_calls": draw(st.integers(0, 7)),
        "customer_rating": draw(st.integers(1, 5)),
        "prior_purchases": draw(st.integers(0, 10)),
        "product_importance": draw(st.sampled_from(["low", "medium", "high"])),
        "cost_of_product": draw(st.integers(500, 40_000)) / 100,
        "weight_in_gms": float(draw(st.integers(100, 35_000))),
        "payment_status": draw(st.sampled_from(["paid", "pending", "refunded", None])),
        "delay_probability": draw(st.integers(31, 99)) / 100,
    }


severities = st.sampled_from(["critical", "warning", "info"])
RANDOM: Final = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def steps_of(outcome: Outcome) -> list[dict[str, Any]]:
    return [step for one in outcome.responses for step in one.details.get("steps", ())]


@RANDOM
@given(order=orders(), severity=severities)
def test_no_order_makes_it_break_a_rule_or_go_on_for_ever(
    bureau: Bureau, order: dict[str, Any], severity: str
) -> None:
    bureau.clear()
    outcome = bureau.work(bureau.open(AT_RISK, severity=severity, **order))
    assert outcome.status in ("resolved", "escalated", "awaiting_approval")
    for one in outcome.responses:
        assert one.usage["calls"] < MAX_TURNS
        if one.agent_type != "orchestrator":
            assert one.details["failure"] is None
            assert not (one.details["reason"] or "").startswith("It wanted to go on")
    tried: set[tuple[str, str]] = set()
    for step in steps_of(outcome):
        arguments = {k: v for k, v in step["arguments"].items() if k != "reason"}
        wanted = (step["tool"], str(sorted(arguments.items())))
        assert wanted not in tried, "what was refused is not tried again in the same way"
        tried.add(wanted)
        if step["result"]["status"] == "refused":
            rule = step["rule"] or ""
            assert rule.startswith(tuple(NOT_FORESEEN)), f"foreseeable: {step}"


@RANDOM
@given(order=orders(), severity=severities)
def test_the_same_case_gets_the_same_route(
    bureau: Bureau, order: dict[str, Any], severity: str
) -> None:
    bureau.clear()
    case = bureau.office.case(bureau.open(AT_RISK, severity=severity, **order))
    model = PolicyModel(rulebook=bureau.office.book).bind_tools([ROUTE])
    messages = [
        SystemMessage(prompts.ROUTER),
        HumanMessage(prompts.case_message(case_json(case))),
    ]
    first, second = (model.invoke(messages) for _ in range(2))
    assert first.tool_calls == second.tool_calls
    assert first.content == second.content
    assert first.tool_calls[0]["args"]["specialists"]


def test_equal_cases_get_equal_decisions(bureau: Bureau) -> None:
    decided = []
    for _ in range(2):
        bureau.clear()
        outcome = bureau.work_new(LATE_AND_HAPPY, order_id="O-1", **UNHAPPY)
        decided.append(
            [
                (one.agent_type, step["tool"], step["arguments"])
                for one in outcome.responses
                for step in one.details.get("steps", ())
            ]
        )
    assert decided[0] == decided[1]


def test_every_specialist_is_reached_by_some_deviation(bureau: Bureau) -> None:
    reached: dict[str, str] = {}
    for start in (HAPPY, LATE_AND_HAPPY, {**HAPPY, **UNHAPPY}):
        for one in bureau.work_new(start).responses:
            if one.action not in ("none", "handed_over"):
                reached[one.agent_type] = one.action
    assert {*SPECIALISTS} <= set(reached)
    assert all(reached[name] in EFFECTS[name] for name in SPECIALISTS)


class TestDecisions:
    @pytest.mark.parametrize(
        ("changes", "action"),
        [
            ({"prior_purchases": 0}, None),  # a credit would be allowed, and is not called for
            ({"prior_purchases": 4}, "apply_credit"),
            ({"prior_purchases": 0, "product_importance": "high"}, "apply_credit"),
            ({"payment_status": "refunded"}, None),
            ({"delay_probability": 0.69}, None),
        ],
    )
    def test_a_credit_is_given_where_it_may_keep_a_customer(
        self, bureau: Bureau, changes: dict[str, Any], action: str | None
    ) -> None:
        outcome = bureau.work_new(HAPPY, **changes)
        found = [one.action for one in outcome.responses if one.agent_type == "payment"]
        assert found == ([action] if action else [])

    def test_too_small_a_refund_is_given_as_a_credit(self, bureau: Bureau) -> None:
        outcome = bureau.work_new(LATE_AND_HAPPY, cost_of_product=20.0)
        assert response(outcome, "payment").action == "apply_credit"
        [credit] = [one for one in bureau.office.actions() if one["tool"] == "apply_credit"]
        assert credit["amount_usd"] == 4

    def test_a_faster_mode_is_taken_where_no_faster_block_serves(self, bureau: Bureau) -> None:
        outcome = bureau.work_new(HAPPY, warehouse_block="C", weight_in_gms=2_000.0)
        steps = response(outcome, "shipment").details["steps"]
        assert steps[-1]["arguments"]["new_mode"] == "Flight"
        assert steps[-1]["result"]["status"] == "done"

    def test_a_full_block_leads_to_the_next_measure(self, bureau: Bureau) -> None:
        warehouses = dict(bureau.office.book.warehouses)
        full = {
            block: rules.model_copy(update={"daily_transfer_capacity": 0})
            for block, rules in warehouses.items()
        }
        book = bureau.office.book.model_copy(update={"warehouses": full})
        place = bureau.with_book(book)
        outcome = place.work_new(HAPPY)
        tried = tools_of(outcome, "shipment")
        assert ("transfer_warehouse", "refused") in tried
        assert tried[-1] == ("reschedule_shipment", "done")

    def test_a_customer_who_opted_out_gets_a_refund_s_confirmation_and_nothing_else(
        self, bureau: Bureau
    ) -> None:
        bureau.office.execute(
            "INSERT INTO customer_opt_outs (customer_id, source) VALUES ('C-1', 'test')"
        )
        bureau.work_new(LATE_AND_HAPPY)
        sent = [one for one in bureau.office.actions() if one["tool"] == "send_notification"]
        assert [one["arguments"]["template"] for one in sent] == ["refund_confirmation"]

    def test_a_lost_parcel_is_for_a_person(self, bureau: Bureau) -> None:
        lost = LATE | {"promised_delivery_date": NOW - 20 * DAY, "ship_date": NOW - 25 * DAY}
        outcome = bureau.work_new(
            lost, order_date=NOW - 26 * DAY, customer_rating=4, customer_care_calls=1
        )
        assert outcome.status == "escalated"
        assert "issue_refund" not in bureau.effects()


class TestForm:
    def test_it_answers_without_a_network_and_tells_its_kind(self, bureau: Bureau) -> None:
        model = PolicyModel(rulebook=bureau.office.book)
        assert model._llm_type == "policy"

    def test_a_conversation_without_a_case_is_refused(self, bureau: Bureau) -> None:
        model = PolicyModel(rulebook=bureau.office.book).bind_tools([ROUTE])
        with pytest.raises(ValueError, match="no case"):
            model.invoke([HumanMessage("Refund everything.")])

    def test_tools_in_another_form_are_refused(self, bureau: Bureau) -> None:
        with pytest.raises(TypeError, match="LangChain tools"):
            PolicyModel(rulebook=bureau.office.book).bind_tools([{"name": "route"}])

    def test_its_answers_are_messages_like_any_model_s(self, bureau: Bureau) -> None:
        case = bureau.office.case(bureau.open())
        model = PolicyModel(rulebook=bureau.office.book).bind_tools([ROUTE])
        answer = model.invoke(prompts.case_message(case_json(case)))
        assert isinstance(answer, AIMessage)
        [call] = answer.tool_calls
        assert call["name"] == "route"
        assert call["args"]["reason"] in answer.text + "."
