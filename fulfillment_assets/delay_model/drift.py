"""Drift: how far orders are from those that a model learnt from, feature by feature.

Two measures must agree before a feature is called drifted. The population stability index says
how much its distribution moved, whatever the number of orders; on few orders it is noise. The
chi-square test says whether chance explains the move; on many orders it finds every trifle.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from fulfillment_assets.delay_model.features import SAME_BLOCK
from fulfillment_assets.delay_model.profile import TrainingProfile
from fulfillment_assets.delay_model.verdict import Finding, Verdict

WARN_ABOVE: Final = 0.1
FAIL_ABOVE: Final = 0.25
"""The customary limits of the index: Siddiqi 2006, "Credit Risk Scorecards", chapter 8."""

SIGNIFICANCE: Final = 0.001
"""A move that chance makes more often than this is no drift, however large its index."""

MINIMUM_ORDERS: Final = 300
"""Below this the index of a feature in ten bins reaches the warning limit by chance alone."""

SMALLEST_SHARE: Final = 1e-4
"""Stands for the share of an empty bin, whose logarithm would be infinite."""

Shares = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Bins:
    """How a feature's values are sorted, and how the training orders lie in the bins.

    Attributes:
        names: of the bins, in words.
        shares: of the training orders, one for each bin; they sum to 1.
    """

    names: tuple[str, ...]
    shares: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ChiSquare:
    """Pearson's chi-square test that two samples are of one distribution."""

    statistic: float
    degrees_of_freedom: int
    p_value: float


@dataclass(frozen=True, slots=True)
class FeatureDrift:
    """How far one feature has moved.

    Attributes:
        feature: its name in the order contract.
        orders: how many orders were held against the training orders.
        psi: population stability index.
        test: the chi-square test.
        finding: the verdict, and the move in words.
    """

    feature: str
    orders: int
    psi: float
    test: ChiSquare
    finding: Finding

    @property
    def verdict(self) -> Verdict:
        """What came of it."""
        return self.finding.verdict


def feature_bins(profile: TrainingProfile) -> dict[str, Bins]:
    """The bins of every feature of a training profile.

    A number has one bin more than edges, from below the first to above the last; a category
    has the choices of the contract, in the order of the profile.
    """
    numbers = {
        name: Bins(_ranges(number.edges), number.shares) for name, number in profile.numbers.items()
    }
    categories = {
        name: Bins(tuple(shares), tuple(shares.values()))
        for name, shares in profile.categories.items()
    }
    return numbers | categories


def feature_drift(
    feature: str, bins: Bins, training_rows: int, counts: npt.ArrayLike
) -> FeatureDrift:
    """Hold orders against the training orders, by one feature.

    Args:
        feature: its name.
        bins: its bins.
        training_rows: how many orders the model learnt from.
        counts: orders in each bin, shape (k,), at least one order in all.
    """
    bins, found = _one_name_each(feature, bins, np.asarray(counts, np.int64))
    orders = int(found.sum())
    expected = np.asarray(bins.shares)
    psi = population_stability_index(expected, found / orders)
    test = chi_square(expected * training_rows, found)
    return FeatureDrift(
        feature, orders, psi, test, _judge(feature, bins, psi, test, found / orders, orders)
    )


def population_stability_index(expected: Shares, actual: Shares) -> float:
    """Sum of (actual - expected) * ln(actual / expected) over the bins.

    The symmetric Kullback-Leibler divergence; Siddiqi 2006. Empty bins count as
    `SMALLEST_SHARE`.

    Args:
        expected: share of each bin before, shape (k,).
        actual: share of each bin now, shape (k,).
    """
    before, now = np.maximum(expected, SMALLEST_SHARE), np.maximum(actual, SMALLEST_SHARE)
    return float(np.sum((now - before) * np.log(now / before)))


def chi_square(training: Shares, found: npt.NDArray[np.int64]) -> ChiSquare:
    """Pearson's test of homogeneity of two samples, without continuity correction.

    The training orders are a sample, too: held against their shares as if these were exact,
    two samples of one distribution would be told apart too often.

    Args:
        training: training orders in each bin, shape (k,).
        found: orders in each bin, shape (k,).
    """
    from scipy.stats import chi2_contingency

    table = np.stack([training, found])
    result = chi2_contingency(table[:, table.sum(axis=0) > 0], correction=False)
    return ChiSquare(float(result.statistic), int(result.dof), float(result.pvalue))


def _one_name_each(
    feature: str, bins: Bins, counts: npt.NDArray[np.int64]
) -> tuple[Bins, npt.NDArray[np.int64]]:
    """Count a category under the other name that the training orders had for it.

    An order of block E is scored as one of F where the training orders knew F alone.
    """
    shares = dict(zip(bins.names, bins.shares, strict=True))
    found: Mapping[str, int] = dict(zip(bins.names, counts.tolist(), strict=True))
    moved = {
        name: same
        for name, same in SAME_BLOCK.get(feature, {}).items()
        if shares[name] == 0 and shares[same] > 0
    }
    kept = [name for name in bins.names if name not in moved]
    merged = [
        found[name] + sum(found[other] for other, same in moved.items() if same == name)
        for name in kept
    ]
    return Bins(tuple(kept), tuple(shares[name] for name in kept)), np.array(merged)


def _judge(
    feature: str, bins: Bins, psi: float, test: ChiSquare, actual: Shares, orders: int
) -> Finding:
    if orders < MINIMUM_ORDERS:
        return Finding(
            "too_few", f"{feature}: {orders} orders are too few to tell; {MINIMUM_ORDERS} are not"
        )
    limit = FAIL_ABOVE if psi > FAIL_ABOVE else WARN_ABOVE
    if psi <= limit:
        return Finding("ok", f"{feature}: PSI {psi:.3f}")
    move = f"{feature}: PSI {psi:.2f} is above {limit}"
    if test.p_value >= SIGNIFICANCE:
        return Finding("ok", f"{move}, but chance explains it (p = {test.p_value:.3f})")
    return Finding(
        "fail" if limit == FAIL_ABOVE else "warn", f"{move}: {_greatest_move(bins, actual)}"
    )


def _greatest_move(bins: Bins, actual: Shares) -> str:
    expected = np.asarray(bins.shares)
    parts = [
        population_stability_index(expected[[bin_]], actual[[bin_]]) for bin_ in range(len(actual))
    ]
    most = int(np.argmax(parts))
    return (
        f"{bins.names[most]} is {actual[most]:.1%} of the orders, {expected[most]:.1%} in training"
    )


def _ranges(edges: tuple[float, ...]) -> tuple[str, ...]:
    if not edges:
        return ("any value",)
    between = (f"{low:.10g} to below {high:.10g}" for low, high in pairwise(edges))
    return (f"below {edges[0]:.10g}", *between, f"{edges[-1]:.10g} or more")
