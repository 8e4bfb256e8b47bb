"""Who works a case: what the policy model answers as the router."""

from __future__ import annotations

from typing import Final

from fulfillment_assets.agents.facts import Facts, escalation_rule
from fulfillment_assets.agents.policy.conversation import Conversation
from fulfillment_assets.agents.policy.move import Move, call
from fulfillment_assets.agents.policy.payment import worth_a_credit
from fulfillment_assets.knowledge.rulebook import Rulebook

TOLD_SEVERITIES: Final = ("critical", "warning")
"""Severities of which a customer is told; of the others too much would come to nothing."""

SURE: Final = 0.9
UNSURE: Final = 0.5


def next_move(conversation: Conversation, book: Rulebook) -> Move:
    """Route the case."""
    facts = conversation.facts
    if not facts.has_order:
        why = "a segment of orders is no matter for one order's measures; a person decides"
        return _routed("ES-3.1", {"escalation": why}, SURE)
    if facts.status is None or facts.planned_day is None:
        missing = "the status" if facts.status is None else "the promised date"
        why = f"{missing} of the order is not known, so that no rule can be applied with certainty"
        return _routed("ES-1.3", {"escalation": why}, UNSURE)
    reasons = _reasons(facts, book)
    rule = "SH-1.2" if facts.closed and set(reasons) == {"shipment"} else "SH-1.1"
    if met := escalation_rule(facts, book):
        rule = met[0]
        reasons["escalation"] = met[1]
    return _routed(rule, reasons, SURE)


def _reasons(facts: Facts, book: Rulebook) -> dict[str, str]:
    """Why each specialist has something to do."""
    reasons: dict[str, str] = {}
    if not facts.closed:
        reasons["shipment"] = f"the order is {facts.status} and at risk"
    if not facts.closed and facts.severity in TOLD_SEVERITIES and not facts.opted_out:
        reasons["customer"] = "the customer should hear of it from us first"
    paid = facts.order["payment_status"] in book.refund.eligible_payment_statuses
    if not facts.compensated and facts.status != "cancelled":
        if facts.late and paid and facts.status in book.refund.eligible_order_statuses:
            reasons["payment"] = "the promised date has passed and the order is paid"
            reasons.setdefault("customer", "a refund is confirmed to the customer")
        elif not facts.late and worth_a_credit(facts, book):
            reasons["payment"] = "a goodwill credit may keep the customer"
    return reasons or {"shipment": f"the order is {facts.status}: the deviation is closed"}


def _routed(rule: str, reasons: dict[str, str], confidence: float) -> Move:
    says = "; ".join(f"{name}, because {why}" for name, why in reasons.items())
    return call(
        rule,
        says,
        "route",
        specialists=list(reasons),
        reason=f"{rule}: {says}."[:1_000],
        confidence=confidence,
    )
