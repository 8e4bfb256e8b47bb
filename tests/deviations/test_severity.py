from __future__ import annotations

import numpy as np
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from fulfillment_assets.deviations.severity import (
    SegmentThresholds,
    Thresholds,
    load_thresholds,
    severity_names,
)
from fulfillment_assets.store.settings_table import write_setting

JUST_ABOVE = {bound: float(np.nextafter(bound, 1)) for bound in (0.3, 0.5, 0.7)}


@pytest.mark.parametrize(
    ("probability", "severity"),
    [
        (0.0, "none"),
        (0.2, "none"),
        (0.3, "none"),
        (JUST_ABOVE[0.3], "info"),
        (0.4, "info"),
        (0.5, "info"),
        (JUST_ABOVE[0.5], "warning"),
        (0.6, "warning"),
        (0.7, "warning"),
        (JUST_ABOVE[0.7], "critical"),
        (0.9, "critical"),
        (1.0, "critical"),
    ],
)
def test_only_what_lies_above_a_threshold_has_its_severity(
    probability: float, severity: str
) -> None:
    codes = Thresholds().classify(np.array([probability]))
    assert severity_names(codes).to_pylist() == [severity]


def test_a_batch_is_classified_as_each_of_its_orders() -> None:
    probability = np.linspace(0, 1, 1001)
    codes = Thresholds().classify(probability)
    assert codes.dtype == np.int8
    assert codes.tolist() == [int(Thresholds().classify(p[None])[0]) for p in probability]
    assert Thresholds().classify(np.empty(0)).tolist() == []


def test_equal_thresholds_leave_a_severity_without_orders() -> None:
    codes = Thresholds(info=0.5, warning=0.5, critical=0.5).classify(np.array([0.5, 0.51]))
    assert severity_names(codes).to_pylist() == ["none", "critical"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"info": 0.6},
        {"warning": 0.8},
        {"critical": 0.4},
        {"critical": 1.01},
        {"info": -0.01},
        {"warning": float("nan")},
    ],
)
def test_thresholds_that_do_not_ascend_within_0_to_1_are_refused(wrong: dict[str, float]) -> None:
    [(name, value)] = wrong.items()
    with pytest.raises(ValueError, match=f"must ascend within 0 to 1: .*{name} {value}"):
        Thresholds(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("severity", ["none", "grave", ""])
def test_a_least_severity_that_is_no_deviation_is_refused(severity: str) -> None:
    with pytest.raises(ValueError, match="must be one of info, warning, critical"):
        Thresholds(deviation_min_severity=severity)


def test_a_new_database_has_the_default_thresholds(engine: Engine) -> None:
    with engine.connect() as connection:
        assert load_thresholds(connection) == Thresholds()


def test_thresholds_come_from_the_settings(engine: Engine) -> None:
    segments = SegmentThresholds(48, 50, 0.01, 0.02, 0.2, 12, 0.8)
    wanted = Thresholds(0.1, 0.2, 0.9, "info", segments)
    with engine.begin() as connection:
        for key, value in {
            "severity_info_above": 0.1,
            "severity_warning_above": 0.2,
            "severity_critical_above": 0.9,
            "deviation_min_severity": "info",
            "segment_baseline_hours": 48,
            "segment_min_orders": 50,
            "segment_false_alarms_per_day": 0.01,
            "segment_min_excess": 0.02,
            "segment_critical_excess": 0.2,
            "on_time_window_hours": 12,
            "on_time_rate_target": 0.8,
        }.items():
            write_setting(connection, key, value, changed_by="test")
    with engine.connect() as connection:
        assert load_thresholds(connection) == wanted


def test_settings_that_contradict_one_another_are_refused(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(
            sa.text("UPDATE settings SET value = '0.9' WHERE key = 'severity_info_above'")
        )
        with pytest.raises(ValueError, match="must ascend"):
            load_thresholds(connection)
