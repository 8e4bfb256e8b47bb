"""The payment specialist's tools: refunds and goodwill credits. Money moves in simulation only."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from sqlalchemy.engine import Connection

from fulfillment_assets.agents.dossier import Action, Dossier, read_dossier
from fulfillment_assets.agents.ledger import (
    Effect,
    act_on_order,
    compensation_key,
    order_of_case,
    repeated,
)
from fulfillment_assets.agents.tools.compensation import (
    Entitlement,
    credit_entitlement,
    days_late,
    refund_entitlement,
)
from fulfillment_assets.agents.tools.desk import Desk, NeedsApproval, Refused, Result, answer
from fulfillment_assets.agents.tools.text import checked
from fulfillment_assets.knowledge.rulebook import Rulebook

_Entitle = Callable[[Rulebook, Dossier, dt.datetime], Entitlement]

_CENT: Final = Decimal("0.01")


def check_refund_eligibility(desk: Desk) -> Result:
    """What the order of the case may be given back now, and by which rules; nothing is done."""
    order = order_of_case(desk)
    with desk.engine.connect() as connection:
        dossier = read_dossier(connection, order.order_id)
    if dossier is None:
        raise Refused(None, "The order is no longer known: nothing can be refunded.")
    refund = _verdict(desk, dossier, refund_entitlement)
    credit = _verdict(desk, dossier, credit_entitlement)
    either = [name for name, one in (("refund", refund), ("credit", credit)) if one["eligible"]]
    return answer(
        "info",
        f"Possible: {either[0]}." if either else f"No compensation: {refund['reason']}",
        next((one["rule"] for one in (refund, credit) if one["eligible"]), refund["rule"]),
        days_late=days_late(dossier.order, desk.now),
        tier=desk.rulebook.refund.tier(dossier.order.prior_purchases),
        payment_status=dossier.order.payment_status,
        refund=refund,
        credit=credit,
    )


def issue_refund(desk: Desk, amount_usd: float, reason: str) -> Result:
    """Refund the order of the case, within the table, the limits and the approvals of RF-1 to 5."""
    return _compensate(desk, "issue_refund", amount_usd, reason, refund_entitlement)


def apply_credit(desk: Desk, amount_usd: float, reason: str) -> Result:
    """Grant a credit for the next purchase, within RF-7."""
    return _compensate(desk, "apply_credit", amount_usd, reason, credit_entitlement)


def _verdict(desk: Desk, dossier: Dossier, entitle: _Entitle) -> dict[str, Any]:
    try:
        found = entitle(desk.rulebook, dossier, desk.now)
    except Refused as refusal:
        return {"eligible": False, "rule": refusal.rule, "reason": refusal.reason}
    return {
        "eligible": True,
        "rule": found.rule,
        "max_amount_usd": float(found.amount),
        "automatic_limit_usd": float(found.automatic),
        "needs_approval": found.needs_approval,
    }


def _compensate(desk: Desk, tool: str, amount_usd: float, reason: str, entitle: _Entitle) -> Result:
    amount = _amount(amount_usd)
    arguments = {"amount_usd": float(amount), "reason": checked(reason, "reason")}

    def decide(_connection: Connection, dossier: Dossier) -> Effect:
        found = entitle(desk.rulebook, dossier, desk.now)
        _check_amount(desk, found, amount)
        return _effect(desk, found, amount)

    def if_taken(earlier: Action) -> Result:
        return _second(desk, tool, amount, earlier)

    key = compensation_key(order_of_case(desk).order_id)
    return act_on_order(desk, tool, key, arguments, decide, if_taken=if_taken)


def _amount(amount_usd: float) -> Decimal:
    try:
        amount = Decimal(str(amount_usd))
        whole_cents = amount.is_finite() and amount == amount.quantize(_CENT)
    except InvalidOperation:
        whole_cents = False
    if not whole_cents or amount <= 0:
        raise Refused(
            None, f"amount_usd must be a positive number of US dollars and cents: {amount_usd}."
        )
    return amount.quantize(_CENT)


def _check_amount(desk: Desk, found: Entitlement, amount: Decimal) -> None:
    rules = desk.rulebook.refund
    if found.kind == "refund" and amount > rules.approval_limit_usd:
        raise Refused(
            "RF-4.3",
            f"More than {rules.approval_limit_usd} USD is a matter for the finance director.",
            max_amount_usd=float(found.amount),
        )
    if amount > found.amount:
        raise Refused(
            found.rule,
            f"{amount} USD is more than the {found.amount} USD that the rules give.",
            max_amount_usd=float(found.amount),
        )
    if found.kind == "refund" and amount < rules.minimum_usd:
        raise Refused(
            "RF-2.2",
            f"Below {rules.minimum_usd} USD nothing is transferred.",
            max_amount_usd=float(found.amount),
        )
    if amount > found.automatic and desk.approved_by is None:
        rule = "RF-4.2" if found.kind == "refund" else "RF-7.3"
        raise NeedsApproval(
            rule, f"{found.kind} above {found.automatic} USD: a person approves it first.", amount
        )


def _effect(desk: Desk, found: Entitlement, amount: Decimal) -> Effect:
    numbers: dict[str, Any] = {
        "amount_usd": float(amount),
        "max_amount_usd": float(found.amount),
        "tier": found.tier,
        "approved_by": desk.approved_by,
    }
    if found.kind == "credit":
        expires = (desk.now + dt.timedelta(days=desk.rulebook.credit.validity_days)).date()
        numbers["expires_on"] = expires.isoformat()
        return Effect(f"Credited {amount} USD.", found.rule, numbers, amount)
    numbers["payout_date"] = payout_date(desk.now, desk.rulebook.refund.payout_days).isoformat()
    decided = {"payment_status": "refunded"}
    return Effect(f"Refunded {amount} USD.", found.rule, numbers, amount, decided)


def _second(desk: Desk, tool: str, amount: Decimal, earlier: Action) -> Result:
    same = earlier.deviation_id == desk.case.deviation_id and earlier.tool == tool
    if same and earlier.amount == amount:
        return repeated(earlier)
    raise Refused(
        "RF-5.2" if same else "RF-5.1",
        f"The order got its one compensation already: {earlier.tool} of {earlier.amount} USD.",
        already_usd=float(earlier.amount or 0),
    )


def payout_date(now: dt.datetime, working_days: int) -> dt.date:
    """The day that is so many working days (Monday to Friday) ahead."""
    day = now.date()
    while working_days > 0:
        day += dt.timedelta(days=1)
        working_days -= day.weekday() < 5
    return day
