"""What is told of how the model treats women and men."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fulfillment_assets.delay_model.training.data import TrainingData
from fulfillment_assets.delay_model.training.fairness import (
    FairnessReport,
    group_figures,
    measure_fairness,
)
from fulfillment_assets.delay_model.training.split import split

RESAMPLES = 60


@pytest.fixture(scope="module")
def even(simulated: TrainingData) -> FairnessReport:
    """Of simulated orders, whose lateness has nothing to do with gender."""
    return measure_fairness(simulated, resamples=RESAMPLES)


@pytest.fixture(scope="module")
def uneven(simulated: TrainingData) -> FairnessReport:
    """Of the same orders, but most of the women's are late."""
    women = np.asarray(simulated.features["gender"].to_pylist()) == "F"
    unlucky = np.random.default_rng(3).random(len(women)) < 0.8
    late = np.where(women & unlucky, 1, simulated.late).astype(np.int8)
    return measure_fairness(replace(simulated, late=late), resamples=RESAMPLES)


def test_the_figures_of_a_group_are_the_known_rates() -> None:
    late = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0], np.int8)
    probability = np.array([0.9, 0.8, 0.6, 0.4, 0.6, 0.5, 0.4, 0.4, 0.4, 0.2])
    figures = group_figures(late, probability)
    assert figures == {
        "late_share": 0.4,
        "called_late": 0.4,
        "called_critical": 0.2,
        "recall": 0.75,
        "false_positive_rate": pytest.approx(1 / 6),
        "precision": 0.75,
        "brier": pytest.approx(np.mean((probability - late) ** 2)),
        "ece": pytest.approx(figures["ece"]),
        "roc_auc": pytest.approx((6 + 6 + 5.5 + 2.5) / 24),
    }
    assert 0 < figures["ece"] < 1


def test_a_group_that_nothing_is_called_late_of_has_no_precision() -> None:
    figures = group_figures(np.array([0, 1], np.int8), np.array([0.1, 0.2]))
    assert (figures["called_late"], figures["precision"], figures["recall"]) == (0.0, 0.0, 0.0)


def test_every_order_that_is_learnt_from_is_judged_once(
    even: FairnessReport, simulated: TrainingData
) -> None:
    learnt, _ = split(simulated)
    assert even.orders == len(learnt.late) == sum(group.orders for group in even.groups)
    assert [group.name for group in even.groups] == ["F", "M"]
    assert even.source == simulated.source


def test_where_gender_does_not_matter_little_difference_is_found(even: FairnessReport) -> None:
    for name in ("called_late", "recall", "false_positive_rate", "brier", "roc_auc"):
        assert abs(even.difference[name].value) < 0.06, name
    assert abs(even.without["brier"].value) < 0.002
    assert even.swap.mean_change < 0.02


def test_where_gender_matters_the_difference_is_found(uneven: FairnessReport) -> None:
    women, men = uneven.groups
    assert women.figures["late_share"].value > 0.9
    assert men.figures["late_share"].value < 0.7
    assert uneven.difference["called_late"].low > 0.2
    assert uneven.without["brier"].low > 0.005, "what the feature is worth"
    assert uneven.swap.called_late > 0.3, "and what it decides"


def test_differences_are_those_of_the_groups(uneven: FairnessReport) -> None:
    women, men = uneven.groups
    for name, estimate in uneven.difference.items():
        expected = women.figures[name].value - men.figures[name].value
        assert estimate.value == pytest.approx(expected, abs=2e-6)
        assert estimate.low <= estimate.high


def test_equal_data_give_an_equal_report(even: FairnessReport, simulated: TrainingData) -> None:
    assert measure_fairness(simulated, resamples=RESAMPLES) == even
