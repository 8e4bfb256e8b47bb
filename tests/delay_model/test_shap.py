"""The scorer's explanations against those of the `shap` package, of the same trees."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given

from fulfillment_assets.delay_model.artifacts import Artifacts
from fulfillment_assets.delay_model.reasons import MOST
from fulfillment_assets.delay_model.scorer import DelayScorer
from fulfillment_assets.orders.contract import FEATURES
from fulfillment_assets.orders.simulator import training_frame
from tests.delay_model.examples import Order, batches, table

shap = pytest.importorskip("shap", reason="shap is not published for this machine")

pytestmark = pytest.mark.filterwarnings("ignore:LightGBM binary classifier:UserWarning")

TOLERANCE = 1e-12
"""Of sums of about a hundred float64, in log-odds."""

STATED = 0.5001e-4
"""How far a contribution to four decimals may be from the value itself."""

Floats = npt.NDArray[np.float64]


@pytest.fixture(scope="module")
def explainer(artifacts: Artifacts) -> Any:
    """shap's exact TreeSHAP of the committed model's trees."""
    [calibrated] = artifacts.classifier.calibrated_classifiers_
    return shap.TreeExplainer(calibrated.estimator.booster_)


def by_shap(explainer: Any, matrix: Floats) -> Floats:
    """SHAP values by shap's own implementation.

    `TreeExplainer.shap_values` hands LightGBM's trees back to LightGBM. The interaction values
    are worked out by shap itself; those of a feature add up to its SHAP value (Lundberg et al.
    2020, "From local explanations to global understanding with explainable AI for trees").
    """
    values: Floats = np.asarray(explainer.shap_interaction_values(matrix)).sum(axis=2)
    return values


@given(batches)
def test_contributions_are_the_shap_values_of_any_valid_orders(
    scorer: DelayScorer, explainer: Any, batch: list[Order]
) -> None:
    matrix = scorer.matrix(table(batch))
    values, base_value = scorer.contributions(matrix)
    for expected in (explainer.shap_values(matrix), by_shap(explainer, matrix)):
        np.testing.assert_allclose(values, expected, rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(base_value, explainer.expected_value, rtol=0, atol=TOLERANCE)


@given(batches)
def test_base_value_and_contributions_add_up_to_the_margin(
    scorer: DelayScorer, artifacts: Artifacts, batch: list[Order]
) -> None:
    matrix = scorer.matrix(table(batch))
    values, base_value = scorer.contributions(matrix)
    booster = artifacts.classifier.calibrated_classifiers_[0].estimator.booster_
    margin = booster.predict(matrix, raw_score=True)
    np.testing.assert_allclose(base_value + values.sum(axis=1), margin, rtol=0, atol=TOLERANCE)


def test_reasons_are_the_greatest_positive_shap_values(scorer: DelayScorer, explainer: Any) -> None:
    orders, _ = training_frame(2_000, seed=12)
    reasons = scorer.score(orders).reasons
    for row, values in enumerate(by_shap(explainer, scorer.matrix(orders))):
        others = dict(zip(FEATURES, values.tolist(), strict=True))
        given_reasons = reasons.of(row)
        for reason in given_reasons:
            assert reason.contribution == pytest.approx(others.pop(reason.feature), abs=STATED)
        least = given_reasons[-1].contribution if len(given_reasons) == MOST else 0.0
        assert max(others.values()) <= least + STATED
