"""What is written to customers: templates filled in from what the system knows, and free text."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from fulfillment_assets.agents.dossier import Dossier
from fulfillment_assets.agents.tools.desk import Refused
from fulfillment_assets.agents.tools.text import check_no_card, check_wording, checked
from fulfillment_assets.knowledge.rulebook import Rulebook
from fulfillment_assets.knowledge.rules import Channel, CommunicationRules, TemplateRules

MAX_SUBJECT: Final = 120

_DEFAULT_REASON: Final = "the delivery takes longer than planned"
_AMOUNT: Final = re.compile(
    r"(?:[$€£]|\busd|\beur|\bgbp)\s*(\d[\d,]*(?:\.\d+)?)"
    r"|(\d[\d,]*(?:\.\d+)?)\s*(?:[$€£]|usd\b|eur\b|gbp\b|dollars?\b|euros?\b|pounds?\b)",
    re.IGNORECASE,
)
_DATE: Final = re.compile(r"\b(\d{4}-\d{2}-\d{2})\b")


@dataclass(frozen=True, slots=True)
class Draft:
    """A message that may be sent.

    Attributes:
        template: it was filled in from; None for free text.
    """

    subject: str
    body: str
    template: str | None


def from_template(
    book: Rulebook, dossier: Dossier, name: str, reason: str | None
) -> tuple[TemplateRules, Draft]:
    """A template, filled in from the order and the ledger.

    Raises:
        Refused: there is no such template, or what it tells is not (yet) true of the order.
    """
    template = book.templates.get(name)
    if template is None:
        raise Refused(
            None, f"There is no template {name!r}; there are {', '.join(sorted(book.templates))}."
        )
    known = _values(dossier, reason)
    missing = [one for one in template.placeholders if known.get(one) is None]
    if missing:
        raise Refused(
            {"amount_usd": "TR-1.1", "new_delivery_date": "TA-1.2"}.get(missing[0]),
            f"The template {name} needs {', '.join(missing)}, which the order does not have.",
        )
    values = {one: str(known[one]) for one in template.placeholders}
    draft = Draft(template.subject.format(**values), template.body.format(**values), name)
    return template, draft


def free_text(rules: CommunicationRules, dossier: Dossier, subject: str, body: str) -> Draft:
    """A message in a model's own words.

    Raises:
        Refused: it uses words that are never used, or tells an amount or a day that does not
            stand in the system.
    """
    limit = max(rules.max_length.values())
    draft = Draft(
        checked(subject, "subject", MAX_SUBJECT), checked(body, "body", limit, rule="CO-2.2"), None
    )
    text = f"{draft.subject}\n{draft.body}"
    check_wording(text, rules.forbidden_phrases)
    # An order's own number may look like that of a card.
    check_no_card(text.replace(dossier.order.order_id, ""), "The message", "CO-6.1")
    _check_promises(text, dossier)
    return draft


def check_length(rules: CommunicationRules, channel: Channel, body: str) -> None:
    """Refuse a text that is too long for a channel."""
    limit = rules.max_length[channel]
    if len(body) > limit:
        raise Refused(
            "CO-2.2",
            f"The text has {len(body)} characters; by {channel} at most {limit} are sent.",
            max_length=limit,
        )


def _values(dossier: Dossier, reason: str | None) -> Mapping[str, str | None]:
    order, given = dossier.order, dossier.compensation
    refund = given if given is not None and given.tool == "issue_refund" else None
    promised, planned = order.promised_delivery_date, order.delivery_date_planned
    return {
        "customer_name": "customer",  # CO-4.4: the order knows no name
        "order_id": order.order_id,
        "reason": reason or _DEFAULT_REASON,
        "promised_date": None
        if promised is None
        else promised.astimezone(dt.UTC).date().isoformat(),
        "new_delivery_date": None if planned is None else planned.isoformat(),
        "amount_usd": None if refund is None else str(refund.amount),
        "payout_date": None if refund is None else str(refund.result["payout_date"]),
    }


def _check_promises(text: str, dossier: Dossier) -> None:
    order, given = dossier.order, dossier.compensation
    for match in _AMOUNT.finditer(text):
        amount = Decimal((match[1] or match[2]).replace(",", ""))
        if given is None or amount != given.amount:
            raise Refused(
                "CO-4.3", f"{match.group().strip()} does not stand in the system: leave it out."
            )
    told = {order.promised_delivery_date, order.order_date, order.ship_date, order.delivery_date}
    days = {one.astimezone(dt.UTC).date().isoformat() for one in told if one is not None}
    if order.delivery_date_planned is not None:
        days.add(order.delivery_date_planned.isoformat())
    if given is not None:
        days |= {str(given.result.get(name)) for name in ("payout_date", "expires_on")}
    for day in _DATE.findall(text):
        if day not in days:
            raise Refused("CO-4.3", f"The day {day} does not stand in the system: leave it out.")
