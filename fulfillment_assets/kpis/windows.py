"""Windows of time over which KPIs are read: whole hours, most of them by whole days."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Final

from sqlalchemy.engine import Connection

from fulfillment_assets.store.partitions import start_of
from fulfillment_assets.store.settings_table import read_setting

HOUR: Final = dt.timedelta(hours=1)
DAY: Final = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Window:
    """Hours from `start` to `end`, which is no part of it; both on the hour, in UTC."""

    start: dt.datetime
    end: dt.datetime

    @property
    def first_day(self) -> dt.date:
        """The day on which it starts."""
        return self.start.date()

    @property
    def after_last_day(self) -> dt.date:
        """The day after the last of which it has a part."""
        return (self.end - HOUR).date() + DAY

    @property
    def whole_days(self) -> tuple[dt.date, dt.date]:
        """The first whole day in it, and the day after the last one; the same if it has none."""
        first = self.start.date()
        if start_of(first) < self.start:
            first += DAY
        return first, max(first, self.end.date())

    def bounds(self) -> dict[str, dt.datetime | dt.date]:
        """Parameters of a query that reads whole days by day, and the hours around them by hour."""
        first, after_last = self.whole_days
        before, behind = start_of(first), start_of(after_last)
        if first == after_last:
            before = behind = self.end
        return {
            "start": self.start,
            "first_whole": first,
            "before_days": before,
            "after_whole": after_last,
            "behind_days": behind,
            "end": self.end,
            "first_day": self.first_day,
            "after_last_day": self.after_last_day,
        }


def window_until(
    connection: Connection, window: dt.timedelta | None, until: dt.datetime | None
) -> Window:
    """The window of a length that ends at a moment.

    Args:
        connection: any connection; read only if the length is not given.
        window: its length; the setting `kpi_window_days` if not given.
        until: its end, aware; now if not given.

    Returns:
        The hours of the window: the first and the last are whole, however much of them was meant.

    Raises:
        ValueError: the length is negative or beyond the calendar, or the end has no time zone.
    """
    if window is None:
        window = dt.timedelta(days=float(read_setting(connection, "kpi_window_days")))
    if window < dt.timedelta(0):
        raise ValueError(f"a window cannot be shorter than nothing: {window}")
    moment = until or dt.datetime.now(dt.UTC)
    if moment.tzinfo is None:
        raise ValueError(f"the window's end needs a time zone: {moment.isoformat()}")
    try:
        last = moment.astimezone(dt.UTC)
        return Window(hour_of(last - window), hour_of(last) + HOUR)
    except OverflowError as error:
        raise ValueError(f"a window of {window} until {moment} leaves the calendar") from error


def hour_of(moment: dt.datetime) -> dt.datetime:
    """The start of the hour of a moment in UTC."""
    return moment.replace(minute=0, second=0, microsecond=0)
