"""The simulated features and outcomes follow the calibrated joint distribution."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from fulfillment_assets.orders.contract import BY_NAME, FEATURES
from fulfillment_assets.orders.simulator import SimulationPlan
from fulfillment_assets.orders.simulator.orders import (
    BLOCK_ROWS,
    FeatureBlock,
    cluster_distribution,
    draw_features,
)
from fulfillment_assets.orders.simulator.recipe import (
    CLUSTERS,
    GENDER,
    LOWEST_LATE_SHARE,
    MODE,
    NATURAL_LATE_SHARE,
    RATING,
    WAREHOUSE,
    Cluster,
    cluster_weights,
)
from fulfillment_assets.orders.simulator.sampling import Draws

Columns = dict[str, npt.NDArray[Any]]
Distribution = Mapping[Any, float]


@pytest.fixture(scope="module")
def block() -> FeatureBlock:
    return draw_features(Draws(3, 0, 4 * BLOCK_ROWS), cluster_distribution(None))


def assert_follows(values: npt.NDArray[Any], expected: Distribution) -> None:
    """Chi-square goodness of fit; the limit is six standard deviations above the mean."""
    total = sum(expected.values())
    found = dict(zip(*np.unique(values, return_counts=True), strict=True))
    assert set(found) <= {value for value, p in expected.items() if p > 0}
    statistic = 0.0
    for value, probability in expected.items():
        mean = len(values) * probability / total
        statistic += (found.get(value, 0) - mean) ** 2 / mean
    freedom = len(expected) - 1
    assert statistic < freedom + 6 * math.sqrt(2 * freedom)


def spread(pieces: Mapping[tuple[int, int], float]) -> Distribution:
    return {
        value: p / (high - low + 1)
        for (low, high), p in pieces.items()
        for value in range(low, high + 1)
    }


def importance_codes(cluster: Cluster) -> Distribution:
    choices = BY_NAME["product_importance"].choices
    return {choices.index(name): p for name, p in cluster.importance.items()}


BY_CLUSTER: Mapping[str, Callable[[Cluster], Distribution]] = {
    "customer_care_calls": lambda cluster: cluster.care_calls,
    "prior_purchases": lambda cluster: cluster.prior_purchases,
    "cost_of_product": lambda cluster: spread(cluster.cost),
    "discount_offered": lambda cluster: spread({cluster.discount: 1}),
    "weight_in_gms": lambda cluster: spread({cluster.weight: 1}),
    "product_importance": importance_codes,
}


@pytest.mark.parametrize("cluster", CLUSTERS, ids=lambda cluster: cluster.name)
@pytest.mark.parametrize("field", BY_CLUSTER)
def test_a_column_follows_its_distribution_inside_each_cluster(
    block: FeatureBlock, field: str, cluster: Cluster
) -> None:
    inside = block.cluster == CLUSTERS.index(cluster)
    assert_follows(block.values[field][inside], BY_CLUSTER[field](cluster))


@pytest.mark.parametrize("cluster", CLUSTERS, ids=lambda cluster: cluster.name)
def test_each_cluster_has_its_late_share(block: FeatureBlock, cluster: Cluster) -> None:
    late = block.is_late[block.cluster == CLUSTERS.index(cluster)]
    if cluster.late == 1:
        assert late.all()
    else:
        assert_follows(late, {True: cluster.late, False: 1 - cluster.late})


def test_the_clusters_have_their_shares(block: FeatureBlock) -> None:
    assert_follows(block.cluster, {i: cluster.share for i, cluster in enumerate(CLUSTERS)})


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("gender", GENDER),
        ("mode_of_shipment", MODE),
        ("warehouse_block", WAREHOUSE),
        ("customer_rating", RATING),
    ],
)
def test_a_column_that_does_not_depend_on_the_cluster_has_its_marginal_distribution(
    sample: Columns, field: str, expected: Distribution
) -> None:
    assert_follows(sample[field], expected)


@pytest.mark.parametrize("field", [name for name in BY_CLUSTER if name != "product_importance"])
def test_a_column_that_depends_on_the_cluster_mixes_to_its_marginal_distribution(
    sample: Columns, field: str
) -> None:
    expected: dict[Any, float] = {}
    for cluster in CLUSTERS:
        inside = BY_CLUSTER[field](cluster)
        for value, p in inside.items():
            share = cluster.share * p / sum(inside.values())
            expected[value] = expected.get(value, 0.0) + share
    assert_follows(sample[field], expected)


def test_independent_columns_are_independent_inside_a_cluster(block: FeatureBlock) -> None:
    inside = block.cluster == 4
    columns = [block.values[name][inside] for name in FEATURES]
    correlation = np.corrcoef([*columns, block.is_late[inside]])
    np.fill_diagonal(correlation, 0)
    assert np.abs(correlation).max() < 5 / math.sqrt(inside.sum())


def test_the_whole_has_the_published_features(sample: Columns) -> None:
    discounted = sample["discount_offered"] > 10
    assert discounted.mean() == pytest.approx(0.24, abs=0.01)
    assert sample["is_late"][discounted].all()
    heavy = sample["weight_in_gms"] >= 4000
    assert sample["is_late"][heavy].mean() == pytest.approx(0.431, abs=0.006)
    assert sample["is_late"].mean() == pytest.approx(0.5967, abs=0.005)
    assert pytest.approx(0.5967, abs=0.001) == NATURAL_LATE_SHARE


@pytest.mark.parametrize("late_share", [LOWEST_LATE_SHARE, 0.5, 0.8, 1.0])
def test_an_asked_late_share_is_reached(
    columns_of: Callable[[SimulationPlan], Columns], late_share: float
) -> None:
    plan = SimulationPlan(50_000, 11, datetime.date(2026, 3, 1), late_share=late_share)
    assert columns_of(plan)["is_late"].mean() == pytest.approx(late_share, abs=0.008)


def test_an_asked_late_share_keeps_the_proportions_on_either_side() -> None:
    weights, natural = cluster_weights(0.8), cluster_weights(None)
    assert weights.sum() == pytest.approx(1)
    for side in (slice(0, 2), slice(2, 5)):
        ratio = weights[side] / natural[side]
        assert ratio == pytest.approx(ratio[0])
    assert weights[0] > natural[0]
