"""Severity of a delay probability."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from sqlalchemy.engine import Connection

from fulfillment_assets.delay_model.bands import (
    DEFAULT_THRESHOLDS,
    SEVERITIES,
    severity_codes,
)
from fulfillment_assets.store.setting_specs import SETTINGS
from fulfillment_assets.store.settings_table import read_settings

_THRESHOLDS: Final = {
    "info": "severity_info_above",
    "warning": "severity_warning_above",
    "critical": "severity_critical_above",
    "deviation_min_severity": "deviation_min_severity",
}
_SEGMENTS: Final = {
    "baseline_hours": "segment_baseline_hours",
    "min_orders": "segment_min_orders",
    "false_alarms_per_day": "segment_false_alarms_per_day",
    "min_excess": "segment_min_excess",
    "critical_excess": "segment_critical_excess",
    "on_time_hours": "on_time_window_hours",
    "on_time_target": "on_time_rate_target",
}


def _default(name: str) -> Any:
    return SETTINGS[_SEGMENTS[name]].default


@dataclass(frozen=True, slots=True)
class SegmentThresholds:
    """When a segment of orders deviates; the settings of these names say what each is."""

    baseline_hours: int = _default("baseline_hours")
    min_orders: int = _default("min_orders")
    false_alarms_per_day: float = _default("false_alarms_per_day")
    min_excess: float = _default("min_excess")
    critical_excess: float = _default("critical_excess")
    on_time_hours: int = _default("on_time_hours")
    on_time_target: float = _default("on_time_target")


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Probabilities above which an order is info, a warning, or critical.

    An order at or below `warning` is expected on time. `segments` are the thresholds of segments.
    """

    info: float = DEFAULT_THRESHOLDS["info"]
    warning: float = DEFAULT_THRESHOLDS["warning"]
    critical: float = DEFAULT_THRESHOLDS["critical"]
    deviation_min_severity: str = "warning"
    segments: SegmentThresholds = field(default_factory=SegmentThresholds)

    def __post_init__(self) -> None:
        """Refuse thresholds that are out of order."""
        if not 0 <= self.info <= self.warning <= self.critical <= 1:
            raise ValueError(
                f"thresholds must ascend within 0 to 1: info {self.info}, "
                f"warning {self.warning}, critical {self.critical}"
            )
        if self.deviation_min_severity not in SEVERITIES[1:]:
            raise ValueError(f"deviation_min_severity must be one of {', '.join(SEVERITIES[1:])}")

    def classify(self, probability: npt.NDArray[np.float64]) -> npt.NDArray[np.int8]:
        """Codes (n,) of `SEVERITIES` for probabilities (n,); a threshold itself is not above."""
        bounds = {"info": self.info, "warning": self.warning, "critical": self.critical}
        return severity_codes(probability, bounds)

    def severity_of(self, probability: float) -> str:
        """The severity of one probability, as `classify` has it."""
        return SEVERITIES[bisect_left((self.info, self.warning, self.critical), probability)]

    @property
    def deviation_code(self) -> int:
        """The code of the least severity at which an order is a deviation."""
        return SEVERITIES.index(self.deviation_min_severity)


def severity_names(codes: npt.NDArray[np.int8]) -> pa.Array:
    """The names of severity codes, as a text column."""
    return pa.array(SEVERITIES).take(pa.array(codes))


def load_thresholds(connection: Connection) -> Thresholds:
    """The thresholds in force, from the `settings` table, in one statement."""
    found = read_settings(connection, [*_THRESHOLDS.values(), *_SEGMENTS.values()])
    return Thresholds(
        **{name: found[key] for name, key in _THRESHOLDS.items()},
        segments=SegmentThresholds(**{name: found[key] for name, key in _SEGMENTS.items()}),
    )
