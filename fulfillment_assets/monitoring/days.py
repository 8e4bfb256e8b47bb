"""UTC days, by which everything here is measured."""

from __future__ import annotations

import datetime as dt

from fulfillment_assets.store.partitions import start_of


def day_bounds(day: dt.date) -> dict[str, dt.datetime]:
    """The first moment of a UTC day as `day`, and of the next as `next_day`, for a query."""
    return {"day": start_of(day), "next_day": start_of(day + dt.timedelta(days=1))}
