"""The customer specialist's tools: drafts, messages, and the contact history.

No message leaves the system: a row in `customer_contacts` stands for it, with the moment at which
it goes out.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from fulfillment_assets.agents.dossier import Dossier, Order
from fulfillment_assets.agents.ledger import Effect, Write, act_on_order, effect_key
from fulfillment_assets.agents.tools.desk import Desk, Refused, Result
from fulfillment_assets.agents.tools.messages import (
    Draft,
    check_length,
    free_text,
    from_template,
)
from fulfillment_assets.agents.tools.text import check_no_card, checked
from fulfillment_assets.knowledge.rules import Channel, CommunicationRules

Direction = Literal["outbound", "inbound"]
NoteChannel = Literal["email", "sms", "in_app", "phone", "internal"]

_CONTACT: Final = sa.text("""
INSERT INTO customer_contacts (tool_action_id, order_id, customer_id, kind, direction, channel,
    template, subject, body, send_at)
VALUES (:action, :order_id, :customer_id, :kind, :direction, :channel, :template, :subject, :body,
    :send_at)
""")
_OPT_OUT: Final = sa.text("""
INSERT INTO customer_opt_outs (customer_id, opted_out_at, source)
VALUES (:customer_id, :moment, :source) ON CONFLICT (customer_id) DO NOTHING
""")
_STOP: Final = re.compile(r"\W*stop\W*|.*\bunsubscribe\b.*", re.IGNORECASE | re.DOTALL)


def draft_email(
    desk: Desk,
    template: str | None = None,
    subject: str | None = None,
    body: str | None = None,
    reason: str | None = None,
) -> Result:
    """Write an e-mail to the customer, from a template or freely; it is kept, and not sent."""
    given = _given(template=template, subject=subject, body=body, reason=reason)

    def decide(_connection: Connection, dossier: Dossier) -> Effect:
        draft = _draft(desk, dossier, given)
        check_length(desk.rulebook.communication, "email", draft.body)
        numbers = {"template": draft.template, "subject": draft.subject, "body": draft.body}
        return Effect("The e-mail is drafted, and not sent yet.", "CO-4.1", numbers)

    key = effect_key(desk, "draft_email", _fingerprint(given))
    return act_on_order(desk, "draft_email", key, given, decide)


def send_notification(
    desk: Desk,
    channel: Channel,
    template: str | None = None,
    subject: str | None = None,
    body: str | None = None,
    reason: str | None = None,
) -> Result:
    """Send the customer a message; in the quiet hours it waits for their end."""
    given = _given(template=template, subject=subject, body=body, reason=reason)
    arguments = {"channel": channel, **given}

    def decide(_connection: Connection, dossier: Dossier) -> Effect:
        rules = desk.rulebook.communication
        _check_consent(rules, dossier, template)
        draft = _draft(desk, dossier, given)
        _check_channel(desk, channel, template)
        check_length(rules, channel, draft.body)
        send_at = _send_at(rules, channel, desk.now)
        _check_number(rules, dossier, send_at)
        queued = send_at > desk.now
        when = f"waits until {send_at:%Y-%m-%d %H:%M} UTC" if queued else "is sent"
        return Effect(
            f"The message {when}.",
            "CO-3.1" if queued else "CO-2.1",
            {
                "channel": channel,
                "template": draft.template,
                "queued_until": send_at.isoformat() if queued else None,
                "body": draft.body,
            },
            write=_contact(dossier.order, _Contact("message", "outbound", channel, draft, send_at)),
        )

    key = effect_key(desk, "send_notification", _fingerprint(arguments))
    return act_on_order(desk, "send_notification", key, arguments, decide)


def log_interaction(
    desk: Desk, summary: str, channel: NoteChannel = "internal", direction: Direction = "outbound"
) -> Result:
    """Enter something in the contact history; a customer who wrote "stop" has opted out."""
    summary = checked(summary, "summary")
    check_no_card(summary, "summary", "CO-6.1")
    arguments = {"summary": summary, "channel": channel, "direction": direction}

    def decide(connection: Connection, dossier: Dossier) -> Effect:
        customer = dossier.order.customer_id
        stops = direction == "inbound" and _STOP.fullmatch(summary) is not None
        if stops and customer is not None:
            opt_out(connection, customer, "wrote stop or unsubscribe", desk.now)
        note = _Contact("note", direction, channel, Draft("", summary, None), desk.now)
        return Effect(
            "It is entered in the contact history."
            + (" The customer has opted out." if stops else ""),
            "CO-1.3" if stops else "CO-7.1",
            {"opted_out": stops or dossier.opted_out},
            write=_contact(dossier.order, note),
        )

    key = effect_key(desk, "log_interaction", _fingerprint(arguments))
    return act_on_order(desk, "log_interaction", key, arguments, decide)


def opt_out(connection: Connection, customer_id: str, source: str, moment: dt.datetime) -> None:
    """Write a customer no message from now on.

    Args:
        connection: in whose transaction it happens.
        customer_id: who; opting out twice is the same as once.
        source: how it became known.
        moment: aware; since when.
    """
    row = {"customer_id": customer_id, "source": source, "moment": moment}
    connection.execute(_OPT_OUT, row)


@dataclass(frozen=True, slots=True)
class _Contact:
    kind: Literal["message", "note"]
    direction: Direction
    channel: str
    draft: Draft
    send_at: dt.datetime


def _contact(order: Order, contact: _Contact) -> Write:
    row = {
        "order_id": order.order_id,
        "customer_id": order.customer_id,
        "kind": contact.kind,
        "direction": contact.direction,
        "channel": contact.channel,
        "template": contact.draft.template,
        "subject": contact.draft.subject or None,
        "body": contact.draft.body,
        "send_at": contact.send_at,
    }

    def write(connection: Connection, action: uuid.UUID) -> None:
        connection.execute(_CONTACT, row | {"action": action})

    return write


def _given(**texts: str | None) -> dict[str, Any]:
    return {name: text for name, text in texts.items() if text is not None}


def _draft(desk: Desk, dossier: Dossier, given: Mapping[str, str]) -> Draft:
    rules = desk.rulebook.communication
    if "template" in given:
        if "subject" in given or "body" in given:
            raise Refused(None, "Give a template, or subject and body, and not both.")
        reason = given.get("reason")
        if reason is not None:
            reason = free_text(rules, dossier, "reason", reason).body
        return from_template(desk.rulebook, dossier, given["template"], reason)[1]
    if "body" not in given:
        raise Refused(None, "Give a template, or a subject and a body.")
    subject = given.get("subject", f"Your order {dossier.order.order_id}")
    return free_text(rules, dossier, subject, given["body"])


def _check_consent(rules: CommunicationRules, dossier: Dossier, template: str | None) -> None:
    if dossier.order.customer_id is None:
        raise Refused("CO-1.2", "The order names no customer, so that consent cannot be looked up.")
    if dossier.opted_out and template not in rules.messages_despite_opt_out:
        raise Refused("CO-1.1", "The customer opted out: no message, on any channel.")


def _check_channel(desk: Desk, channel: Channel, template: str | None) -> None:
    rules = desk.rulebook.communication
    if channel not in rules.channels:
        raise Refused("CO-2.1", f"We write by {', '.join(rules.channels)}, and not by {channel}.")
    if template is not None:
        wanted = desk.rulebook.templates[template].channel
        why = f"the template {template} is made for it"
    elif channel == "email":
        return  # a draft in the agent's own words
    else:
        wanted = rules.channel_by_severity[desk.case.severity]
        why = f"the deviation is of severity {desk.case.severity}"
    if channel != wanted:
        raise Refused("CO-2.1", f"Write by {wanted}: {why}.", channel=wanted)


def _send_at(rules: CommunicationRules, channel: Channel, now: dt.datetime) -> dt.datetime:
    """When a message goes out: now, or at the end of the quiet hours; e-mail at any time."""
    now = now.astimezone(dt.UTC)
    clock, begin, end = now.time(), rules.quiet_from, rules.quiet_until
    overnight = begin > end
    quiet = (clock >= begin or clock < end) if overnight else begin <= clock < end
    if channel == "email" or not quiet:
        return now
    day = now.date() + dt.timedelta(days=1 if overnight and clock >= begin else 0)
    return dt.datetime.combine(day, end, dt.UTC)


def _check_number(rules: CommunicationRules, dossier: Dossier, send_at: dt.datetime) -> None:
    day = send_at.date()
    number = sum(one.send_at.astimezone(dt.UTC).date() == day for one in dossier.messages)
    if number >= rules.max_messages_per_day:
        raise Refused(
            "CO-3.2", f"The customer gets {number} messages about the order on {day} already."
        )


def _fingerprint(arguments: Mapping[str, str]) -> str:
    """Tells messages apart within a deviation: 16 hexadecimal digits."""
    text = "\n".join(f"{name}={arguments[name]}" for name in sorted(arguments))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
