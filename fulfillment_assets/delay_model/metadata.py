"""What `model_metadata.json` says of a trained model."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from fulfillment_assets.delay_model.bands import Band
from fulfillment_assets.delay_model.metrics import Metric

FORMAT: Final = 1


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TrainingSource(_Record):
    """Where training data came from.

    Attributes:
        kind: a file of real orders, or the simulator.
        name: name of the file without its folder, or the simulator's arguments.
        sha256: digest of the file's bytes, or of the simulated features and labels.
    """

    kind: Literal["file", "simulator"]
    name: str
    sha256: str


class TrainingSet(TrainingSource):
    """Training data as the model saw them."""

    rows: int
    late_share: float


class Label(_Record):
    """What the predicted probability is the probability of."""

    name: str
    meaning: str


class Validation(_Record):
    """How the metrics were measured: repeated, shuffled, stratified cross-validation.

    In each fold, trees and calibration are fitted without the fold's orders.
    """

    folds: int
    repeats: int
    seed: int


class GoldenRow(_Record):
    """A synthetic order and the probability that the trained model gave it."""

    order: dict[str, str | float]
    probability: float


class ModelMetadata(_Record):
    """A trained model, described.

    Attributes:
        format: version of this record's layout.
        version: name of the model, derived from its artefacts' bytes alone.
        label: what is predicted.
        features: the model's inputs, in order.
        categories: categories seen in training, in the order of their codes.
        unseen_categories: per feature, contract category without training rows -> the
            category as which it is scored.
        thresholds: severity -> probability above which an order has it.
        hyperparameters: of LightGBM.
        training_data: what it was trained on.
        validation: how the metrics were measured.
        metrics: out-of-sample mean and standard deviation over the folds.
        bands: size and measured precision of each severity, out of sample.
        library_versions: of the libraries that trained it.
        golden_rows: orders that the loaded model must score as it did when trained.
        artifacts: file name -> sha256.
    """

    format: Literal[1]
    version: str
    label: Label
    features: tuple[str, ...]
    categories: dict[str, tuple[str, ...]]
    unseen_categories: dict[str, dict[str, str]]
    thresholds: dict[str, float]
    hyperparameters: dict[str, int | float]
    training_data: TrainingSet
    validation: Validation
    metrics: dict[str, Metric]
    bands: tuple[Band, ...]
    library_versions: dict[str, str]
    golden_rows: tuple[GoldenRow, ...]
    artifacts: dict[str, str]
