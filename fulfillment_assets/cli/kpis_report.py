"""The KPIs as text and as JSON."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any, Final

from pydantic import TypeAdapter
from rich.table import Table

from fulfillment_assets.cli.text import results
from fulfillment_assets.kpis.dashboard import Dashboard
from fulfillment_assets.kpis.ranking import CONFIDENCE, MINIMUM_ORDERS
from fulfillment_assets.kpis.reads import Kpis
from fulfillment_assets.kpis.rollups import DIMENSIONS

_KPIS: Final = TypeAdapter(list[Kpis])
_DASHBOARD: Final = TypeAdapter(Dashboard)


def chosen(found: Dashboard, by: Sequence[str] | None) -> list[Kpis]:
    """The segments of the combination that was asked for, or of each dimension."""
    if by is not None:
        return found.by(*by)
    return [kpis for name in DIMENSIONS for kpis in found.by(name)]


def summary(found: Dashboard, by: Sequence[str] | None, segments: Sequence[Kpis]) -> dict[str, Any]:
    """The KPIs, for `--json`."""
    told = _DASHBOARD.dump_python(found, mode="json")
    return {
        "start": told["start"],
        "end": told["end"],
        "by": None if by is None else list(by),
        "overall": told["overall"],
        "segments": _KPIS.dump_python(list(segments), mode="json"),
        "riskiest_segments": told["riskiest"],
        "daily": told["daily"],
        "hourly": told["hourly"],
    }


def print_kpis(found: Dashboard, by: Sequence[str] | None, segments: Sequence[Kpis]) -> None:
    """The KPIs, for people."""
    results.print(f"KPIs from {_shown(found.start)} to {_shown(found.end)}", soft_wrap=True)
    results.print(_overall(found.overall))
    for names in [by] if by is not None else [(name,) for name in DIMENSIONS]:
        rows = [kpis for kpis in segments if set(kpis.segment) == set(names)]
        if rows:
            results.print(_segments(rows, f"By {', '.join(map(_spoken, names))}"))
    if found.riskiest:
        results.print(_riskiest(found))


def _overall(kpis: Kpis) -> Table:
    table = Table(show_header=False)
    table.add_column()
    table.add_column(justify="right")
    severities = ", ".join(f"{count:,} {name}" for name, count in kpis.severities.items())
    for name, value in {
        "orders": f"{kpis.orders:,}",
        "mean delay probability": _share(kpis.mean_probability),
        "expected on time": _share(kpis.on_time_rate),
        "high risk": f"{kpis.high_risk:,}",
        "on their way, not on time": f"{kpis.gaps:,}",
        "by severity": severities,
        "outcomes known": f"{kpis.known:,}",
        "of these on time": _share(kpis.actual_on_time_rate),
        "of these predicted on time": _share(kpis.predicted_on_time_rate),
        "by their probabilities": _share(kpis.expected_on_time_rate),
    }.items():
        table.add_row(name, value)
    return table


def _segments(rows: Sequence[Kpis], title: str) -> Table:
    table = Table(title=title, title_justify="left")
    for name in rows[0].segment:
        table.add_column(_spoken(name))
    headings = ("orders", "mean risk", "on time", "high risk", "gaps", "known", "were on time")
    for name in headings:
        table.add_column(name, justify="right")
    for kpis in rows:
        table.add_row(
            *kpis.segment.values(),
            f"{kpis.orders:,}",
            _share(kpis.mean_probability),
            _share(kpis.on_time_rate),
            f"{kpis.high_risk:,}",
            f"{kpis.gaps:,}",
            f"{kpis.known:,}",
            _share(kpis.actual_on_time_rate),
        )
    return table


def _riskiest(found: Dashboard) -> Table:
    title = (
        f"Riskiest segments of {MINIMUM_ORDERS} orders and more, "
        "by the lower end of the mean's interval"
    )
    table = Table(title=title, title_justify="left")
    for name in DIMENSIONS:
        table.add_column(_spoken(name))
    for name in ("orders", "mean risk", f"{CONFIDENCE:.0%} interval", "high risk"):
        table.add_column(name, justify="right")
    for one in found.riskiest:
        table.add_row(
            *one.segment.values(),
            f"{one.orders:,}",
            _share(one.mean_probability),
            f"{_share(one.low)} to {_share(one.high)}",
            f"{one.high_risk:,}",
        )
    return table


def _spoken(dimension: str) -> str:
    return dimension.replace("_", " ")


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _shown(moment: dt.datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
