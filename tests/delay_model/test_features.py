import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given

from fulfillment_assets.delay_model.errors import FeatureError, TrainingDataError
from fulfillment_assets.delay_model.features import (
    CATEGORICAL,
    FeatureEncoder,
    build_preprocessor,
    encoder_of,
    learn_encoder,
)
from fulfillment_assets.orders.contract import BY_NAME, FEATURES
from tests.delay_model.examples import Order, batches, order, table

ENCODER = FeatureEncoder(
    categories={
        "warehouse_block": ("A", "B", "C", "D", "F"),
        "mode_of_shipment": ("Ship", "Flight", "Road"),
        "gender": ("F", "M"),
        "product_importance": ("low", "medium", "high"),
    },
    unseen={"warehouse_block": {"E": "F"}},
)


def test_the_categorical_features_are_those_of_the_contract() -> None:
    assert CATEGORICAL == ("warehouse_block", "mode_of_shipment", "gender", "product_importance")


def test_columns_stand_in_contract_order_with_codes_for_categories() -> None:
    matrix = ENCODER.matrix(table([order(warehouse_block="D", product_importance="high")]))
    row = dict(zip(FEATURES, matrix[0].tolist(), strict=True))
    assert row["warehouse_block"] == 3.0
    assert row["product_importance"] == 2.0
    assert row["cost_of_product"] == 219.0


def test_an_order_of_block_e_is_encoded_as_one_of_block_f() -> None:
    matrix = ENCODER.matrix(table([order(warehouse_block=block) for block in "EF"]))
    assert np.array_equal(matrix[0], matrix[1])


@given(batches)
def test_one_order_is_encoded_as_its_row_of_a_batch(orders: list[Order]) -> None:
    matrix = ENCODER.matrix(table(orders))
    assert matrix.tolist() == [ENCODER.row(order) for order in orders]


def test_the_encoder_equals_the_fitted_preprocessor() -> None:
    orders = table([order(**{name: choice}) for name in CATEGORICAL for choice in _choices(name)])
    preprocessor = build_preprocessor(ENCODER).fit(ENCODER.frame(orders))
    transformed = preprocessor.transform(ENCODER.frame(orders))
    assert np.array_equal(transformed, ENCODER.matrix(orders))
    assert encoder_of(preprocessor, ENCODER.unseen) == ENCODER


def test_dictionary_columns_are_encoded_as_text_columns() -> None:
    orders = table([order(warehouse_block=block) for block in "FABEF"])
    dictionaries = orders
    for name in CATEGORICAL:
        place = orders.column_names.index(name)
        dictionaries = dictionaries.set_column(place, name, orders[name].dictionary_encode())
    assert np.array_equal(ENCODER.matrix(dictionaries), ENCODER.matrix(orders))
    assert ENCODER.frame(dictionaries).equals(ENCODER.frame(orders))


@pytest.mark.parametrize("value", ["G", "f", "", "A ", None])
def test_a_category_without_a_code_is_refused_by_name_and_row(value: str | None) -> None:
    orders = [order(), order(warehouse_block=value)]  # type: ignore[arg-type]
    with pytest.raises(FeatureError, match=r"Row 11: warehouse_block is .*; the model knows A, B"):
        ENCODER.matrix(table(orders), first_row=10)
    with pytest.raises(FeatureError, match="warehouse_block is"):
        ENCODER.row(orders[1])


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None])
def test_a_number_that_is_none_is_refused_and_never_taken_for_zero(value: float | None) -> None:
    orders = [order(), order(), order(weight_in_gms=value)]  # type: ignore[arg-type]
    with pytest.raises(FeatureError, match=r"Row 3: weight_in_gms is .* must be a finite number"):
        ENCODER.matrix(table(orders))
    with pytest.raises(FeatureError, match="weight_in_gms is"):
        ENCODER.row(orders[2])


def test_text_in_place_of_a_number_is_refused() -> None:
    text = table([order()]).set_column(9, "weight_in_gms", pa.array(["4120"]))
    with pytest.raises(FeatureError, match="Column weight_in_gms must be a number, not string"):
        ENCODER.matrix(text)
    with pytest.raises(FeatureError, match="weight_in_gms is '4120'"):
        ENCODER.row(order(weight_in_gms="4120"))


def test_numbers_in_place_of_categories_are_refused() -> None:
    numbers = table([order()]).set_column(0, "warehouse_block", pa.array([1]))
    with pytest.raises(FeatureError, match="Column warehouse_block must be text, not int64"):
        ENCODER.matrix(numbers)
    with pytest.raises(FeatureError, match="warehouse_block is 1"):
        ENCODER.row(order(warehouse_block=1))


def test_a_missing_feature_is_named() -> None:
    with pytest.raises(FeatureError, match="no column gender"):
        ENCODER.matrix(table([order()]).drop_columns(["gender"]))
    incomplete = order()
    del incomplete["gender"]
    with pytest.raises(FeatureError, match="gender is None"):
        ENCODER.row(incomplete)


def test_learning_keeps_contract_order_and_maps_block_e_to_f() -> None:
    orders = table([order(warehouse_block=block) for block in ("F", "A", "A", "A", "B", "D", "C")])
    encoder = learn_encoder(orders)
    assert encoder.categories["warehouse_block"] == ("A", "B", "C", "D", "F")
    assert encoder.unseen["warehouse_block"] == {"E": "F"}


def test_learning_from_the_published_schema_maps_block_f_to_e() -> None:
    orders = table([order(warehouse_block=block) for block in "AABCDE"])
    assert learn_encoder(orders).unseen["warehouse_block"] == {"F": "E"}


def test_any_other_unseen_category_is_scored_as_the_commonest() -> None:
    orders = table([order(mode_of_shipment=mode) for mode in ("Ship", "Road", "Road")])
    assert learn_encoder(orders).unseen["mode_of_shipment"] == {"Flight": "Road"}


def test_every_category_of_the_contract_has_a_code_whatever_was_seen() -> None:
    encoder = learn_encoder(table([order()]))
    for name in CATEGORICAL:
        encoder.matrix(table([order(**{name: choice}) for choice in _choices(name)]))


def test_learning_refuses_a_category_outside_the_contract() -> None:
    with pytest.raises(TrainingDataError, match="warehouse_block holds 'Z'"):
        learn_encoder(table([order(warehouse_block="Z")]))


def _choices(name: str) -> tuple[str, ...]:
    return BY_NAME[name].choices
