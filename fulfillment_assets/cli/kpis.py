"""Commands about the KPIs."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Final

import typer
from sqlalchemy.engine import Engine

from fulfillment_assets.cli.kpis_report import chosen, print_kpis, summary
from fulfillment_assets.cli.opened import opened
from fulfillment_assets.cli.text import Json, print_json, results
from fulfillment_assets.cli.times import moment_or_age
from fulfillment_assets.kpis import outcomes, rollups
from fulfillment_assets.kpis.dashboard import read_dashboard
from fulfillment_assets.kpis.segments import SHORT_NAMES, dimensions, segment_filter
from fulfillment_assets.settings import Settings

app = typer.Typer(no_args_is_help=True, help="The KPIs, and the rollups that they are read from.")

_LENGTH: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([dh])", re.IGNORECASE)
_LONGEST_DAYS: Final = 3_650


def _window(text: str) -> dt.timedelta:
    """A length such as `30d` or `12h`."""
    found = _LENGTH.fullmatch(text.strip())
    if found is None:
        raise typer.BadParameter(
            f"{text!r} is no length of time: write 30d for days, 12h for hours"
        )
    unit = "days" if found[2].lower() == "d" else "hours"
    try:
        length = dt.timedelta(**{unit: float(found[1])})
    except OverflowError:
        length = dt.timedelta.max
    if length > dt.timedelta(days=_LONGEST_DAYS):
        raise typer.BadParameter(f"{text!r} is too long: {_LONGEST_DAYS}d at most")
    return length


@app.callback()
def _kpis() -> None:
    """The KPIs, and the rollups that they are read from."""


@app.command()
def show(
    window: Annotated[
        dt.timedelta | None,
        typer.Option(
            parser=_window,
            metavar="LENGTH",
            help="How far back: 30d, 12h; unset: the setting kpi_window_days.",
        ),
    ] = None,
    until: Annotated[
        dt.datetime | None,
        typer.Option(
            parser=moment_or_age,
            metavar="ISO",
            help="The end of the window, or how long ago it was; unset: now.",
        ),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help=f"Break down by these, together: {', '.join(SHORT_NAMES)}; unset: by each.",
        ),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Only these orders, such as warehouse=A."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show the KPIs of a rolling window, what came true of them, and the riskiest segments."""
    names = None if by is None else dimensions(by.split(","))
    chosen_orders = segment_filter(_pairs(where or []))
    with _database() as engine, engine.connect() as connection:
        found = read_dashboard(connection, window=window, until=until, where=chosen_orders)
    segments = chosen(found, names)
    if as_json:
        print_json(summary(found, names, segments))
    else:
        print_kpis(found, names, segments)


@app.command()
def rebuild() -> None:
    """Recompute the rollups from the predictions and outcomes; scoring waits meanwhile."""
    with _database() as engine, engine.begin() as connection:
        differing = rollups.differences(connection) + outcomes.differences(connection)
        rows = rollups.rebuild(connection)
        outcomes.rebuild(connection)
    results.print(f"{rows:,} rollup rows rebuilt; {differing:,} had differed.")


def _pairs(texts: list[str]) -> dict[str, str]:
    pairs = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise typer.BadParameter(
                f"{text!r} chooses nothing: write warehouse=A", param_hint="--where"
            )
        pairs[name] = value
    return pairs


@contextmanager
def _database() -> Iterator[Engine]:
    with opened(Settings()) as engine:
        yield engine
