from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from fulfillment_assets.delay_model.metadata import Validation
from fulfillment_assets.delay_model.metrics import evaluate
from fulfillment_assets.delay_model.training.candidates import DEFAULT
from fulfillment_assets.delay_model.training.classifiers import build_classifier
from fulfillment_assets.delay_model.training.data import TrainingData
from fulfillment_assets.delay_model.training.preparation import PreparedData, prepare
from fulfillment_assets.delay_model.training.validation import OutOfFold, cross_validate

BUILD = partial(build_classifier, DEFAULT.family, DEFAULT.parameters)


@pytest.fixture(scope="module")
def prepared(simulated: TrainingData) -> PreparedData:
    return prepare(simulated)


@pytest.fixture(scope="module")
def predicted(prepared: PreparedData) -> OutOfFold:
    validation = Validation(folds=5, repeats=2, seed=3)
    return cross_validate(BUILD, prepared.matrix, prepared.learnt.late, validation)


def test_every_order_is_predicted_once_in_each_repeat(
    predicted: OutOfFold, prepared: PreparedData
) -> None:
    assert len(predicted.late) == 2 * len(prepared.learnt.late)
    assert predicted.late.sum() == 2 * prepared.learnt.late.sum()
    assert np.bincount(predicted.fold).tolist() == pytest.approx(
        [len(prepared.learnt.late) / 5] * 10, abs=1
    )


def test_every_fold_has_the_same_share_of_late_orders(predicted: OutOfFold) -> None:
    shares = [fold.late.mean() for fold in predicted.folds()]
    assert len(shares) == 10
    assert shares == pytest.approx([predicted.late.mean()] * 10, abs=0.002)


def test_metrics_are_those_of_the_folds(predicted: OutOfFold) -> None:
    single = [evaluate(fold.late, fold.probability)["brier"] for fold in predicted.folds()]
    brier = predicted.metrics()["brier"]
    assert brier.mean == pytest.approx(np.mean(single), abs=1e-6)
    assert brier.std == pytest.approx(np.std(single, ddof=1), abs=1e-6)


def test_predictions_before_calibration_rank_alike_and_are_less_calibrated(
    predicted: OutOfFold,
) -> None:
    after, before = (evaluate(predicted.late, p) for p in (predicted.probability, predicted.raw))
    assert before["roc_auc"] == pytest.approx(after["roc_auc"], abs=0.02)
    assert before["ece"] > after["ece"]


def test_noise_cannot_be_foretold(prepared: PreparedData) -> None:
    """A model that saw the orders that it is measured on would seem to foretell it."""
    noise = np.random.default_rng(1).permutation(prepared.learnt.late)
    validation = Validation(folds=5, repeats=1, seed=3)
    predicted = cross_validate(BUILD, prepared.matrix, noise, validation)
    assert predicted.metrics()["roc_auc"].mean == pytest.approx(0.5, abs=0.05)
