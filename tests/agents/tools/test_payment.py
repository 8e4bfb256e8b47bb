"""What the payment specialist may and may not give, whatever the model asks for."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from fulfillment_assets.agents.tools.payment import payout_date
from tests.agents.examples import AT_RISK, DAY, LATE, NOW, Office, verdict


def refund(office: Office, amount: Any, **changes: Any) -> dict[str, Any]:
    office.order(**changes)
    return office.agent("payment")("issue_refund", amount_usd=amount, reason="late")


def credit(office: Office, amount: Any, **changes: Any) -> dict[str, Any]:
    office.order(start=AT_RISK, **changes)
    return office.agent("payment")("apply_credit", amount_usd=amount, reason="at risk")


def test_a_late_paid_order_is_refunded_what_the_table_gives(office: Office) -> None:
    result = refund(office, 40)
    assert verdict(result) == ("done", "RF-2.1")
    assert (result["amount_usd"], result["payout_date"]) == (40.0, "2026-03-17")
    [action] = office.actions()
    assert (action["tool"], action["amount_usd"], action["agent_type"]) == (
        "issue_refund",
        40,
        "payment",
    )
    assert office.dossier().order.payment_status == "refunded"


def test_a_model_may_ask_for_less(office: Office) -> None:
    assert refund(office, 12.34)["amount_usd"] == 12.34


@pytest.mark.parametrize(
    ("amount", "changes", "rule"),
    [
        (40.01, {}, "RF-2.1"),
        (100.01, {"cost_of_product": 900.0, "prior_purchases": 3}, "RF-3.2"),
        (150.01, {"cost_of_product": 900.0, "prior_purchases": 6}, "RF-3.2"),
        (250.01, {"cost_of_product": 9000.0, "prior_purchases": 9}, "RF-4.3"),
        (1e9, {}, "RF-4.3"),
        (4.99, {}, "RF-2.2"),
        (4, {"cost_of_product": 24.0}, "RF-2.2"),
        (40, {"payment_status": "pending"}, "RF-1.1"),
        (40, {"payment_status": "refunded"}, "RF-1.1"),
        (40, {"payment_status": None}, "RF-1.1"),
        (40, {"order_status": "processing"}, "RF-1.2"),
        (40, {"order_status": "cancelled"}, "RF-1.2"),
        (40, {"order_status": None}, "RF-1.2"),
        (40, {"promised_delivery_date": NOW + dt.timedelta(hours=1)}, "RF-1.3"),
        (40, {"promised_delivery_date": None}, "RF-1.3"),
        (
            40,
            {"order_status": "delivered", "delivery_date": LATE["promised_delivery_date"]},
            "RF-1.3",
        ),
        (40, {"promised_delivery_date": NOW - dt.timedelta(hours=23)}, "RF-2.1"),
        (
            40,
            {
                "promised_delivery_date": NOW - 31 * DAY,
                "order_status": "delivered",
                "delivery_date": NOW - 25 * DAY,
            },
            "RF-1.4",
        ),
        (40, {"promised_delivery_date": NOW - 14 * DAY}, "RF-2.3"),
    ],
)
def test_a_refund_that_a_rule_forbids_is_refused_with_the_rule(
    office: Office, amount: float, changes: dict[str, Any], rule: str
) -> None:
    result = refund(office, amount, **changes)
    assert verdict(result) == ("refused", rule)
    assert office.actions() == []
    assert office.rows("SELECT FROM order_interventions") == []


def test_an_amount_that_is_no_money_is_refused(office: Office) -> None:
    office.order()
    agent = office.agent("payment")
    amounts: list[Any] = [0, -1, float("nan"), float("inf"), 10.001, 1e300, "all of it", None, []]
    for amount in amounts:
        result = agent("issue_refund", amount_usd=amount, reason="late")
        assert verdict(result) == ("refused", None)
    assert office.actions() == []


@pytest.mark.parametrize(
    ("days", "importance", "amount"),
    [(1, "low", 10.0), (2, "high", 30.0), (3, "medium", 40.0), (6, "high", 60.0), (7, "low", 50.0)],
)
def test_the_amount_follows_days_and_importance(
    office: Office, days: int, importance: str, amount: float
) -> None:
    office.order(promised_delivery_date=NOW - days * DAY, product_importance=importance)
    checked = office.agent("payment")("check_refund_eligibility")
    assert (checked["days_late"], checked["refund"]["max_amount_usd"]) == (days, amount)


def test_a_promise_of_midnight_lasts_all_day(office: Office) -> None:
    midnight = dt.datetime(2026, 3, 9, tzinfo=dt.UTC)
    office.order(promised_delivery_date=midnight)
    agent = office.agent("payment")
    assert agent("check_refund_eligibility")["days_late"] == 0
    late = agent.at(midnight + 2 * DAY)
    assert late("check_refund_eligibility")["days_late"] == 1


def test_amounts_are_rounded_down_to_cents(office: Office) -> None:
    office.order(cost_of_product=199.99)
    found = office.agent("payment")("check_refund_eligibility")["refund"]
    assert found["max_amount_usd"] == 39.99


def test_above_the_automatic_limit_a_person_approves_first(office: Office) -> None:
    office.order(cost_of_product=300.0)
    agent = office.agent("payment")
    asked = agent("issue_refund", amount_usd=60, reason="late")
    assert verdict(asked) == ("needs_approval", "RF-4.2")
    assert asked["approval"]["amount"] == 60.0
    assert office.actions() == []
    done = agent.approved(asked["approval"]["tool"], **asked["approval"]["arguments"])
    assert verdict(done) == ("done", "RF-2.1")
    [action] = office.actions()
    assert (action["amount_usd"], action["approved_by"]) == (60, "erin")


def test_an_approval_lifts_no_other_rule(office: Office) -> None:
    office.order(cost_of_product=300.0)
    agent = office.agent("payment")
    too_much = agent.approved("issue_refund", amount_usd=60.01, reason="late")
    assert verdict(too_much) == ("refused", "RF-2.1")
    office.order(payment_status="pending", cost_of_product=300.0)
    unpaid = agent.approved("issue_refund", amount_usd=60, reason="late")
    assert verdict(unpaid) == ("refused", "RF-1.1")
    assert office.actions() == []


def test_an_approval_names_a_person(office: Office) -> None:
    office.order(cost_of_product=300.0)
    agent = office.agent("payment")
    for by in ("", "  ", "payment", "a\0b", "x" * 101):
        result = agent.approved("issue_refund", by, amount_usd=60, reason="late")
        assert result["status"] == "refused"
    assert office.actions() == []


def test_an_approved_call_of_an_unknown_tool_or_with_wrong_arguments_is_refused(
    office: Office,
) -> None:
    office.order()
    agent = office.agent("payment")
    assert agent.approved("transfer_warehouse", to_block="C")["status"] == "refused"
    assert agent.approved("issue_refund", amount_usd="x", reason="r")["status"] == "refused"
    assert office.actions() == []


def test_the_same_refund_again_is_told_and_not_paid(office: Office) -> None:
    office.order()
    agent = office.agent("payment")
    first = agent("issue_refund", amount_usd=40, reason="late")
    again = agent("issue_refund", amount_usd=40, reason="once more")
    assert again == first | {"status": "repeated"}
    assert len(office.actions()) == 1


def test_an_order_is_compensated_once_whoever_asks(office: Office) -> None:
    office.order(cost_of_product=100.0)
    agent = office.agent("payment")
    agent("issue_refund", amount_usd=10, reason="late")
    split = agent("issue_refund", amount_usd=5, reason="the rest")
    other = office.agent("payment", office.deviation(kind="fulfillment_gap"))
    second = other("issue_refund", amount_usd=10, reason="late")
    credited = agent("apply_credit", amount_usd=3, reason="late")
    assert [verdict(one) for one in (split, second, credited)] == [
        ("refused", "RF-5.2"),
        ("refused", "RF-5.1"),
        ("refused", "RF-5.1"),
    ]
    assert len(office.actions()) == 1
    assert agent("check_refund_eligibility")["refund"]["rule"] == "RF-5.1"


def test_a_refund_stays_in_force_when_the_feed_does_not_know_of_it(office: Office) -> None:
    refund(office, 40)
    office.order(payment_status="paid")
    assert office.dossier().order.payment_status == "refunded"
    office.order(payment_status="pending")
    assert office.dossier().order.payment_status == "refunded"


def test_an_order_at_risk_gets_a_credit(office: Office) -> None:
    result = credit(office, 10)
    assert verdict(result) == ("done", "RF-7.2")
    assert result["expires_on"] == (NOW + 180 * DAY).date().isoformat()
    assert office.dossier().order.payment_status == "paid"


@pytest.mark.parametrize(
    ("amount", "changes", "rule"),
    [
        (10.01, {}, "RF-7.2"),
        (20.01, {"cost_of_product": 900.0}, "RF-7.3"),
        (10, {"delay_probability": 0.7}, "RF-7.1"),
        (10, {"payment_status": "refunded"}, "RF-7.1"),
        (10, {"payment_status": None}, "RF-7.1"),
        (10, {"order_status": "cancelled"}, "RF-1.2"),
        (10, {"order_status": None}, "RF-1.2"),
        (10, {"order_status": "delivered", "delivery_date": NOW - DAY}, "RF-7.1"),
        (10, {"promised_delivery_date": NOW - DAY, "order_status": "shipped"}, "RF-7.1"),
        (10, {"promised_delivery_date": NOW - DAY}, "RF-1.2"),
    ],
)
def test_a_credit_that_a_rule_forbids_is_refused_with_the_rule(
    office: Office, amount: float, changes: dict[str, Any], rule: str
) -> None:
    assert verdict(credit(office, amount, **changes)) == ("refused", rule)
    assert office.actions() == []


def test_a_credit_above_its_automatic_limit_waits_for_a_person(office: Office) -> None:
    changes = {"cost_of_product": 900.0, "prior_purchases": 8}
    asked = credit(office, 30, **changes)
    assert verdict(asked) == ("needs_approval", "RF-7.3")
    agent = office.agent("payment", office.deviation(kind="fulfillment_gap"))
    assert agent.approved("apply_credit", amount_usd=30, reason="r")["status"] == "done"


def test_instead_of_too_small_a_refund_there_is_a_credit(office: Office) -> None:
    office.order(cost_of_product=24.0)
    agent = office.agent("payment")
    assert agent("check_refund_eligibility")["credit"] == {
        "eligible": True,
        "rule": "RF-2.2",
        "max_amount_usd": 4.8,
        "automatic_limit_usd": 20.0,
        "needs_approval": False,
    }
    assert verdict(agent("apply_credit", amount_usd=4.81, reason="r")) == ("refused", "RF-2.2")
    assert verdict(agent("apply_credit", amount_usd=4.8, reason="r")) == ("done", "RF-2.2")


def test_checking_changes_nothing_and_names_the_rule(office: Office) -> None:
    office.order(payment_status="pending")
    result = office.agent("payment")("check_refund_eligibility")
    assert (result["status"], result["refund"]["rule"]) == ("info", "RF-1.1")
    assert office.actions() == []


def test_rules_are_held_against_the_order_as_it_stands_now_not_as_the_case_found_it(
    office: Office,
) -> None:
    office.order()
    agent = office.agent("payment")
    office.order(payment_status="pending")
    assert verdict(agent("issue_refund", amount_usd=40, reason="late")) == ("refused", "RF-1.1")


def test_a_segment_gets_no_money(office: Office) -> None:
    agent = office.agent("payment", office.segment())
    for tool, arguments in (
        ("check_refund_eligibility", {}),
        ("issue_refund", {"amount_usd": 10, "reason": "r"}),
    ):
        assert agent(tool, **arguments)["status"] == "refused"


def test_a_reason_that_is_no_plain_text_is_refused(office: Office) -> None:
    office.order()
    agent = office.agent("payment")
    for reason in ("", "   ", "x" * 1001, "a\0b", "a\x1b[31mb", "\u202etxt", "\ud800"):
        result = agent("issue_refund", amount_usd=40, reason=reason)
        assert verdict(result) == ("refused", None)
    assert office.actions() == []


@pytest.mark.parametrize(
    ("now", "day"),
    [
        (dt.datetime(2026, 3, 10, tzinfo=dt.UTC), dt.date(2026, 3, 17)),
        (dt.datetime(2026, 3, 13, tzinfo=dt.UTC), dt.date(2026, 3, 20)),
        (dt.datetime(2026, 3, 14, tzinfo=dt.UTC), dt.date(2026, 3, 20)),
    ],
)
def test_money_arrives_within_five_working_days(now: dt.datetime, day: dt.date) -> None:
    assert payout_date(now, 5) == day
