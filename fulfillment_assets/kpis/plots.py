"""A picture of the KPIs over time."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from fulfillment_assets.kpis.series import Point

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INCHES: Final = (8.0, 3.6)
DPI: Final = 100

# Okabe and Ito's colours, which the colour-blind can tell apart.
_BARS: Final = "#BBD7EA"
_ON_TIME: Final = "#0072B2"
_ACTUAL: Final = "#D55E00"


def over_time(points: Sequence[Point]) -> Figure:
    """Orders as bars, and the expected and the actual on-time rate as lines, over days or hours."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    figure = Figure(figsize=INCHES, dpi=DPI, layout="constrained")
    bars = figure.add_subplot()
    starts = [float(date2num(p.start)) for p in points]  # type: ignore[no-untyped-call]
    step = starts[1] - starts[0] if len(starts) > 1 else 1.0
    orders = [point.orders for point in points]
    bars.bar(starts, orders, width=0.8 * step, align="edge", color=_BARS)
    bars.set_ylabel("orders")
    locator = AutoDateLocator()  # type: ignore[no-untyped-call]
    bars.xaxis.set_major_locator(locator)
    bars.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    lines = bars.twinx()
    for name, colour, rates in (
        ("expected on time", _ON_TIME, [point.on_time_rate for point in points]),
        ("actually on time", _ACTUAL, [point.actual_on_time_rate for point in points]),
    ):
        known = [
            (start, rate) for start, rate in zip(starts, rates, strict=True) if rate is not None
        ]
        if known:
            lines.plot(*zip(*known, strict=True), color=colour, marker=".", label=name)
    lines.set_ylim(0, 1)
    lines.yaxis.set_major_formatter(PercentFormatter(1))
    if lines.lines:
        lines.legend(loc="lower left", frameon=False)
    return figure


def png(figure: Figure) -> bytes:
    """A figure as a PNG file."""
    file = io.BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()
