from __future__ import annotations

import numpy as np
import pytest

from fulfillment_assets.delay_model.profile import BINS, QUANTILES, learn_profile
from fulfillment_assets.delay_model.training.data import TrainingData
from fulfillment_assets.orders.contract import BY_NAME, FEATURES


def test_every_feature_has_a_profile(simulated: TrainingData) -> None:
    profile = learn_profile(simulated.features)
    assert {*profile.numbers, *profile.categories} == set(FEATURES)


def test_bins_of_a_number_are_of_about_equal_size_and_never_empty(simulated: TrainingData) -> None:
    weight = learn_profile(simulated.features).numbers["weight_in_gms"]
    assert len(weight.shares) == len(weight.edges) + 1 == BINS
    assert weight.shares == pytest.approx([1 / BINS] * BINS, abs=0.01)
    for number in learn_profile(simulated.features).numbers.values():
        assert min(number.shares) > 0
        assert list(number.edges) == sorted(set(number.edges))
        assert sum(number.shares) == pytest.approx(1, abs=1e-5)


def test_a_bin_holds_its_lower_edge_and_not_its_upper_one(simulated: TrainingData) -> None:
    rating = learn_profile(simulated.features).numbers["customer_rating"]
    values = simulated.features["customer_rating"].to_numpy()
    assert rating.edges == (2.0, 3.0, 4.0, 5.0)
    assert rating.shares == pytest.approx([np.mean(values == k) for k in range(1, 6)], abs=1e-6)


def test_quantiles_are_values_that_occur(simulated: TrainingData) -> None:
    cost = learn_profile(simulated.features).numbers["cost_of_product"]
    values = simulated.features["cost_of_product"].to_numpy()
    assert len(cost.quantiles) == len(QUANTILES)
    assert set(cost.quantiles) <= set(values.tolist())
    assert cost.quantiles[QUANTILES.index(0.5)] == pytest.approx(np.median(values), abs=1)


def test_a_category_without_orders_has_the_share_nought(simulated: TrainingData) -> None:
    blocks = learn_profile(simulated.features).categories["warehouse_block"]
    assert tuple(blocks) == BY_NAME["warehouse_block"].choices
    assert blocks["E"] == 0
    assert blocks["F"] == pytest.approx(1 / 3, abs=0.03)


def test_the_profile_of_a_constant_number_is_one_bin(simulated: TrainingData) -> None:
    orders = simulated.features.slice(0, 1)
    rating = learn_profile(orders).numbers["customer_rating"]
    assert (rating.edges, rating.shares) == ((), (1.0,))
    assert set(rating.quantiles) == {float(orders["customer_rating"][0].as_py())}
