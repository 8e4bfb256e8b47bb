"""Commands that measure the platform."""

from __future__ import annotations

from dataclasses import asdict
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


def _print(times: dict[str, float], *, as_json: bool) -> None:
    if as_json:
        print_json(times)
        return
    for name, value in times.items():
        results.print(f"{name:>22}  {value:,}")
