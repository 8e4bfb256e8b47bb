import numpy as np
import pytest

from fulfillment_assets.delay_model.bands import (
    DEFAULT_THRESHOLDS,
    SEVERITIES,
    measure_bands,
    severity_codes,
)


@pytest.mark.parametrize(
    ("probability", "severity"),
    [
        (0.001, "none"),
        (0.3, "none"),
        (0.300001, "info"),
        (0.5, "info"),
        (0.500001, "warning"),
        (0.7, "warning"),
        (0.700001, "critical"),
        (0.999, "critical"),
    ],
)
def test_a_probability_above_a_threshold_has_its_severity(
    probability: float, severity: str
) -> None:
    [code] = severity_codes(np.array([probability]), DEFAULT_THRESHOLDS)
    assert SEVERITIES[code] == severity


def test_bands_measure_size_and_precision_gravest_first() -> None:
    probability = np.array([0.9, 0.8, 0.8, 0.75, 0.6, 0.4, 0.4, 0.4])
    late = np.array([1, 1, 1, 0, 1, 0, 0, 1], np.int8)
    critical, warning, info, none = measure_bands(probability, late, DEFAULT_THRESHOLDS)
    assert (critical.severity, critical.share, critical.late_rate) == ("critical", 0.5, 0.75)
    assert (critical.above, critical.up_to) == (0.7, 1.0)
    assert (warning.severity, warning.share, warning.late_rate) == ("warning", 0.125, 1.0)
    assert (info.severity, info.share, info.late_rate) == ("info", 0.375, 0.333333)
    assert (none.severity, none.share, none.late_rate) == ("none", 0.0, None)
