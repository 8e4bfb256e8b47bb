"""What a person is asked: the decisions of the escalation specialist."""

from __future__ import annotations

from typing import Final

from fulfillment_assets.agents.facts import Facts, escalation_rule
from fulfillment_assets.agents.findings import tried_text
from fulfillment_assets.agents.policy.conversation import Conversation
from fulfillment_assets.agents.policy.move import Move, call, finished
from fulfillment_assets.knowledge.rulebook import Rulebook

TICKET: Final = "create_ticket"


def next_move(conversation: Conversation, book: Rulebook) -> Move:
    """Open the ticket with the one question that a person has to answer."""
    opened = conversation.last(TICKET)
    if opened is not None:
        rule = str(opened.result.get("rule") or "ES-4.1")
        return finished(rule, f"{opened.result.get('reason')} A person has taken over.")
    rule, question, concerns = _question(conversation, book)
    return call(
        rule,
        "A person must decide; the ticket says why and what was tried.",
        TICKET,
        question=question,
        tried=tried_text(conversation.findings),
        concerns=concerns,
    )


def _question(conversation: Conversation, book: Rulebook) -> tuple[str, str, str]:
    """The rule by which a person takes over, the question, and whom it concerns."""
    facts = conversation.facts
    if not facts.has_order:
        return "ES-3.1", _of_segment(facts), "escalation"
    if any(found["ending"] == "handed_over" for found in conversation.findings):
        return _of_failure(conversation)
    if met := escalation_rule(facts, book):
        rule, why = met
        concerns = "customer" if rule == "ES-1.2" else "escalation"
        question = f"By {rule} a person decides, because {why}. What else is owed to the customer?"
        return rule, question, concerns
    if facts.status is None or facts.planned_day is None:
        question = "Status or promised date of the order are not known. What do they say?"
        return "ES-1.3", question, "shipment"
    return "ES-1.3", "The agents are not sure what to do. What is to be done?", "escalation"


def _of_failure(conversation: Conversation) -> tuple[str, str, str]:
    stuck = next(one for one in conversation.findings if one["ending"] == "handed_over")
    if stuck["agent_type"] == "shipment" and stuck["steps"]:
        question = "No measure of the shipping policy was allowed. How is the order to be saved?"
        return "SH-5.4", question, "shipment"
    question = f"The {stuck['agent_type']} specialist could not finish. What is to be done?"
    return "ES-1.4", question, stuck["agent_type"]


def _of_segment(facts: Facts) -> str:
    deviation = facts.shown["deviation"]
    return (
        f"The segment {deviation['segment_key']} deviates ({deviation['kind']}), over "
        f"{facts.shown['segment']['orders']} orders. What is wrong there?"
    )
