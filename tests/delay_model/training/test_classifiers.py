from __future__ import annotations

import sys

import numpy as np
import pytest

from fulfillment_assets.delay_model.errors import DelayModelError
from fulfillment_assets.delay_model.metrics import evaluate
from fulfillment_assets.delay_model.training.candidates import SEARCH_SPACE, XGBOOST, Candidate
from fulfillment_assets.delay_model.training.classifiers import build_classifier
from fulfillment_assets.delay_model.training.data import TrainingData
from fulfillment_assets.delay_model.training.preparation import prepare

ONE_OF_EACH_FAMILY = {c.family: c for c in (*SEARCH_SPACE, XGBOOST)}.values()


@pytest.mark.parametrize("candidate", ONE_OF_EACH_FAMILY, ids=lambda candidate: candidate.family)
def test_every_family_learns_the_same_bits_twice(
    simulated: TrainingData, candidate: Candidate
) -> None:
    prepared = prepare(simulated)
    late = prepared.learnt.late
    small = candidate.parameters | ({"n_estimators": 20} if "tree" in candidate.name else {})
    one, two = (
        build_classifier(candidate.family, small)
        .fit(prepared.matrix, late)
        .predict_proba(prepared.matrix)[:, 1]
        for _ in range(2)
    )
    assert np.array_equal(one, two)
    assert evaluate(late, np.clip(one, 0.001, 0.999))["roc_auc"] > 0.7


def test_logistic_regression_gives_categories_no_order(simulated: TrainingData) -> None:
    """Codes of blocks are names: renumbering them must not change what is said."""
    prepared = prepare(simulated)
    late, renumbered = prepared.learnt.late, prepared.matrix.copy()
    renumbered[:, 0] = 4 - renumbered[:, 0]
    one, two = (
        build_classifier("logistic_regression", {"C": 1.0})
        .fit(matrix, late)
        .calibrated_classifiers_[0]
        .estimator.predict_proba(matrix)[:, 1]
        for matrix in (prepared.matrix, renumbered)
    )
    assert np.allclose(one, two, rtol=0, atol=1e-3)


def test_xgboost_where_it_is_not_installed_is_told_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "xgboost", None)
    with pytest.raises(DelayModelError, match=r"XGBoost is not installed.*`make setup`"):
        build_classifier(XGBOOST.family, XGBOOST.parameters)
