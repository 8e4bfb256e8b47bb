"""A deviation with all that is known when agents begin to work on it."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from fulfillment_assets.agents.dossier import Dossier, Order, order_of, read_dossier
from fulfillment_assets.agents.errors import UnknownDeviationError
from fulfillment_assets.knowledge.rulebook import Rulebook
from fulfillment_assets.knowledge.rules import Importance, Severity, Tier
from fulfillment_assets.orders.contract import FIELDS, Kind

_DEVIATION: Final = sa.text("""
SELECT id, kind, severity, reason, status, order_id, segment_key, context, operator_note
FROM deviations WHERE id = :id
""")


@dataclass(frozen=True, slots=True)
class Case:
    """What agents know of a deviation.

    Attributes:
        deviation_id: of the row in `deviations`.
        reason: what was found, in a sentence.
        segment_key: of a segment's deviation; None for an order's.
        dossier: the order with its history; None for a segment's deviation.
        probability: delay probability of the order, or mean of the segment.
        reasons: why the model expects a delay, in plain words.
        segment: numbers of a segment's breach, as the deviation's context has them.
        operator_note: what a person added; untrusted, None without.
        now: aware; the moment as of which rules are applied.
        correlation_id: of what brought the order; where that is not known, or it is about a
            segment, the deviation's id.
    """

    deviation_id: uuid.UUID
    kind: str
    severity: Severity
    reason: str
    status: str
    segment_key: str | None
    dossier: Dossier | None
    probability: float
    reasons: tuple[str, ...]
    segment: Mapping[str, Any] | None
    operator_note: str | None
    now: dt.datetime
    correlation_id: str

    @property
    def order(self) -> Order | None:
        """The order that deviates; None for a segment's deviation."""
        return None if self.dossier is None else self.dossier.order

    @property
    def importance(self) -> Importance:
        """Of the order's product, or of the segment; medium for a segment of all importances."""
        if self.order is not None:
            return self.order.product_importance
        named = (self.segment or {}).get("segment", {}).get("product_importance")
        return named if named in ("low", "medium", "high") else "medium"

    def tier(self, book: Rulebook) -> Tier | None:
        """Tier of the customer; None for a segment's deviation."""
        return None if self.order is None else book.refund.tier(self.order.prior_purchases)


def load_case(
    connection: Connection,
    deviation_id: uuid.UUID,
    *,
    now: dt.datetime | None = None,
) -> Case:
    """The case of a deviation, as its order stands now.

    Args:
        connection: to read with.
        deviation_id: which deviation.
        now: aware; the present if left out.

    Raises:
        UnknownDeviationError: there is no such deviation.
    """
    row = connection.execute(_DEVIATION, {"id": deviation_id}).one_or_none()
    if row is None:
        raise UnknownDeviationError(
            f"There is no deviation {deviation_id}; `fulfillment deviations list` shows them."
        )
    context: Mapping[str, Any] = row.context
    dossier = None
    if row.order_id is not None:
        dossier = read_dossier(connection, row.order_id) or Dossier(_order_in(context))
    return Case(
        deviation_id=row.id,
        kind=row.kind,
        severity=row.severity,
        reason=row.reason,
        status=row.status,
        segment_key=row.segment_key,
        dossier=dossier,
        probability=_probability(row.kind, context, dossier),
        reasons=tuple(str(reason["text"]) for reason in context.get("reasons", ())),
        segment=context if row.segment_key is not None else None,
        operator_note=row.operator_note,
        now=now or dt.datetime.now(dt.UTC),
        correlation_id=correlation_id_in(context) or str(row.id),
    )


def correlation_id_in(context: Mapping[str, Any]) -> str | None:
    """The correlation id that the context of a deviation holds, if any."""
    found: str | None = context.get("correlation_id")
    return found


def _probability(kind: str, context: Mapping[str, Any], dossier: Dossier | None) -> float:
    if dossier is not None:
        return dossier.order.delay_probability
    observed = float(context["observed"])
    return 1 - observed if kind == "on_time_rate" else observed


def _order_in(context: Mapping[str, Any]) -> Order:
    """The order as the deviation found it, where its row is gone."""
    found = context["order"]
    fields: dict[str, Any] = {"delay_probability": context["delay_probability"]}
    for field in FIELDS:
        value = found.get(field.name)
        is_time = field.kind is Kind.TIMESTAMP and value is not None
        fields[field.name] = dt.datetime.fromisoformat(value) if is_time else value
    return order_of(fields, {})


def case_json(case: Case) -> str:
    """The case as JSON for a prompt.

    Text that somebody outside can fill in stands under `untrusted` alone; everything else is a
    number, a date, or a word of the contract. `<`, `>` and `&` are escaped, so that no text can
    end a fence around it; nothing but ASCII is left, so that no character is invisible.
    """
    text = json.dumps(_shown(case), ensure_ascii=True, default=_plain)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _shown(case: Case) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "now": case.now,
        "deviation": {
            "id": case.deviation_id,
            "kind": case.kind,
            "severity": case.severity,
            "reason": case.reason,
            "segment_key": case.segment_key,
        },
        "delay_probability": case.probability,
        "reasons": case.reasons,
        "untrusted": {"operator_note": case.operator_note},
    }
    if case.dossier is not None:
        shown |= _shown_order(case.dossier, case.now)
        shown["untrusted"] |= {
            name: getattr(case.dossier.order, name)
            for name in ("order_id", "customer_id", "carrier_name")
        }
    elif case.segment is not None:
        numbers = {k: v for k, v in case.segment.items() if k != "riskiest_orders"}
        shown["segment"] = numbers
        shown["untrusted"]["riskiest_orders"] = case.segment.get("riskiest_orders", [])
    return shown


def _shown_order(dossier: Dossier, now: dt.datetime) -> dict[str, Any]:
    order = dossier.order
    outside = ("order_id", "customer_id", "carrier_name")
    facts = {f.name: getattr(order, f.name) for f in FIELDS if f.name not in outside}
    compensation = dossier.compensation
    return {
        "order": {
            **facts,
            "delivery_date_planned": order.delivery_date_planned,
            "has_customer_id": order.customer_id is not None,
        },
        "customer": {
            "opted_out": dossier.opted_out,
            "messages_of_the_last_day": [
                {"channel": one.channel, "template": one.template, "send_at": one.send_at}
                for one in dossier.messages
                if one.send_at > now - dt.timedelta(days=1)
            ],
        },
        "done_before": {
            "reschedules": dossier.count("reschedule_shipment"),
            "transfers": dossier.count("transfer_warehouse"),
            "compensation": None
            if compensation is None
            else {
                "tool": compensation.tool,
                "amount_usd": str(compensation.amount),
                "at": compensation.acted_at,
            },
        },
    }


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, dt.datetime | dt.date) else str(value)
