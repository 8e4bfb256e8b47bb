"""What is given back: the decisions of the payment specialist."""

from __future__ import annotations

from typing import Any

from fulfillment_assets.agents.facts import Facts
from fulfillment_assets.agents.policy.conversation import Conversation, Taken
from fulfillment_assets.agents.policy.move import Move, call, finished
from fulfillment_assets.knowledge.rulebook import Rulebook


def next_move(conversation: Conversation, book: Rulebook) -> Move:
    """Check first; then refund what is late, or credit what is at risk and worth it."""
    checked = conversation.last("check_refund_eligibility")
    if checked is None:
        says = "Whether and how much may be given back is checked before anything is paid."
        return call("RF-1.1", says, "check_refund_eligibility")
    for tool in ("issue_refund", "apply_credit"):
        if (tried := conversation.last(tool)) is not None:
            return _after(tried)
    if checked.status != "info":
        return finished("RF-1.1", f"Nothing is paid: {checked.result.get('reason')}")
    return _pay(conversation.facts, checked.result, book)


def worth_a_credit(facts: Facts, book: Rulebook) -> bool:
    """Whether a goodwill credit is allowed, and well spent.

    It is spent where it may keep a customer: on an important product, or on one who comes back.
    """
    allowed = (
        facts.probability > book.credit.above_probability
        and facts.order["payment_status"] in book.credit.eligible_payment_statuses
        and not facts.closed
    )
    return allowed and (facts.importance == "high" or facts.tier(book) != "standard")


def _pay(facts: Facts, verdict: dict[str, Any], book: Rulebook) -> Move:
    refund, credit = verdict["refund"], verdict["credit"]
    if refund["eligible"]:
        amount = refund["max_amount_usd"]
        late = f"{verdict['days_late']} days late, importance {facts.importance}"
        return call(
            refund["rule"],
            f"The order is {late}: {amount} USD are refunded.",
            "issue_refund",
            amount_usd=amount,
            reason=f"{late}, by {refund['rule']}",
        )
    small_refund = credit["eligible"] and credit["rule"] == "RF-2.2"
    if credit["eligible"] and (small_refund or worth_a_credit(facts, book)):
        amount = credit["max_amount_usd"]
        return call(
            credit["rule"],
            f"The order gets a credit of {amount} USD.",
            "apply_credit",
            amount_usd=amount,
            reason=f"delay probability {facts.probability:.2f}, by {credit['rule']}",
        )
    if credit["eligible"]:
        return finished("RF-7.1", "A credit would be allowed, but is not called for here.")
    return finished(refund["rule"] or "RF-1.1", f"Nothing is paid: {refund['reason']}")


def _after(tried: Taken) -> Move:
    rule = str(tried.result.get("rule") or "RF-5.1")
    reason = tried.result.get("reason")
    if tried.succeeded:
        return finished(rule, f"{reason} Nothing more is paid for this order.")
    return finished(rule, f"Nothing is paid: {reason}")
