"""How an order travels: its dates, carrier, status and payment.

Invented, but consistent: an order ships within a day, is delivered on a later day than it
shipped, and is late if and only if it is delivered after its promised date. Lateness itself
comes from the recipe; how long a late order takes does not depend on its features.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np

from fulfillment_assets.orders.contract import BY_NAME
from fulfillment_assets.orders.simulator.plan import SimulationPlan
from fulfillment_assets.orders.simulator.sampling import (
    BoolArray,
    Distribution,
    Draws,
    IntArray,
    scaled,
    squared,
)

HOUR: Final = 3_600
DAY: Final = 24 * HOUR
PROMISED_HOUR: Final = 18
CANCELLED_SHARE: Final = 0.02

MODES: Final = BY_NAME["mode_of_shipment"].choices
STATUSES: Final = BY_NAME["order_status"].choices
PAYMENTS: Final = BY_NAME["payment_status"].choices

CARRIERS: Final[Mapping[str, Mapping[str, float]]] = {
    "Ship": {"Northline": 0.5, "Bluewater Freight": 0.3, "Tidemark": 0.2},
    "Flight": {"Skylark Air": 0.6, "Cirrus Cargo": 0.4},
    "Road": {"Milestone Haulage": 0.55, "Overland Post": 0.3, "Greenway Vans": 0.15},
}
CARRIER_NAMES: Final = tuple(name for mode in MODES for name in CARRIERS[mode])

# Relative number of orders by hour of the day (UTC) and by weekday from Monday.
_HOUR_WEIGHTS = "8 5 3 2 2 4 8 16 28 40 48 52 54 50 48 48 50 54 60 64 62 50 32 16"
_HOURS = Distribution(dict(enumerate(map(float, _HOUR_WEIGHTS.split()))))
_WEEKDAY_WEIGHTS = (1.12, 1.06, 1.02, 1.00, 0.98, 0.86, 0.96)

# Days from the order to the promise. Two at least, so that an order shipped within 24 hours
# still has a whole day for its delivery.
_LEAD_DAYS: Mapping[str, Mapping[int, float]] = {
    "Ship": {5: 0.2, 6: 0.25, 7: 0.25, 8: 0.2, 9: 0.1},
    "Flight": {2: 0.5, 3: 0.35, 4: 0.15},
    "Road": {3: 0.3, 4: 0.35, 5: 0.25, 6: 0.1},
}
# Days from the promise to the delivery of a late order.
_DELAY_DAYS: Mapping[str, Mapping[int, float]] = {
    "Ship": {1: 0.26, 2: 0.22, 3: 0.17, 4: 0.12, 5: 0.09, 6: 0.06, 8: 0.05, 11: 0.03},
    "Flight": {1: 0.58, 2: 0.26, 3: 0.11, 5: 0.05},
    "Road": {1: 0.42, 2: 0.27, 3: 0.16, 4: 0.09, 6: 0.06},
}
_PAYMENT: Mapping[str, Mapping[str, float]] = {
    "processing": {"paid": 0.78, "pending": 0.22},
    "shipped": {"paid": 0.94, "pending": 0.06},
    "delivered": {"paid": 0.965, "pending": 0.01, "refunded": 0.025},
    "delayed": {"paid": 0.89, "pending": 0.05, "refunded": 0.06},
    "cancelled": {"pending": 0.3, "refunded": 0.7},
}


def _by_mode(table: Mapping[str, Mapping[int, float]]) -> Distribution:
    return Distribution(*(table[mode] for mode in MODES))


_LEAD = _by_mode(_LEAD_DAYS)
_DELAY = _by_mode(_DELAY_DAYS)
_CARRIER = Distribution(
    *({CARRIER_NAMES.index(name): p for name, p in CARRIERS[mode].items()} for mode in MODES)
)
_PAYMENT_OF_STATUS = Distribution(
    *({PAYMENTS.index(name): p for name, p in _PAYMENT[status].items()} for status in STATUSES)
)


class Journey(NamedTuple):
    """One block of journeys; times are seconds since 1970 (UTC), the rest are codes.

    Attributes:
        ordered: when the order was placed.
        promised: when delivery was promised.
        shipped: when it left, or would have left had it not been cancelled.
        delivered: when it arrives, or would have arrived had it not been cancelled.
        has_shipped: whether `shipped` is known at the end of the period.
        has_delivered: whether `delivered` is known at the end of the period.
        carrier: index into `CARRIER_NAMES`.
        status: index into `STATUSES`.
        payment: index into `PAYMENTS`.
        cancelled_at: when an order with status `cancelled` was cancelled; else without meaning.
    """

    ordered: IntArray
    promised: IntArray
    shipped: IntArray
    delivered: IntArray
    has_shipped: BoolArray
    has_delivered: BoolArray
    carrier: IntArray
    status: IntArray
    payment: IntArray
    cancelled_at: IntArray


def period(plan: SimulationPlan) -> tuple[int, int]:
    """First and last second of the plan's period, in seconds since 1970 (the last exclusive)."""
    start = (plan.start - datetime.date(1970, 1, 1)).days * DAY
    return start, start + plan.days * DAY


def order_days(plan: SimulationPlan) -> Distribution:
    """Distribution of the day on which an order is placed, counted from the start."""
    first = plan.start.weekday()
    return Distribution({day: _WEEKDAY_WEIGHTS[(first + day) % 7] for day in range(plan.days)})


def draw_journeys(
    draws: Draws, plan: SimulationPlan, days: Distribution, mode: IntArray, is_late: BoolArray
) -> Journey:
    """Draw the journeys of one block of orders.

    Args:
        draws: the block's random stream.
        plan: what to simulate.
        days: `order_days(plan)`, made once for all blocks.
        mode: index into `MODES` of each order.
        is_late: whether each order is to be late.
    """
    start, end = period(plan)
    day = start + days.draw(draws.uniform()) * DAY
    ordered = day + _HOURS.draw(draws.uniform()) * HOUR + draws.below(HOUR)
    promised_day = day + _LEAD.draw(draws.uniform(), mode) * DAY
    shipped = ordered + HOUR + draws.below(23 * HOUR)
    delivered = _deliveries(draws, promised_day, shipped, mode, is_late)
    promised = promised_day + PROMISED_HOUR * HOUR

    cancelled_at = ordered + scaled(draws.uniform(), delivered - ordered)
    cancelled = draws.happens(CANCELLED_SHARE) & (cancelled_at <= end)
    has_shipped = (shipped <= end) & (~cancelled | (shipped <= cancelled_at))
    has_delivered = (delivered <= end) & ~cancelled
    status = np.select(
        [cancelled, has_delivered, ~has_shipped, promised <= end],
        [STATUSES.index(name) for name in ("cancelled", "delivered", "processing", "delayed")],
        STATUSES.index("shipped"),
    )
    return Journey(
        ordered=ordered,
        promised=promised,
        shipped=shipped,
        delivered=delivered,
        has_shipped=has_shipped,
        has_delivered=has_delivered,
        carrier=_CARRIER.draw(draws.uniform(), mode),
        status=status,
        payment=_PAYMENT_OF_STATUS.draw(draws.uniform(), status),
        cancelled_at=cancelled_at,
    )


def _deliveries(
    draws: Draws, promised_day: IntArray, shipped: IntArray, mode: IntArray, is_late: BoolArray
) -> IntArray:
    """True delivery times: by the promised hour of a day up to the promised one, or later days."""
    shipped_day = shipped // DAY * DAY
    days_early = scaled(squared(draws.uniform()), (promised_day - shipped_day) // DAY)
    days_late = _DELAY.draw(draws.uniform(), mode)
    day: IntArray = promised_day + np.where(is_late, days_late, -days_early) * DAY
    opening = 8 * HOUR
    closing: IntArray = np.where(is_late, 20 * HOUR, PROMISED_HOUR * HOUR)
    return day + opening + draws.below(closing - opening)
