"""The settings that change while the platform runs, declared once: name, type, range, default.

A new database has them with these defaults, from the migrations; a test holds the two together.
"""

from __future__ import annotations

import datetime as dt
import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class SettingError(ValueError):
    """A setting that is unknown, or a value that it cannot have; the text is for the user."""


class SettingKind(StrEnum):
    """What a setting holds."""

    NUMBER = "number"
    INTEGER = "integer"
    CHOICE = "choice"
    MOMENT = "moment"


@dataclass(frozen=True, slots=True)
class SettingSpec:
    """One setting.

    Attributes:
        name: its key in the table.
        kind: what it holds.
        default: what a new database has.
        description: meaning and unit.
        minimum: least number, inclusive.
        maximum: greatest number, inclusive.
        choices: the texts that it may be.
        by_hand: people may change it; otherwise the platform does.
    """

    name: str
    kind: SettingKind
    default: float | int | str
    description: str
    minimum: float = 0
    maximum: float = 1
    choices: tuple[str, ...] = ()
    by_hand: bool = True

    @property
    def rule(self) -> str:
        """What a value must be, in words."""
        match self.kind:
            case SettingKind.CHOICE:
                return f"one of {', '.join(self.choices)}"
            case SettingKind.MOMENT:
                return "an ISO 8601 date-time with its zone"
            case SettingKind.INTEGER:
                return f"a whole number from {self.minimum:g} to {self.maximum:g}"
            case SettingKind.NUMBER:
                return f"a number from {self.minimum:g} to {self.maximum:g}"

    def checked(self, value: object) -> float | int | str:
        """The value as it is stored; numbers may come as text.

        Raises:
            SettingError: it breaks the rule.
        """
        found: object
        match self.kind:
            case SettingKind.CHOICE:
                found = value if value in self.choices else None
            case SettingKind.MOMENT:
                found = _moment(value)
            case _:
                found = self._number(value)
        if not isinstance(found, str | int | float):
            raise SettingError(f"{self.name} must be {self.rule}, not {value!r}")
        return found

    def _number(self, value: object) -> float | int | None:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            return None
        try:
            number = float(value)
        except (ValueError, OverflowError):
            return None
        if not self.minimum <= number <= self.maximum:
            return None
        if self.kind is SettingKind.NUMBER:
            return number
        return int(number) if number.is_integer() else None


def _moment(value: object) -> str | None:
    try:
        return str(value) if dt.datetime.fromisoformat(str(value)).tzinfo is not None else None
    except ValueError:
        return None


def _number(name: str, default: float, description: str) -> SettingSpec:
    return SettingSpec(name, SettingKind.NUMBER, default, description)


def _integer(name: str, default: int, description: str, minimum: int, maximum: int) -> SettingSpec:
    return SettingSpec(name, SettingKind.INTEGER, default, description, minimum, maximum)


_SPECS: Final = (
    _number("severity_critical_above", 0.7, "Delay probability above which an order is critical."),
    _number(
        "severity_warning_above",
        0.5,
        "Delay probability above which an order is a warning, and not expected on time.",
    ),
    _number("severity_info_above", 0.3, "Delay probability above which an order is worth a note."),
    SettingSpec(
        "deviation_min_severity",
        SettingKind.CHOICE,
        "warning",
        "Least severity at which an order is a deviation.",
        choices=("info", "warning", "critical"),
    ),
    _integer("kpi_window_days", 30, "Length of the rolling KPI window, in days.", 1, 3_650),
    _integer(
        "segment_baseline_hours",
        168,
        "Hours before an hour that tell what a segment is usually like.",
        24,
        2_160,
    ),
    _integer(
        "segment_min_orders", 30, "Fewest orders by which a segment is judged.", 10, 1_000_000
    ),
    SettingSpec(
        "segment_false_alarms_per_day",
        SettingKind.NUMBER,
        0.05,
        "Largest share of days on which chance alone may raise a risk alarm for any segment.",
        minimum=0.000001,
        maximum=0.5,
    ),
    _number(
        "segment_min_excess",
        0.05,
        "Least rise of a segment's mean delay probability that is worth an alarm.",
    ),
    _number(
        "segment_critical_excess",
        0.1,
        "Rise of a segment's mean delay probability, or shortfall of its on-time rate, from which "
        "on it is critical.",
    ),
    _integer(
        "on_time_window_hours",
        24,
        "Hours over which the on-time rate is held against its target.",
        1,
        720,
    ),
    _number("on_time_rate_target", 0.6, "Share of orders that should be expected on time."),
    SettingSpec(
        "history_starts_at",
        SettingKind.MOMENT,
        "2000-01-01T00:00:00+00:00",
        "Events before this moment are no longer counted; moved on by retention.",
        by_hand=False,
    ),
)

SETTINGS: Final[Mapping[str, SettingSpec]] = {spec.name: spec for spec in _SPECS}
"""Every setting, by name."""

ASCENDING: Final = ("severity_info_above", "severity_warning_above", "severity_critical_above")
"""Settings of which none may be greater than the next."""


def spec_of(name: str) -> SettingSpec:
    """The declaration of a setting.

    Raises:
        SettingError: there is none of that name; the text suggests the nearest.
    """
    if name in SETTINGS:
        return SETTINGS[name]
    near = difflib.get_close_matches(name, SETTINGS, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]}? " if near else ""
    raise SettingError(
        f"there is no setting {name!r}; {hint}`fulfillment settings list` shows them all"
    )
