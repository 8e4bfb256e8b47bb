import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from fulfillment_assets.delay_model.calibration import (
    IsotonicMap,
    isotonic_map,
    stated,
    stated_one,
)

margins = st.floats(-50, 50)


def _fitted() -> IsotonicRegression:
    rng = np.random.default_rng(3)
    margin = rng.normal(size=4000)
    late = rng.random(4000) < 1 / (1 + np.exp(-margin))
    return IsotonicRegression(out_of_bounds="clip").fit(margin, late)


REGRESSION = _fitted()
MAP = isotonic_map(REGRESSION)


@given(st.lists(margins, min_size=1, max_size=50))
def test_the_map_is_that_of_the_fitted_regression(values: list[float]) -> None:
    margin = np.array(values)
    assert np.allclose(MAP(margin), REGRESSION.predict(margin), rtol=0, atol=1e-12)


def test_the_map_meets_the_fitted_points() -> None:
    assert np.array_equal(MAP(REGRESSION.X_thresholds_), REGRESSION.y_thresholds_)


@given(st.lists(margins, min_size=1, max_size=200))
def test_one_margin_is_mapped_to_the_same_bits_as_in_a_batch(values: list[float]) -> None:
    assert MAP(np.array(values)).tolist() == [MAP.at(value) for value in values]


def test_a_higher_margin_never_has_a_lower_probability() -> None:
    assert np.all(np.diff(MAP(np.linspace(-6, 6, 5000))) >= -1e-15)


def test_a_map_of_one_point_is_constant() -> None:
    constant = IsotonicMap(np.array([0.25]), np.array([0.6]))
    assert constant(np.array([-9.0, 0.25, 9.0])).tolist() == [0.6, 0.6, 0.6]
    assert constant.at(-9.0) == constant.at(9.0) == 0.6


@pytest.mark.parametrize(
    ("probability", "expected"),
    [(0.0, 0.001), (1.0, 0.999), (0.5, 0.5), (0.12345649, 0.123456), (0.1234565001, 0.123457)],
)
def test_a_stated_probability_is_bounded_and_has_six_decimals(
    probability: float, expected: float
) -> None:
    assert stated_one(probability) == expected


@given(st.lists(st.floats(0, 1), min_size=1))
def test_one_probability_is_stated_with_the_same_bits_as_in_a_batch(values: list[float]) -> None:
    assert stated(np.array(values)).tolist() == [stated_one(value) for value in values]
