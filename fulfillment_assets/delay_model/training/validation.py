"""Cross-validation: what a model says of orders that it did not learn from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fulfillment_assets.delay_model.calibration import stated
from fulfillment_assets.delay_model.label import Labels
from fulfillment_assets.delay_model.metadata import Validation
from fulfillment_assets.delay_model.metrics import Metric, evaluate, summarise

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class OutOfFold:
    """Predictions for orders that the predicting model had not seen, pooled over all folds.

    Every order stands in it once for each repeat: n = orders x repeats.

    Attributes:
        fold: number of the fold, from 0, shape (n,).
        late: true labels, shape (n,).
        probability: calibrated and stated probability of being late, shape (n,).
        raw: the same before calibration, shape (n,).
    """

    fold: npt.NDArray[np.int64]
    late: Labels
    probability: Floats
    raw: Floats

    def folds(self) -> Iterator[OutOfFold]:
        """Each fold by itself."""
        for number in range(int(self.fold.max()) + 1):
            mine = self.fold == number
            yield OutOfFold(
                self.fold[mine], self.late[mine], self.probability[mine], self.raw[mine]
            )

    def metrics(self) -> dict[str, Metric]:
        """Mean and standard deviation of every metric over the folds."""
        return summarise([evaluate(fold.late, fold.probability) for fold in self.folds()])


def cross_validate(
    build: Callable[[], Any], matrix: Floats, late: Labels, validation: Validation
) -> OutOfFold:
    """Repeated, shuffled, stratified cross-validation, on one thread.

    Args:
        build: makes an unfitted CalibratedClassifierCV with `ensemble=False`; each fold's trees
            and calibration are fitted without the fold's orders.
        matrix: encoded orders, shape (n, 10).
        late: labels, shape (n,).
        validation: number of folds and repeats, and the seed of the folds.
    """
    from sklearn.model_selection import RepeatedStratifiedKFold
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    splits = RepeatedStratifiedKFold(
        n_splits=validation.folds, n_repeats=validation.repeats, random_state=validation.seed
    )
    parts = []
    with threadpool_limits(1):  # many threads make small sums slow, and different by the machine
        for number, (fitted_on, rest) in enumerate(splits.split(matrix, late)):
            classifier = build().fit(matrix[fitted_on], late[fitted_on])
            [calibrated] = classifier.calibrated_classifiers_
            probability = stated(classifier.predict_proba(matrix[rest])[:, 1])
            raw = np.asarray(calibrated.estimator.predict_proba(matrix[rest])[:, 1], np.float64)
            parts.append(OutOfFold(np.full(len(rest), number), late[rest], probability, raw))
    return OutOfFold(
        np.concatenate([part.fold for part in parts]),
        np.concatenate([part.late for part in parts]),
        np.concatenate([part.probability for part in parts]),
        np.concatenate([part.raw for part in parts]),
    )
