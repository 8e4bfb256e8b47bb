"""The riskiest segments, ranked so that none is on top by luck.

A segment's mean delay probability is an estimate, and the fewer its orders the less it says. So
segments are ranked by the lower end of an interval around it, the empirical Bernstein bound
(Maurer and Pontil, *Empirical Bernstein bounds and sample variance penalization*, COLT 2009,
theorem 4), here on both sides. For n values in 0..1 of mean m and sample variance v,

    m ± (sqrt(2 v ln(4/d) / n) + 7 ln(4/d) / (3 (n - 1)))

holds the true mean with probability 1 - d at least, at any n and for any distribution. An
interval that trusts the variance of five orders would not: they may well be alike by chance.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy.engine import Connection

from fulfillment_assets.kpis.reads import Kpis, read_kpis
from fulfillment_assets.kpis.rollups import DIMENSIONS

CONFIDENCE: Final = 0.95
MINIMUM_ORDERS: Final = 30
LIMIT: Final = 10


@dataclass(frozen=True, slots=True)
class RiskySegment:
    """A segment with the interval of its mean delay probability.

    Attributes:
        segment: the value of each dimension.
        orders: how many orders it has.
        mean_probability: their mean delay probability.
        low: lower end of its confidence interval, by which segments are ranked.
        high: its upper end.
        high_risk: orders of critical severity.
    """

    segment: dict[str, str]
    orders: int
    mean_probability: float
    low: float
    high: float
    high_risk: int


def riskiest_segments(
    connection: Connection,
    *,
    by: Sequence[str] = DIMENSIONS,
    window: dt.timedelta | None = None,
    until: dt.datetime | None = None,
    where: Mapping[str, str] | None = None,
    limit: int = LIMIT,
    minimum_orders: int = MINIMUM_ORDERS,
    confidence: float = CONFIDENCE,
) -> list[RiskySegment]:
    """The segments that are surely the riskiest, as far as is known.

    Args:
        connection: any connection.
        by: dimensions whose combinations are ranked, as for `read_kpis`.
        window: as for `read_kpis`.
        until: as for `read_kpis`.
        where: as for `read_kpis`.
        limit: how many.
        minimum_orders: segments with fewer are left out.
        confidence: of the intervals, above 0 and below 1.

    Raises:
        ValueError: as `read_kpis`, or the confidence is out of range.
    """
    found = read_kpis(connection, by=by, window=window, until=until, where=where)
    return ranked(found, limit=limit, minimum_orders=minimum_orders, confidence=confidence)


def ranked(
    segments: Iterable[Kpis],
    *,
    limit: int = LIMIT,
    minimum_orders: int = MINIMUM_ORDERS,
    confidence: float = CONFIDENCE,
) -> list[RiskySegment]:
    """Segments by the lower end of their interval, the riskiest first."""
    found = [_with_interval(kpis, confidence) for kpis in segments if kpis.orders >= minimum_orders]
    found.sort(key=lambda one: (-one.low, -one.mean_probability, *one.segment.values()))
    return found[:limit]


def mean_interval(
    mean: float, variance: float | None, count: int, confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """The confidence interval of the mean of values in 0..1.

    Args:
        mean: of the sample.
        variance: of the sample; None of fewer than two values, which say nothing.
        count: how many values there are.
        confidence: at least so probable is it to hold the true mean.

    Raises:
        ValueError: the confidence is not between 0 and 1.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"a confidence is above 0 and below 1, not {confidence}")
    if variance is None or count < 2:
        return 0.0, 1.0
    doubt = math.log(4 / (1 - confidence))
    width = math.sqrt(2 * variance * doubt / count) + 7 * doubt / (3 * (count - 1))
    return max(0.0, mean - width), min(1.0, mean + width)


def _with_interval(kpis: Kpis, confidence: float) -> RiskySegment:
    mean = kpis.mean_probability or 0.0
    low, high = mean_interval(mean, kpis.probability_variance, kpis.orders, confidence)
    return RiskySegment(kpis.segment, kpis.orders, mean, low, high, kpis.high_risk)
