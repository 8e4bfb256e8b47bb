"""The sums behind the KPIs: read from rollups of days and hours, in one statement."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final, Literal, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from fulfillment_assets.kpis.outcomes import OUTCOME_MEASURES
from fulfillment_assets.kpis.rollups import DAY_OF_BUCKET, DIMENSIONS, MEASURES
from fulfillment_assets.kpis.windows import Window

KNOWN: Final = ("known", "late", "expected_late", "known_probability_sum")
"""What is counted and summed of the orders whose outcome became known."""

COMBINATIONS: Final = tuple(
    by for size in range(len(DIMENSIONS) + 1) for by in combinations(DIMENSIONS, size)
)
"""Every choice of dimensions, from none to all."""

_ALL: Final = (None,) * len(DIMENSIONS)

Part = Literal["segments", "days", "hours"]

_SEGMENT: Final = ", ".join(DIMENSIONS)
_MEASURES: Final = ", ".join(MEASURES)
_NOWHERE: Final = ", ".join(f"NULL AS {name}" for name in DIMENSIONS)


def _sums(names: Sequence[str]) -> str:
    return ", ".join(f"sum({name}) AS {name}" for name in names)


def _nothing(names: Sequence[str]) -> str:
    return ", ".join(f"NULL::numeric AS {name}" for name in names)


SUMS_READ: Final = ", ".join(
    f"coalesce({name}, 0)::{'float8' if name.endswith('_sum') else 'int8'}"
    for name in (*MEASURES, *KNOWN)
)
"""SQL that reads what makes `Sums`."""


class Sums(NamedTuple):
    """What is counted and summed of a group of orders; see `MEASURES` and `KNOWN`."""

    orders: int
    probability_sum: float
    probability_square_sum: float
    critical: int
    warning: int
    info: int
    gap: int
    known: int
    late: int
    expected_late: int
    known_probability_sum: float


class Cell(NamedTuple):
    """The sums of one segment, day or hour.

    Attributes:
        part: what it is one of.
        segment: value of each dimension; None where it is summed over.
        start: first moment of the day or hour; None for a segment.
        sums: what is counted.
    """

    part: Part
    segment: tuple[str | None, ...]
    start: dt.datetime | None
    sums: Sums


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to sum.

    Attributes:
        window: over which.
        groupings: the dimensions to break down by, each choice of them; () is all orders.
        where: only orders of this segment, in full names and canonical values.
        days: whether to sum by day, too.
        hours: how many hours, the last of the window, to sum one by one.
    """

    window: Window
    groupings: Sequence[Sequence[str]] = ()
    where: Mapping[str, str] | None = None
    days: bool = False
    hours: int = 0


def read_cells(connection: Connection, wanted: Wanted) -> Iterator[Cell]:
    """The sums that are wanted, in one statement and so of one moment.

    Segments that every order has left are left out, as are hours and days of which there is
    nothing; outcomes are known by day, not by hour.
    """
    hours_from = wanted.window.end - dt.timedelta(hours=wanted.hours)
    parameters = {**wanted.window.bounds(), "hours_from": hours_from, **(wanted.where or {})}
    rows = connection.execute(sa.text(_query(wanted)), parameters)
    width = len(DIMENSIONS)
    for row in rows:
        cell = Cell(row[0], tuple(row[1 : 1 + width]), row[1 + width], Sums(*row[2 + width :]))
        if cell.sums.orders or cell.sums.known or cell.segment == _ALL:
            yield cell


def _query(wanted: Wanted) -> str:
    """One pass over the cells of the window; what is coarser is summed from what is finer."""
    chosen = "".join(f" AND {name} = :{name}" for name in wanted.where or {})
    parts = [_segments(wanted.groupings)] if wanted.groupings else []
    if wanted.days:
        parts.append(_by_day())
    if wanted.hours:
        parts.append(_by_hour(chosen))
    return f"""
    WITH cells AS MATERIALIZED ({_cells(chosen)}),
    known AS MATERIALIZED ({_known(chosen)})
    SELECT part, {_SEGMENT}, start, {SUMS_READ} FROM ({" UNION ALL ".join(parts)}) parts
    """


def _segments(groupings: Sequence[Sequence[str]]) -> str:
    sets = ", ".join(f"({', '.join(by)})" for by in groupings)
    told = {name for by in groupings for name in by}
    names = ", ".join(name if name in told else f"NULL AS {name}" for name in DIMENSIONS)
    return f"""
    SELECT 'segments' AS part, {names}, NULL::timestamptz AS start, {_sums((*MEASURES, *KNOWN))}
    FROM ({_both(_SEGMENT)}) finest GROUP BY GROUPING SETS ({sets})
    """


def _by_day() -> str:
    return f"""
    SELECT 'days' AS part, {_NOWHERE}, day::timestamp AT TIME ZONE 'UTC' AS start,
           {_sums((*MEASURES, *KNOWN))}
    FROM ({_both("day")}) days GROUP BY day
    """


def _by_hour(chosen: str) -> str:
    return f"""
    SELECT 'hours' AS part, {_NOWHERE}, bucket AS start, {_sums(MEASURES)}, {_nothing(KNOWN)}
    FROM kpi_rollups WHERE bucket >= :hours_from AND bucket < :end{chosen} GROUP BY bucket
    """


def _both(key: str) -> str:
    """Orders and outcomes, each summed by a key: up to two rows for each."""
    return f"""
    SELECT {key}, {_sums(MEASURES)}, {_nothing(KNOWN)} FROM cells GROUP BY {key}
    UNION ALL
    SELECT {key}, {_nothing(MEASURES)}, {_sums(KNOWN)} FROM known GROUP BY {key}
    """


def _cells(chosen: str) -> str:
    hours = f"SELECT {DAY_OF_BUCKET}, {_SEGMENT}, {_MEASURES} FROM kpi_rollups WHERE"
    return f"""
    SELECT day, {_SEGMENT}, {_MEASURES} FROM kpi_daily_rollups
    WHERE day >= :first_whole AND day < :after_whole{chosen}
    UNION ALL {hours} bucket >= :start AND bucket < :before_days{chosen}
    UNION ALL {hours} bucket >= :behind_days AND bucket < :end{chosen}
    """


def _known(chosen: str) -> str:
    names = zip(OUTCOME_MEASURES, KNOWN, strict=True)
    return f"""
    SELECT day, {_SEGMENT}, {", ".join(f"{name} AS {known}" for name, known in names)}
    FROM kpi_outcomes WHERE day >= :first_day AND day < :after_last_day{chosen}
    """


def mean(total: float, count: int) -> float | None:
    """A mean; None of nothing."""
    return total / count if count else None


def variance(sums: Sums) -> float | None:
    """Sample variance of the delay probabilities; None of fewer than two orders."""
    if sums.orders < 2:
        return None
    squares = sums.probability_square_sum - sums.probability_sum**2 / sums.orders
    return max(0.0, squares / (sums.orders - 1))
