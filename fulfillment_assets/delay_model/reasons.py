"""The reasons of a prediction: what raised its risk most.

A reason is a feature with a positive SHAP value: in log-odds of being late, before calibration,
against the average order of the training data. What lowers the risk is no reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from fulfillment_assets.orders.contract import FEATURES

MOST: Final = 3
"""How many reasons a prediction has at most."""

NO_FEATURE: Final = -1

DECIMALS: Final = 4
_TICKS: Final = 10.0**DECIMALS
_SLOTS: Final = 16  # room for a feature's index in a sorting key
_LAST: Final = _SLOTS - 1


class Reason(NamedTuple):
    """One reason of one prediction.

    Attributes:
        feature: name of the feature.
        contribution: what it adds to the log-odds of being late, > 0, to four decimals.
    """

    feature: str
    contribution: float


@dataclass(frozen=True, slots=True)
class Reasons:
    """The reasons of n predictions, the greatest first.

    Attributes:
        feature: index into `contract.FEATURES`, `NO_FEATURE` where there is none; shape (n, 3).
        contribution: uncalibrated log-odds, > 0, to four decimals, descending; 0 where there is
            no reason; shape (n, 3).
    """

    feature: npt.NDArray[np.int8]
    contribution: npt.NDArray[np.float64]

    def take(self, rows: npt.NDArray[np.intp]) -> Reasons:
        """The reasons of some of the predictions, by index."""
        return Reasons(self.feature[rows], self.contribution[rows])

    def of(self, row: int) -> tuple[Reason, ...]:
        """The reasons of one prediction."""
        return tuple(
            Reason(FEATURES[feature], contribution)
            for feature, contribution in zip(
                self.feature[row].tolist(), self.contribution[row].tolist(), strict=True
            )
            if feature != NO_FEATURE
        )


def top_reasons(contributions: npt.NDArray[np.float64]) -> Reasons:
    """The greatest positive contributions of each order.

    They are ranked as rounded; of equal ones, the first in contract order comes first.

    Args:
        contributions: SHAP values, shape (features, n), at most 16 features.
    """
    # One integer holds the rounded contribution and, below it, the feature: three running
    # maxima over the features then rank and name the reasons at once.
    best = [np.zeros(contributions.shape[1], np.int64) for _ in range(MOST)]
    for feature, contribution in enumerate(contributions):
        key = np.rint(contribution * _TICKS).astype(np.int64) * _SLOTS + (_LAST - feature)
        for rank in best:
            lower = np.minimum(key, rank)
            np.maximum(key, rank, out=rank)
            key = lower
    keys = np.stack(best, axis=1)
    present = keys >= _SLOTS
    return Reasons(
        feature=np.where(present, _LAST - keys % _SLOTS, NO_FEATURE).astype(np.int8),
        contribution=np.where(present, keys // _SLOTS, 0) / _TICKS,
    )


def top_reasons_of_row(contributions: Sequence[float]) -> tuple[Reason, ...]:
    """The same for one order: SHAP values in contract order."""
    ranked = sorted(
        (-round(contribution * _TICKS), feature)
        for feature, contribution in enumerate(contributions)
        if contribution > 0
    )
    return tuple(
        Reason(FEATURES[feature], -ticks / _TICKS) for ticks, feature in ranked[:MOST] if ticks
    )
