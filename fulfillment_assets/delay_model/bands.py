"""Severity bands: how much attention a probability of being late is worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

SEVERITIES: Final = ("none", "info", "warning", "critical")
"""In ascending order; a severity's code is its index here."""

LATE_SEVERITIES: Final = ("warning", "critical")
"""The severities of an order that is not expected on time."""

DEFAULT_THRESHOLDS: Final[Mapping[str, float]] = {"info": 0.3, "warning": 0.5, "critical": 0.7}
"""A probability strictly above a threshold has at least that severity."""


class Band(BaseModel):
    """What was measured, out of sample, of the orders of one severity.

    Attributes:
        severity: one of `SEVERITIES`.
        above: lower bound of the probability, exclusive (the mildest band includes its 0).
        up_to: upper bound of the probability, inclusive.
        share: share of all orders that fall in the band, in 0..1.
        late_rate: share of the band's orders that were late (its precision), in 0..1;
            None when no order fell in the band.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    severity: str
    above: float
    up_to: float
    share: float
    late_rate: float | None


def severity_codes(
    probability: npt.NDArray[np.float64], thresholds: Mapping[str, float]
) -> npt.NDArray[np.int8]:
    """Codes of `SEVERITIES` for probabilities, same shape; a threshold itself is not above."""
    bounds = [thresholds[severity] for severity in SEVERITIES[1:]]
    return np.searchsorted(bounds, probability, side="left").astype(np.int8)


def measure_bands(
    probability: npt.NDArray[np.float64],
    late: npt.NDArray[np.int8],
    thresholds: Mapping[str, float],
) -> tuple[Band, ...]:
    """Size and precision of each band, the gravest first.

    Args:
        probability: out-of-sample probabilities of being late, shape (n,).
        late: true labels, 1 = late, shape (n,).
        thresholds: as `DEFAULT_THRESHOLDS`.
    """
    codes = severity_codes(probability, thresholds)
    orders = np.bincount(codes, minlength=len(SEVERITIES))
    late_orders = np.bincount(codes, weights=late, minlength=len(SEVERITIES))
    bounds = [0.0, *(thresholds[severity] for severity in SEVERITIES[1:]), 1.0]
    return tuple(
        Band(
            severity=SEVERITIES[code],
            above=bounds[code],
            up_to=bounds[code + 1],
            share=round(float(orders[code]) / len(late), 6),
            late_rate=round(float(late_orders[code] / orders[code]), 6) if orders[code] else None,
        )
        for code in reversed(range(len(SEVERITIES)))
    )
