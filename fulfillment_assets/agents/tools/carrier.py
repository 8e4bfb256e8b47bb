"""The carriers' side, simulated: what a carrier would answer about a parcel.

No carrier is asked. The answer follows from the order alone, by a hash of its id and carrier, so
that it is the same whenever it is asked for; late parcels are as frequent as the order's delay
probability says.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass

from fulfillment_assets.agents.dossier import Order
from fulfillment_assets.knowledge.rulebook import Rulebook

_DAY = dt.timedelta(days=1)
_WORST_SCAN = 2.4
"""Age of the oldest simulated scan, in intervals of the agreement; above 2 is an incident."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What may be expected of whoever carries an order.

    Attributes:
        name: the carrier; None where it is not one of ours, so that the most cautious terms of
            all carriers of the mode hold.
    """

    name: str | None
    min_transit_days: int
    max_transit_days: int
    notice_hours: int
    tracking_hours: int


@dataclass(frozen=True, slots=True)
class Scan:
    """The simulated state of a parcel.

    Attributes:
        hours_since_scan: None before the parcel was picked up.
        expected_at: when the carrier expects to deliver it.
        on_schedule: it expects to keep the promise; None where none was given.
    """

    hours_since_scan: float | None
    expected_at: dt.datetime
    on_schedule: bool | None


def terms_of(book: Rulebook, order: Order) -> Terms:
    """The terms of the order's carrier."""
    known = book.carriers.by_name
    name = order.carrier_name
    if name is not None and name in known:
        one = known[name]
        return Terms(
            name,
            one.min_transit_days,
            one.max_transit_days,
            one.reschedule_notice_hours,
            one.tracking_hours,
        )
    mode = [one for one in known.values() if one.mode == order.mode_of_shipment]
    return Terms(
        None,
        max(one.min_transit_days for one in mode),
        max(one.max_transit_days for one in mode),
        max(one.reschedule_notice_hours for one in mode),
        max(one.tracking_hours for one in mode),
    )


def simulated_scan(book: Rulebook, order: Order, terms: Terms, now: dt.datetime) -> Scan:
    """What the carrier would say of an open order."""
    luck, length, age = _draws(order)
    late = luck < order.delay_probability
    span = terms.max_transit_days - terms.min_transit_days
    transit = (terms.min_transit_days + length * span) * _DAY
    if order.ship_date is not None:
        expected = order.ship_date + transit
    else:
        wait = dt.timedelta(hours=book.warehouses[order.warehouse_block].processing_hours)
        expected = now + wait + transit
    due = order.due
    if due is not None:
        missed = max(due, now) + (0.5 + 4 * length) * _DAY
        expected = max(expected, missed) if late else min(expected, due)
    soonest = now + dt.timedelta(hours=6)
    expected = max(expected, soonest).replace(microsecond=0)
    scanned = (
        None if order.ship_date is None else round(age * _WORST_SCAN * terms.tracking_hours, 1)
    )
    return Scan(scanned, expected, None if due is None else expected <= due)


def _draws(order: Order) -> tuple[float, float, float]:
    """Three numbers from 0 to 1 that the order decides."""
    digest = hashlib.sha256(f"{order.order_id}\n{order.carrier_name}".encode()).digest()
    luck, length, age = (int.from_bytes(digest[i : i + 6]) / 2**48 for i in (0, 6, 12))
    return luck, length, age
