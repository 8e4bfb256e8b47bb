"""How good predicted probabilities of being late are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

DECISION: Final = 0.5
"""Probability above which an order is predicted late, for the metrics that need a decision."""

ECE_BINS: Final = 10


class Metric(BaseModel):
    """A metric over the folds of a cross-validation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mean: float
    std: float


def evaluate(late: npt.NDArray[np.int8], probability: npt.NDArray[np.float64]) -> dict[str, float]:
    """All metrics of one set of orders; both classes must be present.

    Args:
        late: true labels, 1 = late, shape (n,).
        probability: probabilities of being late, within (0, 1), shape (n,).
    """
    from sklearn import metrics

    predicted = probability > DECISION
    return {
        "accuracy": float(metrics.accuracy_score(late, predicted)),
        "precision": float(metrics.precision_score(late, predicted, zero_division=0.0)),
        "recall": float(metrics.recall_score(late, predicted)),
        "f1": float(metrics.f1_score(late, predicted)),
        "mcc": float(metrics.matthews_corrcoef(late, predicted)),
        "roc_auc": float(metrics.roc_auc_score(late, probability)),
        "pr_auc": float(metrics.average_precision_score(late, probability)),
        "brier": float(metrics.brier_score_loss(late, probability)),
        "log_loss": float(metrics.log_loss(late, probability)),
        "ece": expected_calibration_error(late, probability),
    }


def expected_calibration_error(
    late: npt.NDArray[np.int8], probability: npt.NDArray[np.float64]
) -> float:
    """Mean gap between predicted and observed lateness, over ten bins of equal width.

    Weighted by the bins' sizes: Naeini et al. 2015, "Obtaining well calibrated probabilities
    using Bayesian binning".
    """
    bins = np.minimum((probability * ECE_BINS).astype(np.intp), ECE_BINS - 1)
    gap = np.bincount(bins, weights=probability - late, minlength=ECE_BINS)
    return float(np.abs(gap).sum() / len(late))


def summarise(folds: Sequence[Mapping[str, float]]) -> dict[str, Metric]:
    """Mean and standard deviation of each metric over folds, to six decimals."""
    return {
        name: Metric(
            mean=round(float(np.mean([fold[name] for fold in folds])), 6),
            std=round(float(np.std([fold[name] for fold in folds], ddof=1)), 6),
        )
        for name in folds[0]
    }
