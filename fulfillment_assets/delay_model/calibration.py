"""The isotonic map from a margin to a probability, as fitted by scikit-learn."""

from __future__ import annotations

from bisect import bisect_right
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

LOWEST: Final = 0.001
HIGHEST: Final = 0.999
DECIMALS: Final = 6
_TICKS: Final = 10.0**DECIMALS


class IsotonicMap:
    """Piecewise linear and non-decreasing, constant outside the margins seen in training.

    It interpolates between the fitted points of `IsotonicRegression(out_of_bounds="clip")`. One
    margin and a batch of them go through the same IEEE operations, so they agree bit for bit.
    """

    def __init__(self, margins: Floats, probabilities: Floats) -> None:
        """Take the fitted points: ascending margins and their probabilities, shape (k,)."""
        rise = np.diff(probabilities) / np.diff(margins)
        self._x = margins
        self._y = probabilities
        self._slope = np.append(rise, 0.0)
        self._x_list: list[float] = margins.tolist()
        self._y_list: list[float] = probabilities.tolist()
        self._slope_list: list[float] = self._slope.tolist()

    def __call__(self, margin: Floats) -> Floats:
        """Probabilities of margins, shape (n,)."""
        inside = np.clip(margin, self._x[0], self._x[-1])
        piece = np.searchsorted(self._x, inside, side="right") - 1
        return self._y[piece] + self._slope[piece] * (inside - self._x[piece])

    def at(self, margin: float) -> float:
        """Probability of one margin."""
        inside = min(max(margin, self._x_list[0]), self._x_list[-1])
        piece = bisect_right(self._x_list, inside) - 1
        return self._y_list[piece] + self._slope_list[piece] * (inside - self._x_list[piece])


def isotonic_map(calibrator: Any) -> IsotonicMap:
    """The map of a fitted `sklearn.isotonic.IsotonicRegression`."""
    return IsotonicMap(
        np.asarray(calibrator.X_thresholds_, np.float64),
        np.asarray(calibrator.y_thresholds_, np.float64),
    )


def stated(probability: Floats) -> Floats:
    """Probabilities as they are stated: within [0.001, 0.999], to six decimals.

    Isotonic regression says 0 and 1 where the training data had no counter-example; no finite
    amount of data warrants that certainty.
    """
    return np.rint(np.clip(probability, LOWEST, HIGHEST) * _TICKS) / _TICKS


def stated_one(probability: float) -> float:
    """The same for one probability, bit for bit."""
    return round(min(max(probability, LOWEST), HIGHEST) * _TICKS) / _TICKS
