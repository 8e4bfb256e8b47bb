"""All KPIs at once, from one statement and so of one moment."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy.engine import Connection

from fulfillment_assets.kpis.cells import COMBINATIONS, Cell, Part, Wanted, read_cells
from fulfillment_assets.kpis.ranking import RiskySegment, ranked
from fulfillment_assets.kpis.reads import Kpis, kpis_of
from fulfillment_assets.kpis.rollups import DIMENSIONS
from fulfillment_assets.kpis.segments import dimensions, segment_filter
from fulfillment_assets.kpis.series import Point, days_of, hours_of
from fulfillment_assets.kpis.windows import window_until
from fulfillment_assets.observability.logs import get_logger

RECENT_HOURS: Final = 48

_LOG: Final = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Dashboard:
    """The KPIs of a window, in every breakdown.

    Attributes:
        start: the first moment that counts, in UTC.
        end: the first moment after the window, on the hour.
        overall: of all orders, with what came true beside what was predicted.
        segments: of each dimension and each combination of them, riskiest segment first; by the
            dimensions' names, in the order of `DIMENSIONS`, joined by commas.
        riskiest: the riskiest combinations of all dimensions, luck ruled out.
        daily: a point for each day of the window.
        hourly: a point for each of the last `RECENT_HOURS` hours.
    """

    start: dt.datetime
    end: dt.datetime
    overall: Kpis
    segments: dict[str, list[Kpis]]
    riskiest: list[RiskySegment]
    daily: list[Point]
    hourly: list[Point]

    def by(self, *names: str) -> list[Kpis]:
        """The segments of some dimensions, in short or full names; of none, the overall KPIs.

        Raises:
            ValueError: a dimension is unknown, or named twice.
        """
        wanted = dimensions(names)
        if not wanted:
            return [self.overall]
        return self.segments[_key([name for name in DIMENSIONS if name in wanted])]


def read_dashboard(
    connection: Connection,
    *,
    window: dt.timedelta | None = None,
    until: dt.datetime | None = None,
    where: Mapping[str, str] | None = None,
) -> Dashboard:
    """The KPIs of the window that ends at `until`; the arguments are those of `read_kpis`.

    Raises:
        ValueError: a dimension or a value of `where` is unknown, or the window is none.
    """
    started = time.perf_counter()
    span = window_until(connection, window, until)
    wanted = Wanted(span, COMBINATIONS, segment_filter(where or {}), days=True, hours=RECENT_HOURS)
    parts: dict[Part, list[Cell]] = {"segments": [], "days": [], "hours": []}
    for cell in read_cells(connection, wanted):
        parts[cell.part].append(cell)
    segments = _by_combination(parts["segments"])
    found = Dashboard(
        start=span.start,
        end=span.end,
        overall=segments.pop(_key(()))[0],
        segments=segments,
        riskiest=ranked(segments[_key(DIMENSIONS)]),
        daily=days_of(parts["days"], span),
        hourly=hours_of(parts["hours"], span, RECENT_HOURS),
    )
    _LOG.info(
        "kpis.dashboard_computed",
        hours=round((span.end - span.start).total_seconds() / 3_600),
        filters=sorted(where or {}),
        orders=found.overall.orders,
        milliseconds=round((time.perf_counter() - started) * 1_000, 2),
    )
    return found


def _by_combination(cells: Sequence[Cell]) -> dict[str, list[Kpis]]:
    grouped: dict[tuple[str, ...], list[Cell]] = {by: [] for by in COMBINATIONS}
    for cell in cells:
        by = (name for name, value in zip(DIMENSIONS, cell.segment, strict=True) if value)
        grouped[tuple(by)].append(cell)
    return {_key(by): kpis_of(found, by) for by, found in grouped.items()}


def _key(by: Sequence[str]) -> str:
    return ",".join(by)
