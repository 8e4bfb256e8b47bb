"""What a model learns from simulated orders holds for real ones.

The committed model, trained on real orders, stands for them here. How well a model trained on
simulated orders ranks real ones themselves is measured by `fulfillment bench model --data FILE`.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from fulfillment_assets.delay_model.label import Labels
from fulfillment_assets.delay_model.scorer import DelayScorer
from fulfillment_assets.delay_model.training.data import load_training_data
from fulfillment_assets.delay_model.training.fit import package, train
from fulfillment_assets.orders.simulator import training_frame


@pytest.fixture(scope="module")
def simulated_scorer() -> DelayScorer:
    """A model trained as `fulfillment train` does without a file."""
    return DelayScorer.open(package(train(load_training_data(None), repeats=1)))


@pytest.fixture(scope="module")
def fresh() -> tuple[pa.Table, Labels]:
    """Orders that neither model has seen."""
    return training_frame(20_000, seed=41)


def test_it_ranks_orders_as_well_as_the_model_that_learnt_from_real_ones(
    simulated_scorer: DelayScorer, scorer: DelayScorer, fresh: tuple[pa.Table, Labels]
) -> None:
    orders, late = fresh
    of_simulated, of_real = (
        roc_auc_score(late, model.score(orders).probability) for model in (simulated_scorer, scorer)
    )
    assert of_simulated > 0.73
    assert of_simulated == pytest.approx(of_real, abs=0.01)


def test_both_models_give_an_order_nearly_the_same_probability(
    simulated_scorer: DelayScorer, scorer: DelayScorer, fresh: tuple[pa.Table, Labels]
) -> None:
    orders, _ = fresh
    one, other = (model.score(orders).probability for model in (simulated_scorer, scorer))
    assert np.abs(one - other).mean() < 0.03
    assert np.mean((one > 0.5) == (other > 0.5)) > 0.97
    assert spearmanr(one, other).statistic > 0.7
