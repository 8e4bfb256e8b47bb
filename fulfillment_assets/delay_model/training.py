"""Training: a small LightGBM, isotonically calibrated, honestly measured.

The same data give the same bytes: seeds are fixed, LightGBM runs deterministically on one
thread, and nothing in an artefact depends on the clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from fulfillment_assets.delay_model import label
from fulfillment_assets.delay_model.artifacts import (
    CLASSIFIER_FILE,
    PREPROCESSOR_FILE,
    dump,
    library_versions,
    sha256,
    write_artifacts,
)
from fulfillment_assets.delay_model.bands import DEFAULT_THRESHOLDS, Band, measure_bands
from fulfillment_assets.delay_model.calibration import stated
from fulfillment_assets.delay_model.errors import TrainingDataError
from fulfillment_assets.delay_model.features import (
    FeatureEncoder,
    build_preprocessor,
    learn_encoder,
)
from fulfillment_assets.delay_model.metadata import (
    FORMAT,
    GoldenRow,
    Label,
    ModelMetadata,
    TrainingSet,
    Validation,
)
from fulfillment_assets.delay_model.metrics import Metric, evaluate, summarise
from fulfillment_assets.delay_model.reference_orders import golden_orders
from fulfillment_assets.delay_model.training_data import TrainingData
from fulfillment_assets.orders.contract import FEATURES

SEED: Final = 17
FOLDS: Final = 5
REPEATS: Final = 5
MINIMUM_PER_CLASS: Final = 100
"""Fewer late or punctual orders than this cannot be calibrated in a meaningful way."""

HYPERPARAMETERS: Final[dict[str, Any]] = {
    "n_estimators": 120,
    "learning_rate": 0.1,
    "num_leaves": 6,
    "min_child_samples": 40,
    "reg_lambda": 1.0,
    "subsample": 0.9,
    "subsample_freq": 1,
    "colsample_bytree": 0.8,
    "max_bin": 63,
    "min_split_gain": 2.0,
}


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """A fitted model that is not stored yet.

    Attributes:
        classifier: the fitted CalibratedClassifierCV.
        preprocessor: the fitted ColumnTransformer whose output the classifier takes.
        encoder: the same encoding, with the stand-ins of unseen categories.
        training_set: what it was trained on.
        validation: how `metrics` and `bands` were measured.
        metrics: out-of-sample metrics over the folds.
        bands: out-of-sample size and precision of each severity.
    """

    classifier: Any
    preprocessor: Any
    encoder: FeatureEncoder
    training_set: TrainingSet
    validation: Validation
    metrics: dict[str, Metric]
    bands: tuple[Band, ...]


def train(data: TrainingData, *, repeats: int = REPEATS) -> TrainedModel:
    """Cross-validate the model on the data, then fit it on all of them.

    Args:
        data: orders with known outcomes.
        repeats: how often the five-fold cross-validation is repeated with other folds.

    Raises:
        TrainingDataError: there are too few late or too few punctual orders.
    """
    _require_both_classes(data.late)
    encoder = learn_encoder(data.features)
    preprocessor = build_preprocessor(encoder)
    matrix = preprocessor.fit_transform(encoder.frame(data.features))
    validation = Validation(folds=FOLDS, repeats=repeats, seed=SEED)
    metrics, bands = _cross_validate(matrix, data.late, validation)
    return TrainedModel(
        classifier=build_classifier().fit(matrix, data.late),
        preprocessor=preprocessor,
        encoder=encoder,
        training_set=TrainingSet(
            **data.source.model_dump(),
            rows=len(data.late),
            late_share=round(float(data.late.mean()), 6),
        ),
        validation=validation,
        metrics=metrics,
        bands=bands,
    )


def save(model: TrainedModel, models_dir: Path) -> ModelMetadata:
    """Store a model in a folder, in place of the one that is there.

    Returns:
        The stored metadata. The version is derived from the artefacts' bytes, so equal data
        give an equal version.
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
        hyperparameters=HYPERPARAMETERS,
        training_data=model.training_set,
        validation=model.validation,
        metrics=model.metrics,
        bands=model.bands,
        library_versions=library_versions(),
        golden_rows=_golden_rows(model),
        artifacts={name: sha256(content) for name, content in pickles.items()},
    )
    write_artifacts(models_dir, pickles, metadata)
    return metadata


def build_classifier() -> Any:
    """The unfitted classifier: LightGBM inside scikit-learn's cross-validated calibration.

    One set of trees is fitted on all rows; the isotonic map is fitted on margins that other
    trees gave out of fold.
    """
    from lightgbm import LGBMClassifier
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.model_selection import StratifiedKFold

    trees = LGBMClassifier(
        **HYPERPARAMETERS,
        random_state=SEED,
        deterministic=True,
        force_row_wise=True,
        n_jobs=1,
        verbose=-1,
    )
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=SEED)
    return CalibratedClassifierCV(trees, method="isotonic", cv=folds, ensemble=False)


def _cross_validate(
    matrix: npt.NDArray[np.float64], late: label.Labels, validation: Validation
) -> tuple[dict[str, Metric], tuple[Band, ...]]:
    from sklearn.model_selection import RepeatedStratifiedKFold

    splits = RepeatedStratifiedKFold(
        n_splits=validation.folds, n_repeats=validation.repeats, random_state=validation.seed
    )
    truths, predictions = [], []
    for fitted_on, held_out in splits.split(matrix, late):
        classifier = build_classifier().fit(matrix[fitted_on], late[fitted_on])
        truths.append(late[held_out])
        predictions.append(stated(classifier.predict_proba(matrix[held_out])[:, 1]))
    metrics = summarise([evaluate(*fold) for fold in zip(truths, predictions, strict=True)])
    bands = measure_bands(np.concatenate(predictions), np.concatenate(truths), DEFAULT_THRESHOLDS)
    return metrics, bands


def _golden_rows(model: TrainedModel) -> tuple[GoldenRow, ...]:
    """Scored by scikit-learn's own path, so that loading also verifies the fast one."""
    orders = golden_orders()
    matrix = model.preprocessor.transform(model.encoder.frame(orders))
    probability = stated(model.classifier.predict_proba(matrix)[:, 1])
    return tuple(
        GoldenRow(order=order, probability=scored)
        for order, scored in zip(orders.to_pylist(), probability.tolist(), strict=True)
    )


def _require_both_classes(late: label.Labels) -> None:
    counts = {
        "late": int((late == label.LATE).sum()),
        "on time": int((late == label.ON_TIME).sum()),
    }
    for outcome, count in counts.items():
        if count < MINIMUM_PER_CLASS:
            raise TrainingDataError(
                f"The training data hold {count} orders that were {outcome}; at least "
                f"{MINIMUM_PER_CLASS} are needed to learn the difference."
            )
