import numpy as np
import pytest

from fulfillment_assets.delay_model.metrics import (
    Metric,
    evaluate,
    expected_calibration_error,
    summarise,
)

LATE = np.array([1, 1, 1, 0, 0, 0], np.int8)


def test_a_perfect_prediction_has_perfect_metrics() -> None:
    metrics = evaluate(LATE, np.where(LATE, 0.999, 0.001))
    for name in ("accuracy", "precision", "recall", "f1", "mcc", "roc_auc", "pr_auc"):
        assert metrics[name] == pytest.approx(1.0), name
    for name in ("brier", "log_loss", "ece"):
        assert metrics[name] == pytest.approx(0.0, abs=2e-3), name


def test_an_inverted_prediction_has_the_worst_metrics() -> None:
    metrics = evaluate(LATE, np.where(LATE, 0.001, 0.999))
    assert metrics["accuracy"] == metrics["roc_auc"] == metrics["recall"] == 0.0
    assert metrics["mcc"] == -1.0


def test_late_is_the_positive_class() -> None:
    metrics = evaluate(LATE, np.array([0.9, 0.4, 0.4, 0.4, 0.4, 0.4]))
    assert metrics["precision"] == 1.0
    assert metrics["recall"] == pytest.approx(1 / 3)


def test_the_calibration_error_is_the_weighted_gap_of_ten_bins() -> None:
    probability = np.array([0.85, 0.85, 0.85, 0.85, 0.25, 0.25, 1.0, 0.0])
    late = np.array([1, 1, 1, 0, 0, 1, 1, 0], np.int8)
    gap = (4 * abs(0.85 - 0.75) + 2 * abs(0.25 - 0.5)) / 8
    assert expected_calibration_error(late, probability) == pytest.approx(gap)


def test_folds_are_summarised_by_mean_and_sample_deviation() -> None:
    assert summarise([{"brier": 0.1}, {"brier": 0.3}]) == {"brier": Metric(mean=0.2, std=0.141421)}
