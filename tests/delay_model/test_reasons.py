import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fulfillment_assets.delay_model.reasons import (
    MOST,
    NO_FEATURE,
    Reason,
    top_reasons,
    top_reasons_of_row,
)
from fulfillment_assets.orders.contract import FEATURES

DISCOUNT, WEIGHT, COST, RATING = (
    FEATURES.index(name)
    for name in ("discount_offered", "weight_in_gms", "cost_of_product", "customer_rating")
)

contributions = st.lists(
    st.floats(-8, 8) | st.sampled_from([0.0, 0.00004, 0.00005, 0.00006, 1.5, -1.5, 1.50004]),
    min_size=len(FEATURES),
    max_size=len(FEATURES),
)


def _row(**values: float) -> list[float]:
    return [values.get(name, -0.25) for name in FEATURES]


def test_the_greatest_positive_contributions_come_first() -> None:
    row = _row(
        discount_offered=2.25, weight_in_gms=0.5, cost_of_product=0.75, customer_rating=0.125
    )
    reasons = top_reasons(np.array([row]).T)
    assert reasons.feature.tolist() == [[DISCOUNT, COST, WEIGHT]]
    assert reasons.contribution.tolist() == [[2.25, 0.75, 0.5]]


def test_what_lowers_the_risk_is_no_reason() -> None:
    reasons = top_reasons(np.array([_row(weight_in_gms=0.5)]).T)
    assert reasons.feature.tolist() == [[WEIGHT, NO_FEATURE, NO_FEATURE]]
    assert reasons.contribution.tolist() == [[0.5, 0.0, 0.0]]
    assert reasons.of(0) == (Reason("weight_in_gms", 0.5),)


def test_what_rounds_to_nothing_is_no_reason() -> None:
    row = _row(weight_in_gms=0.00004)
    assert top_reasons(np.array([row]).T).of(0) == ()
    assert top_reasons_of_row(row) == ()


def test_contributions_have_four_decimals() -> None:
    assert top_reasons_of_row(_row(weight_in_gms=0.123449)) == (Reason("weight_in_gms", 0.1234),)


def test_equal_contributions_keep_contract_order() -> None:
    reasons = top_reasons(np.full((len(FEATURES), 1), 0.5))
    assert reasons.feature.tolist() == [[0, 1, 2]]


def test_no_orders_have_no_reasons() -> None:
    assert top_reasons(np.empty((len(FEATURES), 0))).feature.shape == (0, MOST)


def test_a_selection_keeps_each_orders_reasons() -> None:
    rows = [_row(weight_in_gms=0.5), _row(discount_offered=1.5), _row()]
    chosen = top_reasons(np.array(rows).T).take(np.array([2, 1]))
    assert chosen.of(0) == ()
    assert chosen.of(1) == (Reason("discount_offered", 1.5),)


@given(st.lists(contributions, min_size=1, max_size=30))
def test_one_orders_reasons_are_those_of_its_row_in_a_batch(rows: list[list[float]]) -> None:
    reasons = top_reasons(np.array(rows).T)
    for number, row in enumerate(rows):
        assert reasons.of(number) == top_reasons_of_row(row)


@given(contributions)
def test_reasons_are_descending_positive_and_the_greatest_there_are(row: list[float]) -> None:
    stated = [reason.contribution for reason in top_reasons_of_row(row)]
    rounded = [round(value * 1e4) / 1e4 for value in row]
    assert stated == sorted((value for value in rounded if value > 0), reverse=True)[:MOST]
