"""The shipment specialist's tools: carrier status, rescheduling, and transfers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from fulfillment_assets.agents.dossier import Dossier, Order
from fulfillment_assets.agents.ledger import Effect, act_on_order, effect_key, order_of_case
from fulfillment_assets.agents.tools.carrier import simulated_scan, terms_of
from fulfillment_assets.agents.tools.desk import Desk, Refused, Result, Standing, answer
from fulfillment_assets.agents.tools.text import checked
from fulfillment_assets.knowledge.rulebook import Rulebook
from fulfillment_assets.knowledge.rules import Block, Mode
from fulfillment_assets.orders.contract import CLOSED_STATUSES

_TRANSFERRED_TODAY: Final = sa.text("""
SELECT count(*) FROM tool_actions
WHERE tool = 'transfer_warehouse' AND result ->> 'to_block' = :block
  AND acted_at >= date_trunc('day', CAST(:now AS timestamptz), 'UTC')
  AND acted_at < date_trunc('day', CAST(:now AS timestamptz), 'UTC') + interval '24 hours'
""")
_ONE_AT_A_TIME: Final = sa.text(
    "SELECT pg_advisory_xact_lock(hashtextextended('transfers into ' || :block, 0))"
)


def check_carrier_status(desk: Desk) -> Result:
    """What the carrier says of the parcel; simulated, see `tools.carrier`. Nothing is done."""
    order = order_of_case(desk)
    if order.order_status in CLOSED_STATUSES:
        return answer("info", f"The order is {order.order_status}: it is closed.", "SH-1.2")
    terms = terms_of(desk.rulebook, order)
    scan = simulated_scan(desk.rulebook, order, terms, desk.now)
    hours = scan.hours_since_scan
    if hours is None:
        reason = "The parcel has not been picked up yet."
    elif hours > 2 * terms.tracking_hours:
        reason = f"No scan for {hours} hours: an incident, the carrier searches for the parcel."
    elif scan.on_schedule is None:
        reason = "The parcel is on its way; no delivery date was promised."
    else:
        reason = f"The parcel is {'on' if scan.on_schedule else 'behind'} schedule."
    freshest = desk.rulebook.shipping.tracking_max_age_hours
    return answer(
        "info",
        reason,
        "SH-1.1",
        simulated=True,
        carrier=terms.name,
        carrier_is_known=terms.name is not None,
        transit_days=[terms.min_transit_days, terms.max_transit_days],
        notice_hours=terms.notice_hours,
        hours_since_scan=hours,
        scan_is_fresh=hours is not None and hours <= freshest,
        incident=hours is not None and hours > 2 * terms.tracking_hours,
        expected_at=scan.expected_at.isoformat(),
        on_schedule=scan.on_schedule,
    )


def reschedule_shipment(
    desk: Desk, reason: str, new_delivery_date: str | None = None, new_mode: Mode | None = None
) -> Result:
    """Give the delivery a new date, or the parcel a faster mode; one of them in a call."""
    reason = checked(reason, "reason")
    if (new_delivery_date is None) == (new_mode is None):
        raise Refused(None, "Give either new_delivery_date or new_mode, and call once for each.")
    if new_delivery_date is not None:
        return _new_date(desk, _day(new_delivery_date), reason)
    assert new_mode is not None
    return _new_mode(desk, new_mode, reason)


def transfer_warehouse(desk: Desk, to_block: Block, reason: str) -> Result:
    """Have the order picked in another block."""
    arguments = {"to_block": to_block, "reason": checked(reason, "reason")}

    def decide(connection: Connection, dossier: Dossier) -> Effect:
        order, book = dossier.order, desk.rulebook
        _check_transfer(book, dossier, to_block)
        connection.execute(_ONE_AT_A_TIME, {"block": to_block})
        taken = connection.scalar(_TRANSFERRED_TODAY, {"block": to_block, "now": desk.now}) or 0
        capacity = book.warehouses[to_block].daily_transfer_capacity
        if taken >= capacity:
            raise Refused(
                f"W{to_block}-2.1",
                f"Block {to_block} took in its {capacity} orders today: it is full until "
                "midnight UTC.",
                transfer_partners=list(book.warehouses[order.warehouse_block].transfer_partners),
            )
        return Effect(
            f"The order moves from block {order.warehouse_block} to {to_block}.",
            "SH-4.3",
            {
                "from_block": order.warehouse_block,
                "to_block": to_block,
                "capacity_left": capacity - taken - 1,
                "processing_hours": book.warehouses[to_block].processing_hours,
            },
            decided={"warehouse_block": to_block},
        )

    key = effect_key(desk, "transfer_warehouse", to_block)
    return act_on_order(desk, "transfer_warehouse", key, arguments, decide)


def _new_date(desk: Desk, day: dt.date, reason: str) -> Result:
    arguments = {"new_delivery_date": day.isoformat(), "reason": reason}

    def decide(_connection: Connection, dossier: Dossier) -> Effect:
        _check_status(dossier.order, desk.rulebook.shipping.reschedulable_statuses, "SH-2.1")
        _check_count(desk.rulebook, dossier)
        first, last = _possible_days(desk.rulebook, dossier.order, desk.now)
        bounds = {"earliest": first.isoformat(), "latest": last.isoformat()}
        if day > last:
            days = desk.rulebook.shipping.max_days_after_promise
            raise Refused(
                "SH-2.2", f"{day} is more than {days} days after the promised date.", **bounds
            )
        if day < first:
            past = day < desk.now.date()
            raise Refused(
                "SH-2.4",
                f"{day} is in the past."
                if past
                else f"{day} leaves the carrier too little time: the earliest day is {first}.",
                **bounds,
            )
        if day == _planned_day(dossier.order):
            raise Standing("SH-2.1", f"Delivery is planned for {day} already.", **bounds)
        numbers = {"new_delivery_date": day.isoformat(), "kind": "date"}
        return Effect(
            f"Delivery is planned for {day}.",
            "SH-2.1",
            numbers,
            decided={"delivery_date_planned": day.isoformat()},
        )

    key = effect_key(desk, "reschedule_shipment", f"date {day}")
    return act_on_order(desk, "reschedule_shipment", key, arguments, decide)


def _possible_days(book: Rulebook, order: Order, now: dt.datetime) -> tuple[dt.date, dt.date]:
    """The earliest and the latest day to which a delivery may be moved.

    The carrier needs its notice before the new delivery, and before one that is still planned
    for a parcel on its way; a plan that was missed already cannot be told in time any more.
    """
    if order.promised_delivery_date is None:
        raise Refused("SH-2.2", "No delivery date was promised: there is none to be moved.")
    terms = terms_of(book, order)
    notice = dt.timedelta(hours=terms.notice_hours)
    planned = order.planned
    if order.ship_date is not None and planned is not None and now < planned < now + notice:
        raise Refused(
            "CA-2.1",
            f"The carrier needs {terms.notice_hours} hours of notice before the delivery that is "
            f"planned until {planned:%Y-%m-%d %H:%M} UTC.",
        )
    transit = dt.timedelta(days=terms.min_transit_days)
    if order.ship_date is not None:
        arrival = order.ship_date + transit
    else:
        hours = book.warehouses[order.warehouse_block].processing_hours
        arrival = now + dt.timedelta(hours=hours) + transit
    # A day fits if its end does.
    first = max(arrival, now + notice).astimezone(dt.UTC).date()
    promised = order.promised_delivery_date.astimezone(dt.UTC).date()
    return first, promised + dt.timedelta(days=book.shipping.max_days_after_promise)


def _planned_day(order: Order) -> dt.date | None:
    if order.delivery_date_planned is not None or order.promised_delivery_date is None:
        return order.delivery_date_planned
    return order.promised_delivery_date.astimezone(dt.UTC).date()


def _new_mode(desk: Desk, mode: Mode, reason: str) -> Result:
    arguments = {"new_mode": mode, "reason": reason}

    def decide(_connection: Connection, dossier: Dossier) -> Effect:
        order = dossier.order
        carrier = _carrier_for(desk.rulebook, dossier, mode)
        return Effect(
            f"The parcel goes by {mode} instead of {order.mode_of_shipment}.",
            "SH-3.1",
            {
                "kind": "mode",
                "from_mode": order.mode_of_shipment,
                "new_mode": mode,
                "carrier": carrier,
                "surcharge_usd": float(desk.rulebook.shipping.mode_surcharge_usd[mode]),
            },
            decided={"mode_of_shipment": mode, "carrier_name": carrier},
        )

    key = effect_key(desk, "reschedule_shipment", f"mode {mode}")
    return act_on_order(desk, "reschedule_shipment", key, arguments, decide)


def _carrier_for(book: Rulebook, dossier: Dossier, mode: Mode) -> str:
    """The fastest carrier that takes the order by a faster mode.

    Raises:
        Refused: the mode must not be changed.
    """
    order, rules = dossier.order, book.shipping
    _check_status(order, rules.mode_change_statuses, "SH-3.1")
    _check_count(book, dossier)
    if mode not in rules.mode_changes[order.mode_of_shipment]:
        raise Refused("SH-3.2", f"{mode} is not faster than {order.mode_of_shipment}.")
    if order.delay_probability <= rules.mode_change_above_probability:
        raise Refused(
            "SH-3.3",
            f"The delay probability is {order.delay_probability:.2f}; an upgrade needs more than "
            f"{rules.mode_change_above_probability}.",
        )
    if order.product_importance not in rules.mode_change_importances:
        raise Refused("SH-3.3", f"The product's importance is {order.product_importance}.")
    surcharge = float(rules.mode_surcharge_usd[mode])
    if surcharge * 100 > order.cost_of_product * rules.max_surcharge_percent:
        raise Refused(
            "SH-3.4",
            f"{surcharge:.0f} USD is more than {rules.max_surcharge_percent} % of the price.",
        )
    limit = book.carriers.max_weight_gms_by_mode[mode]
    if order.weight_in_gms > limit:
        raise Refused("CA-3.1", f"{mode} carries at most {limit} g.")
    if not (carriers := book.carriers.serving(mode, order.weight_in_gms)):
        raise Refused("CA-3.2", f"No carrier takes {order.weight_in_gms:.0f} g by {mode}.")
    _check_block_serves(book, order.warehouse_block, mode, order.weight_in_gms)
    return carriers[0]


def _check_transfer(book: Rulebook, dossier: Dossier, to_block: Block) -> None:
    order, rules = dossier.order, book.shipping
    _check_status(order, rules.transfer_statuses, "SH-4.1")
    if to_block == order.warehouse_block:
        raise Refused("SH-4.3", f"The order is in block {to_block} already.")
    if order.delay_probability <= rules.transfer_above_probability:
        raise Refused(
            "SH-4.1",
            f"The delay probability is {order.delay_probability:.2f}; a transfer needs more than "
            f"{rules.transfer_above_probability}.",
        )
    if dossier.count("transfer_warehouse") >= rules.max_transfers_per_order:
        raise Refused("SH-4.2", "The order was moved before, and is not moved again.")
    own = book.warehouses.get(order.warehouse_block)
    partners = () if own is None else own.transfer_partners
    if to_block not in book.warehouses or to_block not in partners:
        raise Refused(
            f"W{order.warehouse_block}-2.2",
            f"Block {order.warehouse_block} exchanges orders with {', '.join(partners)} only.",
            transfer_partners=list(partners),
        )
    _check_block_serves(book, to_block, order.mode_of_shipment, order.weight_in_gms)


def _check_block_serves(book: Rulebook, block: Block, mode: Mode, weight: float) -> None:
    warehouse = book.warehouses[block]
    if mode not in warehouse.modes:
        raise Refused(f"W{block}-1.3", f"Block {block} does not serve {mode}.")
    if weight > warehouse.max_weight_gms:
        raise Refused(
            f"W{block}-1.3", f"Block {block} handles at most {warehouse.max_weight_gms} g."
        )


def _check_status(order: Order, allowed: Sequence[str], rule: str) -> None:
    if order.order_status in CLOSED_STATUSES:
        raise Refused("SH-1.2", f"The order is {order.order_status}: it is closed.")
    if order.order_status not in allowed:
        raise Refused(rule, f"The order is {order.order_status or 'of unknown status'}: too late.")


def _check_count(book: Rulebook, dossier: Dossier) -> None:
    most = book.shipping.max_reschedules_per_order
    if dossier.count("reschedule_shipment") >= most:
        raise Refused("SH-2.3", f"The order was rescheduled {most} times: a person decides.")


def _day(text: str) -> dt.date:
    try:
        day = dt.date.fromisoformat(text.strip())
    except ValueError:
        raise Refused(None, "new_delivery_date must be a date as YYYY-MM-DD.") from None
    return day
