"""Scoring: probability of being late, and its reasons, for a batch or for one order.

The scorer is built, at load, from the fitted preprocessor and classifier: category codes from
the one, lookup tables of the trees and the isotonic map from the other. Batch and single order
go through the same tables in the same order of additions, so they agree bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fulfillment_assets.delay_model.artifacts import ModelFiles, open_artifacts, read_files
from fulfillment_assets.delay_model.calibration import isotonic_map, stated, stated_one
from fulfillment_assets.delay_model.errors import ArtifactError
from fulfillment_assets.delay_model.features import encoder_of
from fulfillment_assets.delay_model.metadata import ModelMetadata
from fulfillment_assets.delay_model.reasons import (
    MOST,
    Reason,
    Reasons,
    top_reasons,
    top_reasons_of_row,
)
from fulfillment_assets.delay_model.tree_tables import build_tables

BLOCK_ROWS: Final = 32_768
"""Orders scored at a time: their columns stay in the processor's cache."""

GOLDEN_TOLERANCE: Final = 1.5e-6
"""How far a golden row may be off: one unit of the last stated decimal."""


@dataclass(frozen=True, slots=True)
class Scores:
    """What the model says of n orders.

    Attributes:
        probability: of being late, within [0.001, 0.999], to six decimals; shape (n,).
        reasons: what raised each order's risk most.
    """

    probability: npt.NDArray[np.float64]
    reasons: Reasons


@dataclass(frozen=True, slots=True)
class Score:
    """What the model says of one order.

    Attributes:
        probability: of being late, within [0.001, 0.999], to six decimals.
        reasons: up to three, the greatest first.
    """

    probability: float
    reasons: tuple[Reason, ...]


class Contributions(NamedTuple):
    """SHAP values in uncalibrated log-odds: `base_value + values.sum(axis=1)` is the margin.

    Attributes:
        values: shape (n, 10), columns in contract order.
        base_value: expected margin over the training data.
    """

    values: npt.NDArray[np.float64]
    base_value: float


class DelayScorer:
    """A loaded model.

    Attributes:
        metadata: what is known of the model.
        version: its name; every prediction carries it.
    """

    def __init__(self, classifier: Any, preprocessor: Any, metadata: ModelMetadata) -> None:
        """Build the lookup tables; use `load` for stored artefacts.

        Args:
            classifier: a fitted CalibratedClassifierCV with one isotonically calibrated
                LightGBM classifier.
            preprocessor: its fitted ColumnTransformer.
            metadata: the model's description.
        """
        [calibrated] = classifier.calibrated_classifiers_
        [calibrator] = calibrated.calibrators
        self.metadata = metadata
        self.version = metadata.version
        self._encoder = encoder_of(preprocessor, metadata.unseen_categories)
        self._tables = build_tables(calibrated.estimator.booster_)
        self._calibrate = isotonic_map(calibrator)

    @classmethod
    def load(cls, models_dir: Path) -> Self:
        """Load the model of a folder; see `open`."""
        return cls.open(read_files(models_dir))

    @classmethod
    def open(cls, files: ModelFiles) -> Self:
        """Open a model and hold it against its golden rows.

        Raises:
            ArtifactError: a file is missing, altered, unreadable or made for other code, or the
                model no longer scores as it did when it was trained.
        """
        artifacts = open_artifacts(files)
        scorer = cls(artifacts.classifier, artifacts.preprocessor, artifacts.metadata)
        scorer._check_golden_rows()
        return scorer

    def score(self, orders: pa.Table) -> Scores:
        """Score a batch of valid orders.

        Args:
            orders: n rows with the ten feature columns of the contract: canonical categories
                as text, numbers as integers or floats. Other columns are ignored.

        Raises:
            FeatureError: an order has no complete set of legal features.
        """
        count = orders.num_rows
        probability = np.empty(count)
        feature = np.empty((count, MOST), np.int8)
        contribution = np.empty((count, MOST))
        for start in range(0, count, BLOCK_ROWS):
            block = slice(start, start + BLOCK_ROWS)
            matrix = self._encoder.matrix(orders.slice(start, BLOCK_ROWS), first_row=start + 1)
            contributions, margin = self._tables.lookup(matrix)
            probability[block] = stated(self._calibrate(margin))
            reasons = top_reasons(contributions)
            feature[block], contribution[block] = reasons.feature, reasons.contribution
        return Scores(probability, Reasons(feature, contribution))

    def score_one(self, order: Mapping[str, str | int | float]) -> Score:
        """Score one valid order: the same bits as its row of a batch.

        Args:
            order: the ten features by name; other keys are ignored.

        Raises:
            FeatureError: a feature is missing or illegal.
        """
        contributions, margin = self._tables.lookup_row(self._encoder.row(order))
        return Score(stated_one(self._calibrate.at(margin)), top_reasons_of_row(contributions))

    def matrix(self, orders: pa.Table) -> npt.NDArray[np.float64]:
        """The model's input for a batch, shape (n, 10); equals the preprocessor's output."""
        return self._encoder.matrix(orders)

    def margins(self, matrix: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Uncalibrated log-odds of being late, shape (n,)."""
        return self._tables.lookup(matrix)[1]

    def probabilities(self, matrix: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Calibrated probabilities of being late, neither bounded nor rounded, shape (n,)."""
        return self._calibrate(self.margins(matrix))

    def contributions(self, matrix: npt.NDArray[np.float64]) -> Contributions:
        """SHAP values of every feature for a batch of encoded orders."""
        values, _ = self._tables.lookup(matrix)
        return Contributions(values.T, self._tables.base_value)

    def _check_golden_rows(self) -> None:
        for number, golden in enumerate(self.metadata.golden_rows, start=1):
            scored = self.score_one(golden.order).probability
            if not abs(scored - golden.probability) <= GOLDEN_TOLERANCE:
                raise ArtifactError(
                    f"The model {self.version} does not score as it did when it was trained: "
                    f"golden row {number} should be {golden.probability}, is {scored}. Install "
                    f"the libraries it was trained with ({_listed(self.metadata)}), or train "
                    "again with `fulfillment train`."
                )


def _listed(metadata: ModelMetadata) -> str:
    return ", ".join(f"{name} {version}" for name, version in metadata.library_versions.items())
