"""When orders count as unlike those that the model learnt from."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from fulfillment_assets.delay_model.artifacts import read_files, read_metadata
from fulfillment_assets.delay_model.drift import (
    FAIL_ABOVE,
    MINIMUM_ORDERS,
    SIGNIFICANCE,
    WARN_ABOVE,
    Bins,
    FeatureDrift,
    chi_square,
    feature_bins,
    feature_drift,
    population_stability_index,
)
from fulfillment_assets.delay_model.metadata import ModelMetadata
from fulfillment_assets.delay_model.profile import NumberProfile, TrainingProfile, learn_profile
from fulfillment_assets.delay_model.verdict import VERDICTS, gravest
from fulfillment_assets.orders.simulator import training_frame
from fulfillment_assets.settings import PROJECT_ROOT

HALVES = Bins(("left", "right"), (0.5, 0.5))
BLOCKS = Bins(("A", "B", "C", "D", "E", "F"), (0.2, 0.2, 0.2, 0.2, 0.0, 0.2))
ROWS = 8_000


@pytest.fixture(scope="module")
def committed() -> ModelMetadata:
    return read_metadata(read_files(PROJECT_ROOT / "models"))


def halves(left: int, right: int) -> FeatureDrift:
    return feature_drift("gender", HALVES, ROWS, [left, right])


def counted(profile: TrainingProfile, features: pa.Table, name: str) -> list[int]:
    """Orders in each bin, worked out one value at a time."""
    values = features[name].to_pylist()
    if name in profile.numbers:
        edges = profile.numbers[name].edges
        positions = [sum(edge <= value for edge in edges) for value in values]
        return [positions.count(bin_) for bin_ in range(len(edges) + 1)]
    return [values.count(choice) for choice in profile.categories[name]]


def day_of(committed: ModelMetadata, features: pa.Table) -> list[FeatureDrift]:
    profile, rows = committed.profile, committed.training_data.rows
    return [
        feature_drift(name, bins, rows, counted(profile, features, name))
        for name, bins in feature_bins(profile).items()
    ]


class TestIndex:
    def test_it_is_the_sum_of_the_symmetric_divergences_of_the_bins(self) -> None:
        expected, actual = np.array([0.5, 0.3, 0.2]), np.array([0.4, 0.3, 0.3])
        by_hand = (0.4 - 0.5) * math.log(0.4 / 0.5) + 0 + (0.3 - 0.2) * math.log(0.3 / 0.2)
        assert population_stability_index(expected, actual) == pytest.approx(by_hand)
        kullback_leibler = stats.entropy(actual, expected) + stats.entropy(expected, actual)
        assert population_stability_index(expected, actual) == pytest.approx(kullback_leibler)

    def test_it_is_nothing_for_equal_shares(self) -> None:
        shares = np.array([0.7, 0.3, 0.0])
        assert population_stability_index(shares, shares) == 0

    def test_an_empty_bin_counts_as_one_order_in_ten_thousand(self) -> None:
        expected, actual = np.array([0.9, 0.1]), np.array([1.0, 0.0])
        filled = population_stability_index(expected, np.array([1.0, 1e-4]))
        assert population_stability_index(expected, actual) == filled > FAIL_ABOVE


class TestChiSquare:
    def test_it_is_pearsons_test_of_the_two_samples(self) -> None:
        training, found = np.array([700.0, 300.0]), np.array([150, 50])
        test = chi_square(training, found)
        expected = np.array([[850, 350], [850, 350]]) * np.array([[1000], [200]]) / 1200
        statistic = ((np.array([training, found]) - expected) ** 2 / expected).sum()
        assert test.statistic == pytest.approx(statistic)
        assert test.degrees_of_freedom == 1
        assert test.p_value == pytest.approx(stats.chi2.sf(statistic, 1))

    def test_a_bin_that_both_lack_does_not_count(self) -> None:
        with_it = chi_square(np.array([700.0, 0.0, 300.0]), np.array([150, 0, 50]))
        assert with_it == chi_square(np.array([700.0, 300.0]), np.array([150, 50]))

    def test_a_feature_of_one_bin_cannot_move(self) -> None:
        [drifted] = [feature_drift("cost_of_product", Bins(("any value",), (1.0,)), ROWS, [500])]
        assert (drifted.psi, drifted.test.p_value, drifted.verdict) == (0, 1, "ok")

    def test_samples_of_one_distribution_are_told_apart_as_rarely_as_promised(self) -> None:
        random = np.random.default_rng(1)
        shares = np.array([0.1, 0.2, 0.3, 0.4])
        p_values = [
            chi_square(
                random.multinomial(2_000, shares).astype(float), random.multinomial(500, shares)
            ).p_value
            for _ in range(300)
        ]
        assert stats.kstest(p_values, "uniform").pvalue > 0.01


class TestVerdict:
    @pytest.mark.parametrize(
        ("left", "verdict"), [(500, "ok"), (640, "ok"), (670, "warn"), (730, "warn"), (760, "fail")]
    )
    def test_the_index_decides(self, left: int, verdict: str) -> None:
        drifted = halves(left, 1_000 - left)
        assert drifted.verdict == verdict
        grave = [limit for limit in (WARN_ABOVE, FAIL_ABOVE) if drifted.psi > limit]
        assert len(grave) == ("ok", "warn", "fail").index(verdict)

    def test_what_chance_explains_is_no_drift(self) -> None:
        many = tuple(1 / 100 for _ in range(100))
        counts = np.random.default_rng(2).multinomial(MINIMUM_ORDERS, many)
        drifted = feature_drift(
            "cost_of_product", Bins(tuple(map(str, range(100))), many), ROWS, counts
        )
        assert drifted.psi > FAIL_ABOVE
        assert drifted.test.p_value > SIGNIFICANCE
        assert drifted.verdict == "ok"
        assert "chance explains it" in drifted.finding.message

    def test_too_few_orders_tell_nothing(self) -> None:
        assert halves(MINIMUM_ORDERS - 1, 0).verdict == "too_few"
        assert halves(MINIMUM_ORDERS, 0).verdict == "fail"
        assert halves(7, 0).finding.message == ("gender: 7 orders are too few to tell; 300 are not")

    def test_it_names_the_bin_that_moved_most(self) -> None:
        drifted = feature_drift(
            "mode_of_shipment",
            Bins(("Ship", "Flight", "Road"), (0.7, 0.2, 0.1)),
            ROWS,
            [300, 200, 500],
        )
        assert drifted.finding.message == (
            "mode_of_shipment: PSI 0.98 is above 0.25: Road is 50.0% of the orders, 10.0% in "
            "training"
        )

    def test_the_gravest_of_all_counts(self) -> None:
        assert [gravest(VERDICTS[:n]) for n in range(5)] == ["too_few", *VERDICTS]


class TestBins:
    def test_a_block_by_its_other_name_is_the_same_block(self) -> None:
        as_e = feature_drift("warehouse_block", BLOCKS, ROWS, [200, 200, 200, 200, 200, 0])
        as_f = feature_drift("warehouse_block", BLOCKS, ROWS, [200, 200, 200, 200, 0, 200])
        mixed = feature_drift("warehouse_block", BLOCKS, ROWS, [200, 200, 200, 200, 90, 110])
        assert as_e == as_f == mixed
        assert (as_e.psi, as_e.orders, as_e.test.degrees_of_freedom) == (0, 1_000, 4)

    def test_a_category_that_training_lacked_is_drift(self) -> None:
        bins = Bins(("Ship", "Flight", "Road"), (0.8, 0.2, 0.0))
        drifted = feature_drift("mode_of_shipment", bins, ROWS, [700, 200, 100])
        assert drifted.verdict == "fail"
        assert "Road is 10.0% of the orders, 0.0% in training" in drifted.finding.message

    def test_numbers_lie_between_the_edges_and_the_names_say_so(self) -> None:
        profile = TrainingProfile(
            numbers={
                "cost_of_product": NumberProfile(
                    quantiles=(), edges=(2, 3.5), shares=(0.2, 0.3, 0.5)
                )
            },
            categories={"gender": {"F": 0.5, "M": 0.5}},
        )
        assert feature_bins(profile) == {
            "cost_of_product": Bins(("below 2", "2 to below 3.5", "3.5 or more"), (0.2, 0.3, 0.5)),
            "gender": Bins(("F", "M"), (0.5, 0.5)),
        }

    def test_the_training_orders_themselves_have_not_moved(self) -> None:
        features, _ = training_frame(3_000, 4)
        profile = learn_profile(features)
        for name, bins in feature_bins(profile).items():
            drifted = feature_drift(name, bins, 3_000, counted(profile, features, name))
            assert drifted.psi == pytest.approx(0, abs=1e-6), name
            assert drifted.test.p_value > 0.999, name


class TestCommittedModel:
    """The simulator imitates the orders that it learnt from: they are no drift, a mix is."""

    @pytest.mark.parametrize("orders", [MINIMUM_ORDERS, 1_000, 3_000])
    def test_no_day_of_many_drifts(self, orders: int, committed: ModelMetadata) -> None:
        features, _ = training_frame(orders * 40, 7)
        for day in range(40):
            found = day_of(committed, features.slice(day * orders, orders))
            assert {feature.verdict for feature in found} == {"ok"}, day

    def test_the_simulator_is_as_good_as_its_model(self, committed: ModelMetadata) -> None:
        found = day_of(committed, training_frame(50_000, 3)[0])
        assert max(feature.psi for feature in found) < 0.005

    @pytest.mark.parametrize(
        ("feature", "change"),
        [
            ("discount_offered", lambda values: [min(100, 2 * value) for value in values]),
            ("weight_in_gms", lambda values: [value * 0.8 for value in values]),
            ("customer_care_calls", lambda values: [value + 1 for value in values]),
            ("mode_of_shipment", lambda values: ["Flight" for _ in values]),
            ("customer_rating", lambda values: [max(value, 4) for value in values]),
        ],
    )
    def test_a_changed_feature_drifts_and_no_other(
        self, feature: str, change: Any, committed: ModelMetadata
    ) -> None:
        features, _ = training_frame(MINIMUM_ORDERS, 8)
        position = features.column_names.index(feature)
        changed = features.set_column(
            position, feature, pa.array(change(features[feature].to_pylist()))
        )
        verdicts = {f.feature: f.verdict for f in day_of(committed, changed)}
        assert {name for name, verdict in verdicts.items() if verdict != "ok"} == {feature}
