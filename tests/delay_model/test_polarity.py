from dataclasses import replace
from pathlib import Path

import numpy as np

from fulfillment_assets.delay_model.polarity import SURELY_LATE, check_label_polarity
from fulfillment_assets.delay_model.reference_orders import surely_late_orders
from fulfillment_assets.delay_model.scorer import DelayScorer
from fulfillment_assets.delay_model.training.data import TrainingData
from fulfillment_assets.delay_model.training.fit import save, train
from fulfillment_assets.orders.contract import BY_NAME


def test_the_check_scores_discounts_above_ten_in_every_block_and_mode() -> None:
    orders = surely_late_orders()
    assert min(orders["discount_offered"].to_pylist()) > 10
    for name in ("warehouse_block", "mode_of_shipment", "product_importance"):
        assert set(orders[name].to_pylist()) == set(BY_NAME[name].choices)


def test_the_committed_model_has_the_right_polarity(scorer: DelayScorer) -> None:
    report = check_label_polarity(scorer)
    assert report.passed
    assert report.lowest > report.required == SURELY_LATE
    assert "polarity is right" in report.message


def test_a_freshly_trained_model_has_the_right_polarity(stored: Path) -> None:
    assert check_label_polarity(DelayScorer.load(stored)).passed


def test_a_model_trained_on_an_inverted_label_fails_the_check(
    simulated: TrainingData, tmp_path: Path
) -> None:
    inverted = replace(simulated, late=np.subtract(1, simulated.late, dtype=np.int8))
    save(train(inverted, repeats=1), tmp_path)
    report = check_label_polarity(DelayScorer.load(tmp_path))
    assert not report.passed
    assert report.lowest < 0.1
    assert "label may be inverted" in report.message
