"""A daily snapshot of the KPIs, for the history that lies behind the rolling window.

The rollups tell where each order stands now; a snapshot keeps what was known when it was taken.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from fulfillment_assets.kpis.cells import (
    COMBINATIONS,
    KNOWN,
    SUMS_READ,
    Cell,
    Sums,
    Wanted,
    read_cells,
)
from fulfillment_assets.kpis.reads import Kpis, kpis_of
from fulfillment_assets.kpis.rollups import DIMENSIONS, HISTORY_STARTS_AT, MEASURES
from fulfillment_assets.kpis.segments import dimensions
from fulfillment_assets.kpis.windows import DAY, Window, hour_of
from fulfillment_assets.store.partitions import start_of
from fulfillment_assets.store.settings_table import read_setting

_SEGMENT: Final = ", ".join(DIMENSIONS)
_SUMS: Final = (*MEASURES, *KNOWN)

_LOCK: Final = "SELECT pg_advisory_xact_lock(:key, :number)"
_LOCK_KEY: Final = 0x6B706973
"""Advisory lock, with the day: two snapshots of one day follow one another."""

_INSERT: Final = f"""
INSERT INTO kpi_snapshots (day, window_start, as_of, {_SEGMENT}, {", ".join(_SUMS)})
VALUES (:day, :window_start, :as_of, {", ".join(f":{name}" for name in (*DIMENSIONS, *_SUMS))})
"""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the KPIs were at the end of a day.

    Attributes:
        day: the UTC day.
        window_start: the first moment of the window.
        as_of: its end, which is the end of the day.
        taken_at: when they were read.
        kpis: of one segment.
    """

    day: dt.date
    window_start: dt.datetime
    as_of: dt.datetime
    taken_at: dt.datetime
    kpis: Kpis


def take_snapshot(connection: Connection, day: dt.date) -> int:
    """Keep the KPIs of the window that ends with a UTC day; return the number of rows.

    They are kept overall, by each dimension and by each combination. Taken again, they replace
    what was kept of that day.

    Args:
        connection: in a transaction, which the caller commits.
        day: the day; the window's length is the setting `kpi_window_days`.

    Raises:
        ValueError: predictions of the window were dropped, so that a snapshot would have no
            orders, or fewer than the one that there is.
    """
    end = start_of(day + DAY)
    length = dt.timedelta(days=float(read_setting(connection, "kpi_window_days")))
    window = Window(hour_of(end - length), end)
    connection.execute(sa.text(_LOCK), {"key": _LOCK_KEY, "number": day.toordinal()})
    _check_history(connection, day, window)
    fixed = {"day": day, "window_start": window.start, "as_of": window.end}
    rows = [
        fixed | dict(zip(DIMENSIONS, cell.segment, strict=True)) | cell.sums._asdict()
        for cell in read_cells(connection, Wanted(window, COMBINATIONS))
    ]
    connection.execute(sa.text("DELETE FROM kpi_snapshots WHERE day = :day"), {"day": day})
    connection.execute(sa.text(_INSERT), rows)
    return len(rows)


def read_snapshots(
    connection: Connection, start: dt.date, end: dt.date, *, by: Sequence[str] = ()
) -> list[Snapshot]:
    """The snapshots of some days, by day, then the riskiest segment first.

    Args:
        connection: any connection.
        start: the first day.
        end: the last day.
        by: dimensions to break down by, in full or short names; none gives the overall KPIs.

    Raises:
        ValueError: a dimension is unknown, or named twice.
    """
    by = dimensions(by)
    kind = " AND ".join(f"{name} IS {'NOT ' if name in by else ''}NULL" for name in DIMENSIONS)
    rows = connection.execute(
        sa.text(
            f"SELECT day, window_start, as_of, taken_at, {_SEGMENT}, {SUMS_READ} "
            f"FROM kpi_snapshots WHERE day BETWEEN :start AND :end AND {kind} ORDER BY day"
        ),
        {"start": start, "end": end},
    )
    found: list[Snapshot] = []
    for (day, window_start, as_of, taken_at), of_day in groupby(rows, key=lambda row: row[:4]):
        cells = [Cell("segments", tuple(row[4:7]), None, Sums(*row[7:])) for row in of_day]
        found += [Snapshot(day, window_start, as_of, taken_at, kpis) for kpis in kpis_of(cells, by)]
    return found


def _check_history(connection: Connection, day: dt.date, window: Window) -> None:
    starts_at = dt.datetime.fromisoformat(read_setting(connection, HISTORY_STARTS_AT))
    kept = connection.scalar(
        sa.text("SELECT EXISTS (SELECT FROM kpi_snapshots WHERE day = :day)"), {"day": day}
    )
    if window.end <= starts_at or (kept and window.start < starts_at):
        raise ValueError(
            f"predictions before {starts_at:%Y-%m-%d} were dropped, so the KPIs of {day} cannot be "
            "recomputed" + ("; the snapshot that was taken of it stays" if kept else "")
        )
