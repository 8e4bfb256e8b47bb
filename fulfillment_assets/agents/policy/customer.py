"""What the customer is told: the decisions of the customer specialist."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from fulfillment_assets.agents.policy.conversation import Conversation
from fulfillment_assets.agents.policy.move import Move, call, finished
from fulfillment_assets.knowledge.rulebook import Rulebook

SEND: Final = "send_notification"
DRAFT: Final = "draft_email"
LOG: Final = "log_interaction"

_OWN_WORDS: Final = (
    "Your order may arrive after {promised}. We are working on it and will write again as soon as "
    "we know more. We are sorry."
)


def next_move(conversation: Conversation, book: Rulebook) -> Move:
    """Tell the customer what stands, in the form that the guidelines name; then record it."""
    if (logged := conversation.last(LOG)) is not None:
        return finished("CO-7.1", f"{_outcome(conversation)} {logged.result.get('reason')}")
    for message in _messages(conversation, book):
        if (move := _next_of(conversation, message)) is not None:
            return move
    rule, outcome = "CO-7.1", _outcome(conversation)
    if (why := _silent(conversation, book)) is not None and not conversation.of(SEND):
        rule, outcome = why
        outcome = f"No message was sent, by {rule}. {outcome}"
    says = "What was sent, or why nothing was, is entered in the history."
    return call(rule, says, LOG, summary=outcome[:1_000])


def _messages(conversation: Conversation, book: Rulebook) -> Iterator[Move]:
    """The messages that are called for, each as the call that sends it."""
    if _silent(conversation, book) is None:
        yield _news(conversation, book)
        if any(step.result.get("rule") == "CO-2.2" for step in conversation.of(SEND)):
            yield _own_words(conversation, "CO-2.2", "Too long for that: by e-mail.", "email")
    if conversation.found("issue_refund") is not None:
        says = "The refund was paid, and is confirmed; the law asks for it."
        yield call("TR-1.1", says, SEND, channel="email", template="refund_confirmation")


def _silent(conversation: Conversation, book: Rulebook) -> tuple[str, str] | None:
    """Why the customer is not told of the delay, with the rule."""
    facts = conversation.facts
    if facts.opted_out:
        return "CO-1.1", "The customer opted out."
    if not facts.order["has_customer_id"]:
        return "CO-1.2", "The order names no customer, so that consent cannot be looked up."
    if facts.messages_today >= book.communication.max_messages_per_day:
        return "CO-3.2", "The customer got the day's messages about this order already."
    if facts.closed or facts.planned_day is None:
        return "CO-4.3", "Nothing stands in the system that could be told."
    return None


def _news(conversation: Conversation, book: Rulebook) -> Move:
    """The apology where there is a new date, else the notice."""
    facts = conversation.facts
    moved = conversation.found("reschedule_shipment")
    decided = facts.order["delivery_date_planned"] is not None
    if decided or (moved is not None and "new_delivery_date" in moved):
        says = "A new date stands: the apology tells it."
        return call("TA-1.1", says, SEND, channel="email", template="apology_email")
    channel = book.communication.channel_by_severity[facts.severity]
    if book.templates["delay_notification"].channel == channel:
        says = f"There is no new date yet: the notice goes out by {channel}."
        return call("TD-1.1", says, SEND, channel=channel, template="delay_notification")
    says = f"A {facts.severity} is told by {channel}."
    return _own_words(conversation, "CO-2.1", says, channel)


def _own_words(conversation: Conversation, rule: str, says: str, channel: str) -> Move:
    promised = conversation.facts.moment("promised_delivery_date")
    body = _OWN_WORDS.format(promised=promised.date() if promised else "the promised date")
    return call(rule, says, SEND, channel=channel, body=body)


def _next_of(conversation: Conversation, message: Move) -> Move | None:
    """Send a message that was not sent yet; an e-mail is drafted first.

    What was refused as a draft would be refused as a message, too.
    """
    form = dict(message.arguments or {})
    if any(_has(step.arguments, form) for step in conversation.of(SEND)):
        return None
    if form["channel"] != "email":
        return message
    text = {name: value for name, value in form.items() if name != "channel"}
    drafted = [step for step in conversation.of(DRAFT) if _has(step.arguments, text)]
    if not drafted:
        return call(message.rule, message.says, DRAFT, **text)
    return message if drafted[-1].succeeded else None


def _has(arguments: dict[str, Any], wanted: dict[str, Any]) -> bool:
    return all(arguments.get(name) == value for name, value in wanted.items())


def _outcome(conversation: Conversation) -> str:
    """What became of the messages."""
    told = []
    for step in conversation.of(SEND):
        form = step.arguments.get("template") or "own words"
        told.append(f"{form} by {step.arguments.get('channel')}: {step.result.get('reason')}")
    refused = [step for step in conversation.of(DRAFT) if not step.succeeded]
    told += [f"A draft was refused: {step.result.get('reason')}" for step in refused]
    return " ".join(told) or "No message was sent."
