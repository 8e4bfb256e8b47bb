"""Commands that measure the platform."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from fulfillment_assets.cli.text import Json, notes, print_json, results

app = typer.Typer(no_args_is_help=True, help="Measure the platform on this machine.")


@app.command()
def batch(
    rows: Annotated[int, typer.Option(min=1, help="Orders in the file.")] = 100_000,
    history: Annotated[int, typer.Option(min=0, help="Predictions in the database before.")] = 0,
    repeats: Annotated[int, typer.Option(min=1, help="Files to score; times are medians.")] = 3,
    as_json: Json = False,
) -> None:
    """Time CSV to committed rows, and the floor: a bare COPY of the same prediction rows."""
    from benchmarks.batch import run

    with notes.status("measuring ..."):
        times = asdict(run(rows, history=history, repeats=repeats))
    _print(times, as_json=as_json)


@app.command()
def startup(as_json: Json = False) -> None:
    """Time the start of the whole platform, with an empty and with a filled data directory."""
    from benchmarks.startup import run

    with notes.status("measuring ..."):
        times = asdict(run())
    _print(times, as_json=as_json)


@app.command()
def model(
    data: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="Real orders with known outcomes (Kaggle format); unset: simulated orders.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Time the model: one order against bare LightGBM, a batch, training and the search."""
    from benchmarks.model import run

    with notes.status("measuring ..."):
        times = asdict(run(data))
    _print(times, as_json=as_json)


def _print(times: Mapping[str, float | None], *, as_json: bool) -> None:
    if as_json:
        print_json(dict(times))
        return
    for name, value in times.items():
        shown = "not measured" if value is None else f"{value:,}"
        results.print(f"{name:>22}  {shown}")
