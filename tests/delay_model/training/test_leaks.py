from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from sklearn.metrics import roc_auc_score

from fulfillment_assets.delay_model.artifacts import read_metadata
from fulfillment_assets.delay_model.errors import TrainingDataError
from fulfillment_assets.delay_model.metadata import ModelMetadata, SourceKind
from fulfillment_assets.delay_model.scorer import DelayScorer
from fulfillment_assets.delay_model.training.data import TrainingData, simulated_training_data
from fulfillment_assets.delay_model.training.fit import TrainedModel, package, train
from fulfillment_assets.delay_model.training.leaks import CEILING, ceiling, check_leaks
from fulfillment_assets.orders.contract import FEATURES

Numbers = npt.NDArray[np.int64]


def trained_on(data: TrainingData) -> ModelMetadata:
    """The metadata of a model trained on these data."""
    return read_metadata(package(train(data, repeats=1)))


def with_column(data: TrainingData, name: str, values: npt.ArrayLike) -> TrainingData:
    """The data with a column in the place of its namesake, or added."""
    rest = [column for column in data.features.column_names if column != name]
    features = data.features.select(rest).append_column(name, pa.array(values))
    return replace(data, features=features)


def in_order(data: TrainingData, rows: Numbers) -> TrainingData:
    """The same orders, otherwise arranged."""
    return replace(data, features=data.features.take(rows), late=data.late[rows])


def telling_ids(data: TrainingData) -> Numbers:
    """Identifiers given as in the public data: nearly half of the late orders come first."""
    rng = np.random.default_rng(7)
    ahead = (data.late == 1) & (rng.random(len(data.late)) < 0.48)
    place = np.lexsort((rng.random(len(data.late)), ~ahead))
    ids = np.empty(len(place), np.int64)
    ids[place] = np.arange(1, len(place) + 1)
    return ids


@pytest.fixture(scope="module")
def metadata(trained: TrainedModel) -> ModelMetadata:
    return read_metadata(package(trained))


@pytest.mark.parametrize("seed", range(6))
def test_ordinary_orders_leak_nothing(seed: int) -> None:
    data = simulated_training_data(rows=2_000, seed=seed)
    report = check_leaks(data, trained_on(data))
    assert report.passed, report.message
    assert report.findings == ()
    assert report.message == "No leak was found."


@pytest.mark.parametrize(
    ("column", "complaint"),
    [
        ("order_id", "order_id is an identifier"),
        ("ID", "ID is an identifier"),
        ("customer_id", "customer_id is an identifier"),
        ("order_date", "order_date is a date"),
        ("delivery_date", "delivery_date is a date"),
        ("order_status", "order_status is not one of the model's features: warehouse_block, "),
        ("shoe_size", "shoe_size is not one of the model's features: warehouse_block, "),
    ],
)
def test_a_column_that_is_no_feature_is_named(
    simulated: TrainingData, metadata: ModelMetadata, column: str, complaint: str
) -> None:
    values = np.random.default_rng(3).integers(1, 9, len(simulated.late))
    report = check_leaks(with_column(simulated, column, values), metadata)
    assert not report.passed
    [finding] = report.findings
    assert finding.startswith(complaint)
    assert finding in report.message


def test_adding_the_identifiers_of_the_orders_fails(
    simulated: TrainingData, metadata: ModelMetadata
) -> None:
    report = check_leaks(with_column(simulated, "ID", telling_ids(simulated)), metadata)
    assert not report.passed
    assert "ID is an identifier" in report.message


def test_a_model_that_takes_another_feature_than_the_contracts_fails(
    simulated: TrainingData, metadata: ModelMetadata
) -> None:
    widened = metadata.model_copy(update={"features": ("order_id", *FEATURES)})
    assert not check_leaks(simulated, widened).passed


@pytest.mark.parametrize("feature", ["prior_purchases", "weight_in_gms"])
@pytest.mark.parametrize(
    ("arranged", "complaint"),
    [
        (np.argsort, "follows the order of the rows as an identifier does"),
        (lambda ids: np.arange(len(ids)), "numbers the orders as an identifier does: 100.0%"),
    ],
    ids=["in order", "shuffled"],
)
def test_identifiers_smuggled_into_a_feature_fail(
    simulated: TrainingData, feature: str, arranged: Callable[[Numbers], Numbers], complaint: str
) -> None:
    ids = telling_ids(simulated)
    assert roc_auc_score(simulated.late, -ids) == pytest.approx(0.74, abs=0.01)
    smuggled = in_order(with_column(simulated, feature, ids), arranged(ids))
    report = check_leaks(smuggled, trained_on(smuggled))
    assert not report.passed
    assert f"{feature} {complaint}" in report.message


def test_identifiers_with_gaps_and_descending_ones_fail_too(
    simulated: TrainingData, metadata: ModelMetadata
) -> None:
    ids = 1_000_000 - 7 * np.arange(len(simulated.late))
    report = check_leaks(with_column(simulated, "prior_purchases", ids), metadata)
    assert "correlation with the row number is -1.00" in report.message


def test_features_that_follow_the_label_in_the_order_of_the_rows_are_no_identifiers(
    simulated: TrainingData, metadata: ModelMetadata
) -> None:
    """The public data come so: the orders with a discount are all among the first."""
    late_first = in_order(simulated, np.argsort(telling_ids(simulated)))
    assert check_leaks(late_first, metadata).passed


def test_distinct_weights_that_are_not_whole_are_no_identifiers(
    simulated: TrainingData, metadata: ModelMetadata
) -> None:
    weights = np.random.default_rng(4).uniform(1000, 6000, len(simulated.late))
    assert check_leaks(with_column(simulated, "weight_in_gms", weights), metadata).passed


def test_a_feature_without_variation_is_no_leak(
    simulated: TrainingData, metadata: ModelMetadata
) -> None:
    same = np.full(len(simulated.late), 3)
    assert check_leaks(with_column(simulated, "customer_rating", same), metadata).passed


def test_a_feature_that_repeats_the_label_is_too_good_to_be_true(simulated: TrainingData) -> None:
    knows = np.random.default_rng(5).random(len(simulated.late)) < 0.3
    told = np.where(knows, 1 + 4 * simulated.late, simulated.features["customer_rating"])
    echoing = with_column(simulated, "customer_rating", told)
    report = check_leaks(echoing, trained_on(echoing))
    assert not report.passed
    assert [finding.split()[0] for finding in report.findings] == ["accuracy", "roc_auc"]
    assert "too good to be true" in report.message


@pytest.mark.parametrize(("kind", "passed"), [("file", False), ("simulator", False)])
def test_metrics_are_held_against_the_ceiling_of_the_public_data(
    simulated: TrainingData, metadata: ModelMetadata, kind: SourceKind, passed: bool
) -> None:
    assert check_leaks(simulated, too_good(metadata, kind)).passed is passed


def test_the_retailers_own_orders_have_no_known_ceiling_and_the_report_says_so(
    simulated: TrainingData, metadata: ModelMetadata
) -> None:
    report = check_leaks(simulated, too_good(metadata, "orders"))
    assert report.passed
    assert "retailer's own orders can be foretold is not known" in report.message


def too_good(metadata: ModelMetadata, kind: SourceKind) -> ModelMetadata:
    """Metadata with an accuracy that honest models do not reach."""
    source = metadata.training_data.model_copy(update={"kind": kind})
    accuracy = metadata.metrics["accuracy"].model_copy(update={"mean": 0.75})
    metrics = metadata.metrics | {"accuracy": accuracy}
    return metadata.model_copy(update={"training_data": source, "metrics": metrics})


def test_the_ceiling_of_few_orders_is_higher_for_they_vary_more() -> None:
    for metric, limit in CEILING.items():
        assert ceiling(metric, 7_000) == ceiling(metric, 1_000_000) == pytest.approx(limit)
        assert ceiling(metric, 500) > ceiling(metric, 1_000) > limit
    assert ceiling("accuracy", 1_750) == pytest.approx(0.688 + 2 * 0.012)


def test_the_committed_model_is_below_the_ceiling(scorer: DelayScorer) -> None:
    metadata = scorer.metadata
    for metric in CEILING:
        assert metadata.metrics[metric].mean < ceiling(metric, metadata.training_data.rows)


def test_a_model_of_other_data_is_not_judged(metadata: ModelMetadata) -> None:
    other = simulated_training_data(rows=300, seed=6)
    with pytest.raises(TrainingDataError, match="trained on 3000 simulated orders, seed 5, not on"):
        check_leaks(other, metadata)
