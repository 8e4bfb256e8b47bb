"""How good predictions were, and what counts as worse than chance explains."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn import metrics as reference

from fulfillment_assets.delay_model.label import Labels
from fulfillment_assets.delay_model.metrics import Metric, expected_calibration_error
from fulfillment_assets.delay_model.verdict import Finding, gravest
from fulfillment_assets.monitoring.measures import (
    Floats,
    against_validated,
    calibration,
    honest_calibration_error,
    measure,
)
from fulfillment_assets.orders.simulator import training_frame
from tests.kpis.examples import committed_scorer

VALIDATED = committed_scorer().metadata.metrics
FOLDS = committed_scorer().metadata.validation.folds


def orders(count: int, seed: int = 1) -> tuple[Labels, Floats]:
    """What became of simulated orders, and what the committed model says of them."""
    features, late = training_frame(count, seed)
    return late, committed_scorer().score(features).probability


def findings(late: Labels, probability: Floats, **validated: Metric) -> list[Finding]:
    known = VALIDATED | validated
    return list(against_validated(measure(late, probability), late, probability, known, FOLDS))


def verdict(late: Labels, probability: Floats) -> str:
    return gravest(("ok", *(finding.verdict for finding in findings(late, probability))))


def test_the_measures_are_those_of_scikit_learn() -> None:
    late, probability = orders(2_000)
    measures = measure(late, probability)
    assert measures.orders == 2_000
    assert measures.late == late.sum()
    assert measures.mean_probability == pytest.approx(probability.mean())
    assert measures.accuracy == pytest.approx(reference.accuracy_score(late, probability > 0.5))
    assert measures.roc_auc == pytest.approx(reference.roc_auc_score(late, probability))
    assert measures.brier == pytest.approx(reference.brier_score_loss(late, probability))
    assert measures.ece == expected_calibration_error(late, probability)


@pytest.mark.parametrize("outcome", [0, 1])
def test_orders_of_one_outcome_have_no_ranking(outcome: int) -> None:
    assert measure(np.full(400, outcome, np.int8), np.full(400, 0.5)).roc_auc is None


@pytest.mark.parametrize(("punctual", "judged"), [(0, False), (19, False), (20, True)])
def test_a_ranking_is_judged_where_there_are_orders_of_both_outcomes(
    punctual: int, judged: bool
) -> None:
    late = np.arange(400) >= punctual
    found = findings(late.astype(np.int8), np.linspace(0.9, 0.1, 400))
    assert any(finding.message.startswith("ROC-AUC 0.000 ") for finding in found) is judged


@pytest.mark.parametrize("count", [1_000, 10_000])
def test_honest_predictions_are_found_fault_with_on_no_day(count: int) -> None:
    assert [findings(*orders(count, seed)) for seed in range(20)] == [[]] * 20


@pytest.mark.parametrize("count", [300, 3_000])
class TestBadModel:
    def test_of_shuffled_outcomes_fails(self, count: int) -> None:
        late, probability = orders(count)
        assert verdict(np.random.default_rng(1).permutation(late), probability) == "fail"

    def test_turned_around_fails(self, count: int) -> None:
        late, probability = orders(count)
        assert verdict(late, 1 - probability) == "fail"

    def test_that_knows_nothing_fails(self, count: int) -> None:
        late, probability = orders(count)
        assert verdict(late, np.full(count, probability.mean())) == "fail"

    def test_that_says_a_quarter_too_much_fails_by_calibration(self, count: int) -> None:
        late, probability = orders(count)
        found = findings(late, np.clip(probability + 0.25, 0.001, 0.999))
        assert Finding("fail", found[-1].message) == found[-1]
        assert found[-1].message.startswith("calibration error 0.")
        assert f"{late.mean():.1%} were" in found[-1].message


def test_a_little_worse_warns() -> None:
    late, probability = orders(3_000)
    found = findings(late, np.clip(probability + 0.07, 0.001, 0.999))
    assert {finding.verdict for finding in found} == {"warn"}


def test_better_than_promised_is_no_fault() -> None:
    late, probability = orders(3_000)
    assert findings(late, np.where(late == 1, 0.99, 0.01)) == []
    promised = {"brier": Metric(mean=0.25, std=0.001), "roc_auc": Metric(mean=0.5, std=0.001)}
    assert findings(late, probability, **promised) == []


@pytest.mark.parametrize(
    ("name", "promised", "found"),
    [("brier", 0.14, "Brier score 0.1"), ("roc_auc", 0.82, "ROC-AUC 0.7")],
)
def test_what_was_promised_is_granted_the_spread_of_its_folds(
    name: str, promised: float, found: str
) -> None:
    late, probability = orders(5_000)
    [finding] = findings(late, probability, **{name: Metric(mean=promised, std=0.001)})
    assert finding.message.startswith(found)
    assert finding.verdict in ("warn", "fail")
    assert findings(late, probability, **{name: Metric(mean=promised, std=0.1)}) == []


def test_the_interval_of_chance_is_that_of_many_samples() -> None:
    """The bounds that a finding names, held against what 200 other samples show."""
    late, probability = orders(200_000)
    never = {"brier": Metric(mean=0.0, std=0.0), "roc_auc": Metric(mean=1.0, std=0.0)}
    first = findings(late[:1_000], probability[:1_000], **never)
    by_figure = {finding.message.split()[0]: finding.message for finding in first}
    parts = (slice(start, start + 1_000) for start in range(0, 200_000, 1_000))
    samples = [measure(late[part], probability[part]) for part in parts]
    for figure, seen in (
        ("Brier", np.array([sample.brier for sample in samples])),
        ("ROC-AUC", np.array([sample.roc_auc for sample in samples])),
    ):
        low, high = _bounds(by_figure[figure])
        assert high - low == pytest.approx(2 * 2.576 * seen.std(), rel=0.2)


def _bounds(message: str) -> tuple[float, float]:
    low, high = message.split("by chance ")[1].split(")")[0].split(" to ")
    return float(low), float(high)


class TestCalibration:
    def test_honest_probabilities_rarely_err_more_than_chance_explains(self) -> None:
        random = np.random.default_rng(3)
        _, probability = orders(800)
        limit = honest_calibration_error(probability)
        errors = [
            expected_calibration_error(
                (random.random(800) < probability).astype(np.int8), probability
            )
            for _ in range(4_000)
        ]
        assert 0.001 < np.mean(np.array(errors) > limit) < 0.01

    @pytest.mark.parametrize("late_share", [0.0, 1.0])
    def test_a_group_of_easy_or_of_hard_orders_can_be_calibrated(self, late_share: float) -> None:
        late, probability = orders(8_000)
        group: Any = (probability > 0.7) if late_share else (probability <= 0.7)
        measures = measure(late[group], probability[group])
        assert list(calibration(measures, probability[group], VALIDATED)) == []
