"""How good a group of predictions was, and whether chance explains that it looks worse.

A live figure is one of many that the same model could have shown, and so is the validated one.
A figure counts as worse only where the two intervals within which chance moves them lie apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from fulfillment_assets.delay_model.label import Labels
from fulfillment_assets.delay_model.metrics import (
    DECISION,
    ECE_BINS,
    Metric,
    expected_calibration_error,
)
from fulfillment_assets.delay_model.verdict import Finding, Verdict

Floats = npt.NDArray[np.float64]

CONFIDENCE: Final = 0.99
"""Of the intervals, two-sided."""

BRIER_MARGIN: Final = 0.02
AUC_MARGIN: Final = 0.05
CALIBRATION_MARGIN: Final = 0.05
"""By how much more than chance explains a figure may be worse before it fails."""

MINIMUM_PER_OUTCOME: Final = 20
"""Fewer late or fewer punctual orders than this are ranked well or badly by luck."""

RESAMPLES: Final = 1_000
SIMULATIONS: Final = 20_000
_SEED: Final = 17
_TAIL: Final = (1 - CONFIDENCE) / 2


@dataclass(frozen=True, slots=True)
class Measures:
    """How good predictions were whose outcomes are known.

    Attributes:
        orders: how many.
        late: how many of them were late.
        mean_probability: mean predicted probability of being late.
        accuracy: share of orders on the right side of a probability of 0.5.
        roc_auc: probability that a late order ranks above a punctual one; None without both.
        brier: mean squared difference of probability and outcome.
        ece: expected calibration error, see `expected_calibration_error`.
    """

    orders: int
    late: int
    mean_probability: float
    accuracy: float
    roc_auc: float | None
    brier: float
    ece: float


class Interval(NamedTuple):
    """Where a figure may lie by chance."""

    low: float
    high: float


def measure(late: Labels, probability: Floats) -> Measures:
    """Measure predictions.

    Args:
        late: what became of the orders, 1 = late, shape (n,), n > 0.
        probability: what was predicted, shape (n,).
    """
    from sklearn.metrics import roc_auc_score

    late_orders = int(late.sum())
    both = 0 < late_orders < len(late)
    return Measures(
        orders=len(late),
        late=late_orders,
        mean_probability=float(probability.mean()),
        accuracy=float(np.mean((probability > DECISION) == late)),
        roc_auc=float(roc_auc_score(late, probability)) if both else None,
        brier=float(np.mean((probability - late) ** 2)),
        ece=expected_calibration_error(late, probability),
    )


def against_validated(
    measures: Measures,
    late: Labels,
    probability: Floats,
    validated: Mapping[str, Metric],
    folds: int,
) -> Iterator[Finding]:
    """What is worse than the model's cross-validated metrics promise.

    Args:
        measures: of these orders.
        late: what became of them, shape (n,).
        probability: what was predicted, shape (n,).
        validated: `brier`, `roc_auc` and `ece` over the folds of the cross-validation.
        folds: folds of one cross-validation; repeating it adds no orders, and so no certainty.
    """
    resamples = _resample(late, probability)
    brier, promised = _interval(_brier(resamples)), _promised(validated["brier"], folds)
    yield from _worse(
        f"Brier score {measures.brier:.3f}",
        brier,
        promised,
        brier.low - promised.high,
        BRIER_MARGIN,
    )
    if min(measures.late, measures.orders - measures.late) >= MINIMUM_PER_OUTCOME:
        auc, promised = _interval(_roc_auc(resamples)), _promised(validated["roc_auc"], folds)
        yield from _worse(
            f"ROC-AUC {measures.roc_auc:.3f}", auc, promised, promised.low - auc.high, AUC_MARGIN
        )
    yield from calibration(measures, probability, validated)


def calibration(
    measures: Measures, probability: Floats, validated: Mapping[str, Metric]
) -> Iterator[Finding]:
    """Whether outcomes are as frequent as was predicted.

    Unlike Brier score and ROC-AUC, calibration does not depend on how many of the orders are
    easy to predict, so any group of orders can be held against it.

    Args:
        measures: of these orders.
        probability: what was predicted, shape (n,).
        validated: holds `ece`, which is granted on top of what chance explains.
    """
    chance, granted = honest_calibration_error(probability), validated["ece"].mean
    excess = measures.ece - chance - granted
    if excess > 0:
        yield Finding(
            _graded(excess, CALIBRATION_MARGIN),
            f"calibration error {measures.ece:.3f}, of which chance explains {chance:.3f} and "
            f"validation showed {granted:.3f}; {measures.mean_probability:.1%} late were "
            f"predicted, {measures.late / measures.orders:.1%} were",
        )


def honest_calibration_error(probability: Floats) -> float:
    """The calibration error that honest probabilities exceed in 0.5 % of cases.

    Outcomes are drawn from the probabilities themselves (consistency resampling: Bröcker and
    Smith 2007, "Increasing the reliability of reliability diagrams"); the number of late orders
    in a bin is drawn from the normal distribution that it approaches.

    Args:
        probability: what was predicted, shape (n,).
    """
    bins = np.minimum((probability * ECE_BINS).astype(np.intp), ECE_BINS - 1)
    variance = np.bincount(bins, weights=probability * (1 - probability), minlength=ECE_BINS)
    gaps = np.random.default_rng(_SEED).standard_normal((SIMULATIONS, ECE_BINS))
    errors = np.abs(gaps) @ np.sqrt(variance) / len(probability)
    return float(np.quantile(errors, 1 - _TAIL))


class _Resamples(NamedTuple):
    """Resampled orders, counted by probability.

    Attributes:
        probability: ascending, to three decimals, shape (k,).
        late: late orders of each, shape (m, k).
        punctual: punctual orders of each, shape (m, k).
    """

    probability: Floats
    late: Floats
    punctual: Floats


def _resample(late: Labels, probability: Floats) -> _Resamples:
    """Draw bootstrap resamples.

    How often an order is drawn is taken as Poisson with mean 1, independently of the others:
    Hanley and MacGibbon 2006, "Creating non-parametric bootstrap samples using Poisson
    frequencies". So orders of one probability and one outcome need not be told apart, and with
    probabilities to three decimals the cost does not depend on the number of orders.
    """
    distinct, cell, orders = np.unique(
        probability.round(3), return_inverse=True, return_counts=True
    )
    late_orders = np.bincount(cell, late, len(distinct))
    random = np.random.default_rng(_SEED)
    shape = (RESAMPLES, len(distinct))
    return _Resamples(
        distinct,
        random.poisson(late_orders, shape).astype(np.float64),
        random.poisson(orders - late_orders, shape).astype(np.float64),
    )


def _brier(resamples: _Resamples) -> Floats:
    probability, late, punctual = resamples
    squares = late @ (1 - probability) ** 2 + punctual @ probability**2
    mean: Floats = squares / (late.sum(axis=1) + punctual.sum(axis=1))
    return mean


def _roc_auc(resamples: _Resamples) -> Floats:
    """Share of pairs of a late and a punctual order that are ranked rightly; ties count half."""
    _, late, punctual = resamples
    below = punctual.cumsum(axis=1) - punctual / 2
    share: Floats = (late * below).sum(axis=1) / (late.sum(axis=1) * punctual.sum(axis=1))
    return share


def _interval(figures: Floats) -> Interval:
    low, high = np.quantile(figures, [_TAIL, 1 - _TAIL])
    return Interval(float(low), float(high))


def _promised(validated: Metric, folds: int) -> Interval:
    """Where the mean of a cross-validated metric may lie by chance."""
    reach = NormalDist().inv_cdf(1 - _TAIL) * validated.std / folds**0.5
    return Interval(validated.mean - reach, validated.mean + reach)


def _worse(
    figure: str, live: Interval, promised: Interval, excess: float, margin: float
) -> Iterator[Finding]:
    if excess > 0:
        yield Finding(
            _graded(excess, margin),
            f"{figure} (by chance {live.low:.3f} to {live.high:.3f}); validation "
            f"promised {promised.low:.3f} to {promised.high:.3f}",
        )


def _graded(excess: float, margin: float) -> Verdict:
    return "fail" if excess > margin else "warn"
