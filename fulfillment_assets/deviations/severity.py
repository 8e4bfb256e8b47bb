"""Severity of a delay probability."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from sqlalchemy.engine import Connection

from fulfillment_assets.delay_model.bands import (
    DEFAULT_THRESHOLDS,
    SEVERITIES,
    severity_codes,
)
from fulfillment_assets.store.settings_table import read_setting


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Probabilities above which an order is info, a warning, or critical.

    An order at or below `warning` is expected on time.
    """

    info: float = DEFAULT_THRESHOLDS["info"]
    warning: float = DEFAULT_THRESHOLDS["warning"]
    critical: float = DEFAULT_THRESHOLDS["critical"]
    deviation_min_severity: str = "warning"

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

    @property
    def deviation_code(self) -> int:
        """The code of the least severity at which an order is a deviation."""
        return SEVERITIES.index(self.deviation_min_severity)


def severity_names(codes: npt.NDArray[np.int8]) -> pa.Array:
    """The names of severity codes, as a text column."""
    return pa.array(SEVERITIES).take(pa.array(codes))


def load_thresholds(connection: Connection) -> Thresholds:
    """The thresholds in force, from the `settings` table."""
    return Thresholds(
        info=float(read_setting(connection, "severity_info_above")),
        warning=float(read_setting(connection, "severity_warning_above")),
        critical=float(read_setting(connection, "severity_critical_above")),
        deviation_min_severity=str(read_setting(connection, "deviation_min_severity")),
    )
