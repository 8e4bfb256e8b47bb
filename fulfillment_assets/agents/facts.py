"""The facts of a case, read from its JSON: what the models see, without the untrusted texts."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fulfillment_assets.agents.dossier import end_of_day
from fulfillment_assets.knowledge.rulebook import Rulebook
from fulfillment_assets.knowledge.rules import Importance, Mode, Severity, Tier
from fulfillment_assets.orders.contract import CLOSED_STATUSES


@dataclass(frozen=True, slots=True)
class Facts:
    """A case as the models see it.

    Attributes:
        shown: the case's JSON, read.
    """

    shown: Mapping[str, Any]

    @property
    def now(self) -> dt.datetime:
        """The moment as of which rules are applied."""
        return dt.datetime.fromisoformat(self.shown["now"])

    @property
    def severity(self) -> Severity:
        """Of the deviation."""
        severity: Severity = self.shown["deviation"]["severity"]
        return severity

    @property
    def probability(self) -> float:
        """Delay probability of the order, or mean of the segment."""
        return float(self.shown["delay_probability"])

    @property
    def has_order(self) -> bool:
        """Whether the deviation is an order's, not a segment's."""
        return "order" in self.shown

    @property
    def order(self) -> Mapping[str, Any]:
        """The order's fields, without those that outsiders fill in."""
        order: Mapping[str, Any] = self.shown["order"]
        return order

    @property
    def status(self) -> str | None:
        """Of the order."""
        status: str | None = self.order["order_status"]
        return status

    @property
    def closed(self) -> bool:
        """The order is delivered or cancelled."""
        return self.status in CLOSED_STATUSES

    @property
    def importance(self) -> Importance:
        """Of the product."""
        importance: Importance = self.order["product_importance"]
        return importance

    @property
    def mode(self) -> Mode:
        """How the parcel travels."""
        mode: Mode = self.order["mode_of_shipment"]
        return mode

    @property
    def weight_gms(self) -> float:
        """Of the parcel."""
        return float(self.order["weight_in_gms"])

    @property
    def cost_usd(self) -> float:
        """Of the product."""
        return float(self.order["cost_of_product"])

    def moment(self, name: str) -> dt.datetime | None:
        """A date of the order; None where it is not known."""
        text: str | None = self.order[name]
        return None if text is None else dt.datetime.fromisoformat(text)

    @property
    def planned_day(self) -> dt.date | None:
        """The day for which delivery is planned now: the one agreed on since, or the promise."""
        planned: str | None = self.order["delivery_date_planned"]
        if planned is not None:
            return dt.date.fromisoformat(planned)
        promised = self.moment("promised_delivery_date")
        return None if promised is None else promised.astimezone(dt.UTC).date()

    @property
    def late(self) -> bool:
        """The promised date has passed, and the parcel was not there by then."""
        promised = self.moment("promised_delivery_date")
        if promised is None:
            return False
        return (self.moment("delivery_date") or self.now) > broken_after(promised)

    @property
    def opted_out(self) -> bool:
        """The customer wants no messages."""
        return bool(self.shown["customer"]["opted_out"])

    @property
    def messages_today(self) -> int:
        """Messages about the order in the last day."""
        return len(self.shown["customer"]["messages_of_the_last_day"])

    @property
    def compensated(self) -> bool:
        """The order got its refund or credit already."""
        return self.shown["done_before"]["compensation"] is not None

    def done_before(self, what: str) -> int:
        """How often the order was given a new date (`reschedules`) or moved (`transfers`)."""
        return int(self.shown["done_before"][what])

    def tier(self, book: Rulebook) -> Tier:
        """Of the customer."""
        return book.refund.tier(int(self.order["prior_purchases"]))


def broken_after(promised: dt.datetime) -> dt.datetime:
    """When a promise is broken; midnight sharp is a date without a time, and lasts all day."""
    promised = promised.astimezone(dt.UTC)
    return end_of_day(promised.date()) if promised.time() == dt.time() else promised


def escalation_rule(facts: Facts, book: Rulebook) -> tuple[str, str] | None:
    """The first escalation criterion that an order meets, with what meets it; None: it meets none.

    Args:
        facts: of an order's deviation.
        book: the rules.
    """
    rules, order = book.escalation, facts.order
    critical = facts.severity == "critical"
    if critical and facts.cost_usd >= rules.high_value_usd:
        return "ES-1.1", f"the product costs {facts.cost_usd:g} USD"
    if order["customer_care_calls"] >= rules.care_calls_at_least:
        return "ES-1.2", f"the customer called care {order['customer_care_calls']} times"
    if critical and order["customer_rating"] <= rules.rating_at_most:
        return "ES-1.2", f"the customer rates us {order['customer_rating']} of 5"
    return None
