import time

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given

from fulfillment_assets.delay_model.artifacts import Artifacts
from fulfillment_assets.delay_model.calibration import stated
from fulfillment_assets.delay_model.errors import FeatureError
from fulfillment_assets.delay_model.features import encoder_of
from fulfillment_assets.delay_model.reasons import MOST, NO_FEATURE
from fulfillment_assets.delay_model.scorer import BLOCK_ROWS, DelayScorer
from fulfillment_assets.orders.contract import FEATURES
from fulfillment_assets.orders.simulator import training_frame
from tests.delay_model.examples import Order, batches, order, table

Floats = npt.NDArray[np.float64]


def _by_scikit_learn(artifacts: Artifacts, orders: pa.Table) -> Floats:
    encoder = encoder_of(artifacts.preprocessor, artifacts.metadata.unseen_categories)
    matrix = artifacts.preprocessor.transform(encoder.frame(orders))
    return np.asarray(artifacts.classifier.predict_proba(matrix)[:, 1], np.float64)


@pytest.fixture(scope="module")
def orders() -> pa.Table:
    """Realistic orders, more than one block of them."""
    return training_frame(BLOCK_ROWS + 1000, seed=8)[0]


def test_probabilities_are_those_of_the_fitted_classifier(
    scorer: DelayScorer, artifacts: Artifacts, orders: pa.Table
) -> None:
    expected = _by_scikit_learn(artifacts, orders)
    fast = scorer.probabilities(scorer.matrix(orders))
    assert np.allclose(fast, expected, rtol=0, atol=1e-12)
    assert np.allclose(scorer.score(orders).probability, stated(expected), rtol=0, atol=1e-6)


@given(batches)
def test_probabilities_are_those_of_the_fitted_classifier_for_any_valid_order(
    scorer: DelayScorer, artifacts: Artifacts, batch: list[Order]
) -> None:
    orders = table(batch)
    fast = scorer.probabilities(scorer.matrix(orders))
    assert np.allclose(fast, _by_scikit_learn(artifacts, orders), rtol=0, atol=1e-12)


def test_contributions_are_those_of_lightgbm_and_add_up_to_the_margin(
    scorer: DelayScorer, artifacts: Artifacts, orders: pa.Table
) -> None:
    matrix = scorer.matrix(orders.slice(0, 5000))
    booster = artifacts.classifier.calibrated_classifiers_[0].estimator.booster_
    explained = booster.predict(matrix, pred_contrib=True)
    values, base_value = scorer.contributions(matrix)
    assert np.allclose(values, explained[:, :-1], rtol=0, atol=1e-9)
    assert base_value == pytest.approx(explained[0, -1], abs=1e-9)
    margins = booster.predict(matrix, raw_score=True)
    assert np.allclose(base_value + values.sum(axis=1), margins, rtol=0, atol=1e-9)
    assert np.allclose(scorer.margins(matrix), margins, rtol=0, atol=1e-9)


def test_reasons_are_the_greatest_positive_contributions(
    scorer: DelayScorer, orders: pa.Table
) -> None:
    some = orders.slice(0, 500)
    values, _ = scorer.contributions(scorer.matrix(some))
    reasons = scorer.score(some).reasons
    for row, contributions in enumerate(values):
        ranked = sorted(np.round(contributions[contributions > 0], 4), reverse=True)[:MOST]
        expected = [value for value in ranked if value > 0]
        stated_reasons = reasons.of(row)
        assert [reason.contribution for reason in stated_reasons] == pytest.approx(expected)
        for reason in stated_reasons:
            own = contributions[FEATURES.index(reason.feature)]
            assert reason.contribution == pytest.approx(own, abs=5.1e-5)


@given(batches)
def test_one_order_is_scored_with_the_same_bits_as_in_a_batch(
    scorer: DelayScorer, batch: list[Order]
) -> None:
    scores = scorer.score(table(batch))
    for row, single in enumerate(batch):
        score = scorer.score_one(single)
        assert score.probability == scores.probability[row]
        assert score.reasons == scores.reasons.of(row)


def test_a_score_does_not_depend_on_the_place_in_the_batch(
    scorer: DelayScorer, orders: pa.Table
) -> None:
    whole = scorer.score(orders)
    for start in (0, 1, BLOCK_ROWS - 1, BLOCK_ROWS):
        part = scorer.score(orders.slice(start, 3))
        rows = slice(start, start + 3)
        assert np.array_equal(part.probability, whole.probability[rows])
        assert np.array_equal(part.reasons.feature, whole.reasons.feature[rows])
        assert np.array_equal(part.reasons.contribution, whole.reasons.contribution[rows])


def test_probabilities_are_within_bounds_and_have_six_decimals(
    scorer: DelayScorer, orders: pa.Table
) -> None:
    probability = scorer.score(orders).probability
    assert probability.min() >= 0.001
    assert probability.max() <= 0.999
    assert np.array_equal(probability, np.round(probability, 6))


def test_scores_have_the_stated_shapes_and_types(scorer: DelayScorer, orders: pa.Table) -> None:
    scores = scorer.score(orders.slice(0, 7))
    assert scores.probability.shape == (7,)
    assert scores.probability.dtype == np.float64
    assert scores.reasons.feature.shape == scores.reasons.contribution.shape == (7, MOST)
    assert scores.reasons.feature.dtype == np.int8
    assert scores.reasons.contribution.dtype == np.float64
    absent = scores.reasons.feature == NO_FEATURE
    assert np.array_equal(absent, scores.reasons.contribution == 0)


def test_no_orders_have_no_scores(scorer: DelayScorer, orders: pa.Table) -> None:
    scores = scorer.score(orders.slice(0, 0))
    assert scores.probability.shape == (0,)
    assert scores.reasons.feature.shape == (0, MOST)


def test_other_columns_and_their_order_do_not_matter(scorer: DelayScorer, orders: pa.Table) -> None:
    some = orders.slice(0, 50)
    shuffled = some.select(some.column_names[::-1]).append_column("order_id", pa.array(range(50)))
    assert np.array_equal(scorer.score(shuffled).probability, scorer.score(some).probability)


def test_the_order_id_does_not_change_the_score(scorer: DelayScorer) -> None:
    scores = [scorer.score_one(order(order_id=f"ORD-{n}")) for n in (1, 10_000_000)]
    assert scores[0] == scores[1]


def test_an_order_of_block_e_scores_as_one_of_block_f(scorer: DelayScorer) -> None:
    for changes in ({}, {"discount_offered": 40.0}, {"weight_in_gms": 1500.0}):
        e, f = (scorer.score_one(order(warehouse_block=block, **changes)) for block in "EF")
        assert e == f


def test_a_bad_row_beyond_the_first_block_is_named_by_its_own_number(
    scorer: DelayScorer, orders: pa.Table
) -> None:
    blocks = orders["warehouse_block"].to_pylist()
    blocks[BLOCK_ROWS + 4] = "Z"
    place = orders.column_names.index("warehouse_block")
    bad = orders.set_column(place, "warehouse_block", pa.array(blocks))
    with pytest.raises(FeatureError, match=rf"Row {BLOCK_ROWS + 5}: warehouse_block is 'Z'"):
        scorer.score(bad)


def test_deep_discounts_are_explained_by_the_discount(scorer: DelayScorer) -> None:
    score = scorer.score_one(order(discount_offered=58.0, weight_in_gms=1800.0))
    assert score.probability == 0.999
    assert score.reasons[0].feature == "discount_offered"


def test_one_order_takes_at_most_fifty_microseconds(scorer: DelayScorer) -> None:
    single = order()
    rounds = []
    for _ in range(20):  # the best round, since other tests run beside this one
        start = time.perf_counter()
        for _ in range(100):
            scorer.score_one(single)
        rounds.append((time.perf_counter() - start) / 100)
    assert min(rounds) <= 50e-6


def test_a_batch_is_scored_at_half_a_million_orders_a_second(
    scorer: DelayScorer, orders: pa.Table
) -> None:
    rounds = []
    for _ in range(5):
        start = time.process_time()
        scorer.score(orders)
        rounds.append(time.process_time() - start)
    assert orders.num_rows / min(rounds) >= 500_000
