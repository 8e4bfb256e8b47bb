"""Training: a small LightGBM, isotonically calibrated, honestly measured.

The same data give the same bytes: seeds are fixed, LightGBM runs deterministically on one
thread, and nothing in an artefact depends on the clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from fulfillment_assets.delay_model import label
from fulfillment_assets.delay_model.artifacts import (
    CLASSIFIER_FILE,
    METADATA_FILE,
    PREPROCESSOR_FILE,
    ModelFiles,
    dump,
    library_versions,
    read_metadata,
    sha256,
    write_files,
)
from fulfillment_assets.delay_model.bands import DEFAULT_THRESHOLDS, Band, measure_bands
from fulfillment_assets.delay_model.calibration import stated
from fulfillment_assets.delay_model.errors import DelayModelError
from fulfillment_assets.delay_model.features import FeatureEncoder
from fulfillment_assets.delay_model.label import Labels
from fulfillment_assets.delay_model.metadata import (
    FORMAT,
    GoldenRow,
    HeldOut,
    Label,
    ModelMetadata,
    Search,
    TrainingSet,
    Validation,
)
from fulfillment_assets.delay_model.metrics import Metric, evaluate
from fulfillment_assets.delay_model.profile import TrainingProfile, learn_profile
from fulfillment_assets.delay_model.reference_orders import golden_orders
from fulfillment_assets.delay_model.training.candidates import (
    DEFAULT,
    Candidate,
    CandidateResult,
    search_record,
)
from fulfillment_assets.delay_model.training.classifiers import FOLDS, SEED, build_classifier
from fulfillment_assets.delay_model.training.data import TrainingData
from fulfillment_assets.delay_model.training.preparation import PreparedData, prepare
from fulfillment_assets.delay_model.training.validation import OutOfFold, cross_validate
from fulfillment_assets.orders.contract import FEATURES

REPEATS: Final = 5
MINIMUM_HELD_OUT: Final = 30
"""Fewer held-out orders of either class than this say nothing of a model."""


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """A fitted model that is not stored yet.

    Attributes:
        classifier: the fitted CalibratedClassifierCV.
        preprocessor: the fitted ColumnTransformer whose output the classifier takes.
        encoder: the same encoding, with the stand-ins of unseen categories.
        candidate: the setting that was trained.
        search: how it was chosen; None when it was given.
        training_set: what it was trained on.
        profile: how those orders are distributed.
        validation: how `metrics` and `bands` were measured.
        out_of_fold: the predictions that they were measured on.
        metrics: out-of-sample metrics over the folds.
        held_out: metrics on the orders that were left aside; None when they are too few.
        bands: out-of-sample size and precision of each severity.
    """

    classifier: Any
    preprocessor: Any
    encoder: FeatureEncoder
    candidate: Candidate
    search: Search | None
    training_set: TrainingSet
    profile: TrainingProfile
    validation: Validation
    out_of_fold: OutOfFold
    metrics: dict[str, Metric]
    held_out: HeldOut | None
    bands: tuple[Band, ...]


def train(
    data: TrainingData,
    *,
    candidate: Candidate = DEFAULT,
    search: Sequence[CandidateResult] = (),
    repeats: int = REPEATS,
) -> TrainedModel:
    """Cross-validate a candidate on the data, then fit it on all of them.

    The share that is held out by rule (see `split`) is left aside first; the fitted model is
    measured on it in the end.

    Args:
        data: orders with known outcomes.
        candidate: the setting to train; one that is eligible.
        search: the comparison that it was chosen from, to be told in the metadata.
        repeats: how often the five-fold cross-validation is repeated with other folds.

    Raises:
        TrainingDataError: there are too few late or too few punctual orders.
        DelayModelError: the candidate is not eligible.
    """
    if not candidate.eligible:
        raise DelayModelError(
            f"The candidate {candidate.name} is there for comparison only and cannot be served."
        )
    prepared = prepare(data)
    late = prepared.learnt.late
    build = partial(build_classifier, candidate.family, candidate.parameters)
    validation = Validation(folds=FOLDS, repeats=repeats, seed=SEED)
    predicted = cross_validate(build, prepared.matrix, late, validation)
    classifier = build().fit(prepared.matrix, late)
    return TrainedModel(
        classifier=classifier,
        preprocessor=prepared.preprocessor,
        encoder=prepared.encoder,
        candidate=candidate,
        search=search_record(search),
        training_set=TrainingSet(
            **data.source.model_dump(),
            rows=len(late),
            held_out=len(prepared.held_out.late),
            late_share=_late_share(late),
        ),
        profile=learn_profile(prepared.learnt.features),
        validation=validation,
        out_of_fold=predicted,
        metrics=predicted.metrics(),
        held_out=_evaluate_held_out(classifier, prepared),
        bands=measure_bands(predicted.probability, predicted.late, DEFAULT_THRESHOLDS),
    )


def save(model: TrainedModel, models_dir: Path) -> ModelMetadata:
    """Store a model in a folder, in place of the one that is there; return its metadata."""
    files = package(model)
    write_files(models_dir, files)
    return read_metadata(files)


def package(model: TrainedModel) -> ModelFiles:
    """A model as files.

    The version is derived from the artefacts' bytes, so equal data give an equal version.
    """
    pickles = {
        CLASSIFIER_FILE: dump(model.classifier),
        PREPROCESSOR_FILE: dump(model.preprocessor),
    }
    metadata = ModelMetadata(
        format=FORMAT,
        version=f"lgbm-{sha256(b''.join(pickles.values()))[:12]}",
        label=Label(name=label.IS_LATE, meaning=label.MEANING),
        features=FEATURES,
        categories=dict(model.encoder.categories),
        unseen_categories={name: dict(to) for name, to in model.encoder.unseen.items()},
        thresholds=dict(DEFAULT_THRESHOLDS),
        candidate=model.candidate.name,
        hyperparameters=model.candidate.parameters,
        search=model.search,
        training_data=model.training_set,
        profile=model.profile,
        validation=model.validation,
        metrics=model.metrics,
        held_out=model.held_out,
        bands=model.bands,
        library_versions=library_versions(),
        golden_rows=_golden_rows(model),
        artifacts={name: sha256(content) for name, content in pickles.items()},
    )
    description = metadata.model_dump_json(indent=2).encode() + b"\n"
    return ModelFiles(metadata.version, {**pickles, METADATA_FILE: description})


def _evaluate_held_out(classifier: Any, prepared: PreparedData) -> HeldOut | None:
    orders, late = prepared.held_out.features, prepared.held_out.late
    if np.bincount(late, minlength=2).min() < MINIMUM_HELD_OUT:
        return None
    matrix = prepared.preprocessor.transform(prepared.encoder.frame(orders))
    measured = evaluate(late, stated(classifier.predict_proba(matrix)[:, 1]))
    return HeldOut(
        rows=len(late),
        late_share=_late_share(late),
        metrics={name: round(value, 6) for name, value in measured.items()},
    )


def _late_share(late: Labels) -> float:
    return round(float(late.mean()), 6)


def _golden_rows(model: TrainedModel) -> tuple[GoldenRow, ...]:
    """Scored by scikit-learn's own path, so that loading also verifies the fast one."""
    orders = golden_orders()
    matrix = model.preprocessor.transform(model.encoder.frame(orders))
    probability = stated(model.classifier.predict_proba(matrix)[:, 1])
    return tuple(
        GoldenRow(order=order, probability=scored)
        for order, scored in zip(orders.to_pylist(), probability.tolist(), strict=True)
    )
