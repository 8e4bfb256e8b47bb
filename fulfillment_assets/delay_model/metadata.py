"""What `model_metadata.json` says of a trained model."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict

from fulfillment_assets.delay_model.bands import Band
from fulfillment_assets.delay_model.metrics import Metric
from fulfillment_assets.delay_model.profile import TrainingProfile
from fulfillment_assets.orders.contract import FIELDS, HEADERS, Kind, normalise_header

FORMAT: Final = 2

IDENTIFIERS: Final = ("order_id", "customer_id")
"""Fields of the contract that name an order or who ordered: they can leak the label."""

DATES: Final = tuple(field.name for field in FIELDS if field.kind is Kind.TIMESTAMP)
"""Fields of the contract that tell when: with them a model would learn its own period."""

SourceKind: TypeAlias = Literal["file", "orders", "simulator"]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TrainingSource(_Record):
    """Where training data came from.

    Attributes:
        kind: a file of real orders, the retailer's own delivered orders, or the simulator.
        name: name of the file without its folder, the period of the orders, or the simulator's
            arguments.
        sha256: digest of the file's bytes, or of the features and labels.
    """

    kind: SourceKind
    name: str
    sha256: str


class TrainingSet(TrainingSource):
    """Training data as the model saw them.

    Attributes:
        rows: orders that it learnt from.
        held_out: orders that were left aside by rule; no model learns from them.
        late_share: share of late orders among `rows`.
    """

    rows: int
    held_out: int
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


class ComparedCandidate(_Record):
    """How a candidate did in the search.

    Attributes:
        name: the candidate's name.
        family: kind of model.
        eligible: it could have been chosen; the others are there for comparison.
        brier: mean and standard deviation over the folds.
        roc_auc: the same.
    """

    name: str
    family: str
    eligible: bool
    brier: Metric
    roc_auc: Metric


class Search(_Record):
    """The comparison from which the candidate was chosen.

    Attributes:
        validation: how the candidates were measured, all on the same folds, which are not those
            of the model's own metrics.
        candidates: in declared order, the simplest first.
    """

    validation: Validation
    candidates: tuple[ComparedCandidate, ...]


class HeldOut(_Record):
    """The final model on the orders that training left aside.

    They took part neither in the choice of the candidate nor in its fitting nor in its
    calibration.

    Attributes:
        rows: how many they are.
        late_share: share of late orders among them.
        metrics: as of `metrics.evaluate`.
    """

    rows: int
    late_share: float
    metrics: dict[str, float]


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
        candidate: name of the setting that was trained.
        hyperparameters: its hyperparameters, of LightGBM.
        search: how it was chosen; None when it was given.
        training_data: what it was trained on.
        profile: how those orders are distributed; tells what is usual, and what drifts.
        validation: how the metrics were measured.
        metrics: out-of-sample mean and standard deviation over the folds.
        held_out: the final model on orders that were left aside; None when they were too few.
        bands: size and measured precision of each severity, out of sample.
        library_versions: of the libraries that trained it.
        golden_rows: orders that the loaded model must score as it did when trained.
        artifacts: file name -> sha256.
    """

    format: Literal[2]
    version: str
    label: Label
    features: tuple[str, ...]
    categories: dict[str, tuple[str, ...]]
    unseen_categories: dict[str, dict[str, str]]
    thresholds: dict[str, float]
    candidate: str
    hyperparameters: dict[str, int | float]
    search: Search | None
    training_data: TrainingSet
    profile: TrainingProfile
    validation: Validation
    metrics: dict[str, Metric]
    held_out: HeldOut | None
    bands: tuple[Band, ...]
    library_versions: dict[str, str]
    golden_rows: tuple[GoldenRow, ...]
    artifacts: dict[str, str]


def id_used(metadata: ModelMetadata) -> bool:
    """Whether an identifier or a date is among a model's features."""
    return any(canonical_name(name) in (*IDENTIFIERS, *DATES) for name in metadata.features)


def canonical_name(column: str) -> str:
    """The contract's name of a column, or the column's own where the contract has none."""
    return HEADERS.get(normalise_header(column), column)
