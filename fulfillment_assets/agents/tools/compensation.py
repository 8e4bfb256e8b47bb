"""What an order may be given back: the rules of refunds and credits, without any effect."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from typing import Final, Literal

from fulfillment_assets.agents.dossier import Dossier, Order
from fulfillment_assets.agents.tools.desk import Refused
from fulfillment_assets.knowledge.rulebook import Rulebook
from fulfillment_assets.knowledge.rules import CreditRules, RefundRules, Tier

Kind = Literal["refund", "credit"]
_CENT: Final = Decimal("0.01")
_DAY: Final = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Entitlement:
    """The most that an order may be given.

    Attributes:
        amount: in US dollars, whole cents.
        rule: by which it is this much.
        automatic: up to this amount nobody is asked.
    """

    kind: Kind
    amount: Decimal
    rule: str
    tier: Tier
    automatic: Decimal

    @property
    def needs_approval(self) -> bool:
        """A person must agree to the whole of it."""
        return self.amount > self.automatic


def days_late(order: Order, now: dt.datetime) -> int:
    """Whole days between the broken promise and delivery, or now; 0 while it is not broken."""
    if order.due is None:
        return 0
    arrived = order.delivery_date
    end = min(arrived, now) if arrived is not None else now
    return max(0, (end - order.due) // _DAY)


def refund_entitlement(book: Rulebook, dossier: Dossier, now: dt.datetime) -> Entitlement:
    """The most that may be refunded for a late order.

    Raises:
        Refused: none may be, with the first rule that forbids it.
    """
    _check_first(dossier)
    found = _refund(book, dossier.order, now)
    if found.amount < book.refund.minimum_usd:
        raise Refused(
            "RF-2.2",
            f"The table gives {found.amount} USD, and below {book.refund.minimum_usd} USD nothing "
            "is transferred: give a credit instead.",
            max_amount_usd=float(found.amount),
        )
    return found


def credit_entitlement(book: Rulebook, dossier: Dossier, now: dt.datetime) -> Entitlement:
    """The most that may be credited for an order at risk, or instead of too small a refund.

    Raises:
        Refused: none may be, with the first rule that forbids it.
    """
    _check_first(dossier)
    order, rules = dossier.order, book.credit
    if order.order_status is None or order.order_status == "cancelled":
        raise Refused("RF-1.2", f"The order is {order.order_status}: finance settles it.")
    if order.due is not None and _end(order, now) > order.due:
        return _instead_of_refund(book, order, now)
    if order.order_status == "delivered":
        raise Refused("RF-7.1", "The order was delivered and is not at risk any more.")
    if order.payment_status not in rules.eligible_payment_statuses:
        raise Refused("RF-7.1", f"The payment is {order.payment_status}: it gets no credit.")
    if order.delay_probability <= rules.above_probability:
        raise Refused(
            "RF-7.1",
            f"The delay probability is {order.delay_probability:.2f}; a credit needs more than "
            f"{rules.above_probability}.",
        )
    tier = book.refund.tier(order.prior_purchases)
    percent = rules.percent_by_importance[order.product_importance]
    return _cut("credit", order, percent, tier, rules)


def _check_first(dossier: Dossier) -> None:
    if (given := dossier.compensation) is not None:
        raise Refused(
            "RF-5.1",
            f"The order got its one compensation already: {given.tool} of {given.amount} USD.",
            already_usd=float(given.amount or 0),
        )


def _refund(book: Rulebook, order: Order, now: dt.datetime) -> Entitlement:
    rules = book.refund
    if order.payment_status not in rules.eligible_payment_statuses:
        raise Refused("RF-1.1", f"The payment is {order.payment_status}: there is no refund.")
    if order.order_status not in rules.eligible_order_statuses:
        raise Refused("RF-1.2", f"The order is {order.order_status}: there is no refund.")
    if order.promised_delivery_date is None or order.due is None:
        raise Refused("RF-1.3", "No delivery date was promised, so that none was missed.")
    if _end(order, now) <= order.due:
        raise Refused("RF-1.3", "The order is not late: the promised date was not missed.")
    if now > order.promised_delivery_date + rules.claim_window_days * _DAY:
        raise Refused(
            "RF-1.4",
            f"A claim is made within {rules.claim_window_days} days of the promised date, "
            f"{order.promised_delivery_date:%Y-%m-%d}.",
        )
    late = days_late(order, now)
    if order.delivery_date is None and late >= rules.lost_after_days:
        raise Refused(
            "RF-2.3",
            f"The parcel is {late} days late and counts as lost: a person decides.",
            days_late=late,
        )
    percent = rules.percent(late, order.product_importance)
    if percent == 0:
        raise Refused("RF-2.1", "The order is late by less than a whole day.", days_late=late)
    tier = rules.tier(order.prior_purchases)
    return _cut("refund", order, percent, tier, rules)


def _instead_of_refund(book: Rulebook, order: Order, now: dt.datetime) -> Entitlement:
    found = _refund(book, order, now)
    if not 0 < found.amount < book.refund.minimum_usd:
        raise Refused(
            "RF-7.1",
            "The order is late already: it gets a refund, and no credit.",
            refund_usd=float(found.amount),
        )
    automatic = book.credit.automatic_limit_usd
    return Entitlement("credit", found.amount, "RF-2.2", found.tier, automatic)


def _cut(
    kind: Kind, order: Order, percent: int, tier: Tier, rules: RefundRules | CreditRules
) -> Entitlement:
    table, by_tier = ("RF-2.1", "RF-3.2") if kind == "refund" else ("RF-7.2", "RF-7.3")
    limit = rules.limit_usd_by_tier[tier]
    cost = Decimal(str(order.cost_of_product))
    amount = (cost * percent / 100).quantize(_CENT, ROUND_DOWN)
    rule = by_tier if amount > limit else table
    return Entitlement(kind, min(amount, limit), rule, tier, rules.automatic_limit_usd)


def _end(order: Order, now: dt.datetime) -> dt.datetime:
    return now if order.delivery_date is None else min(order.delivery_date, now)
