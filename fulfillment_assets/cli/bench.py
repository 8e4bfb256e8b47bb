"""Commands that measure the platform."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from fulfillment_assets.cli.text import Json, notes, print_json, results

app = typer.Typer(no_args_is_help=True, help="Measure the platform on this machine.")


class Launcher(StrEnum):
    """What starts the runs."""

    WARM = "warm"
    STOCK = "stock"


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


@app.command()
def stream(
    rate: Annotated[float, typer.Option(min=0.001, help="Events a second.")] = 100.0,
    duration: Annotated[float, typer.Option(min=1, help="Seconds for which they are sent.")] = 60.0,
    backlog: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Instead: so many events wait when the platform starts; time their catch-up.",
        ),
    ] = None,
    flush_messages: Annotated[
        int, typer.Option(min=1, help="So many waiting messages of a partition start a run.")
    ] = 1_000,
    flush_seconds: Annotated[
        float,
        typer.Option(min=0.1, help="So does one that waited so long; the platform's default: 15."),
    ] = 1.0,
    launcher: Annotated[
        Launcher, typer.Option(help="warm: runs are forked. stock: Dagster's own launcher.")
    ] = Launcher.WARM,
    fault_share: Annotated[
        float, typer.Option(min=0, max=1, help="Share of events that break the contract.")
    ] = 0.0,
    as_json: Json = False,
) -> None:
    """Time the stream, produced to committed, on a platform of its own that is up meanwhile.

    Latencies are from a message's timestamp in Kafka to the commit of its range.
    """
    from benchmarks.private_platform import Load, StreamSettings
    from benchmarks.stream import run, run_backlog
    from fulfillment_assets.events.simulated import Traffic

    settings = StreamSettings(flush_messages, flush_seconds, launcher.value)
    traffic = Traffic(fault_share=fault_share)
    with notes.status("measuring ..."):
        if backlog is None:
            times = asdict(run(Load(rate=rate, duration=duration, traffic=traffic), settings))
        else:
            times = asdict(run_backlog(Load(count=backlog, traffic=traffic), settings))
    _print(times, as_json=as_json)


@app.command()
def kpi(
    history: Annotated[
        int, typer.Option(min=100, help="Orders of the last 30 days in the database.")
    ] = 500_000,
    as_json: Json = False,
) -> None:
    """Time the KPI dashboard over a full window, and what keeping it costs a micro-batch.

    The same is read with a hundredth of the orders, to see whether their number matters.
    """
    from benchmarks.kpi import run

    with notes.status("measuring ..."):
        times = asdict(run(history))
    _print(times, as_json=as_json)


@app.command()
def api(
    orders: Annotated[
        int, typer.Option(min=1_000, help="Orders of the last 30 days in the database.")
    ] = 1_000_000,
    smaller: Annotated[
        int, typer.Option(min=1_000, help="Orders in the database that it is compared with.")
    ] = 10_000,
    only: Annotated[
        list[str] | None,
        typer.Option(help="Only the cases whose name holds this, such as /predict; repeatable."),
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.5, help="For which each is measured.")] = 3.0,
    connections: Annotated[int, typer.Option(min=1, help="Requests at a time.")] = 8,
    as_json: Json = False,
) -> None:
    """Time the API over many orders: requests a second and latencies, over real HTTP."""
    from benchmarks.api import markdown, run

    with notes.status("measuring ..."):
        times = run(
            orders, smaller=smaller, only=only or (), seconds=seconds, connections=connections
        )
    if as_json:
        print_json(asdict(times))
        return
    for line in markdown(times):
        results.print(line, markup=False, soft_wrap=True)


@app.command()
def upload(
    megabytes: Annotated[int, typer.Option(min=1, help="Size of the file.")] = 500,
    as_json: Json = False,
) -> None:
    """Hand in a large file over real HTTP: the worker's memory, and how fast it is."""
    from benchmarks.uploads import markdown, run

    with notes.status("measuring ..."):
        times = run(megabytes)
    if as_json:
        print_json({"uploads": [asdict(one) for one in times]})
        return
    for line in markdown(times):
        results.print(line, markup=False, soft_wrap=True)


@app.command()
def contract(
    cases: Annotated[int, typer.Option(min=1, help="Requests at least.")] = 5_000,
    as_json: Json = False,
) -> None:
    """Put generated requests to the API, and hold each answer against its OpenAPI."""
    from benchmarks.contract import markdown, run

    with notes.status("asking ..."):
        found = run(cases)
    if as_json:
        print_json(asdict(found))
    else:
        for line in markdown(found):
            results.print(line, markup=False, soft_wrap=True)
    if found.broken:
        raise typer.Exit(1)


@app.command()
def live(
    clients: Annotated[int, typer.Option(min=1, help="Clients of the stream.")] = 200,
    rate: Annotated[float, typer.Option(min=0.1, help="Events a second.")] = 50.0,
    seconds: Annotated[float, typer.Option(min=1, help="For which they are committed.")] = 30.0,
    as_json: Json = False,
) -> None:
    """Time the live stream: from the commit of an event until every client has it."""
    from benchmarks.live import markdown, run

    with notes.status("measuring ..."):
        times = run(clients, rate=rate, seconds=seconds)
    if as_json:
        print_json(asdict(times))
        return
    for line in markdown(times):
        results.print(line, markup=False, soft_wrap=True)


def _print(times: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(times)
        return
    for name, value in times.items():
        if isinstance(value, Mapping):
            _print({f"{name}: {part}": number for part, number in value.items()}, as_json=False)
            continue
        shown = "not measured" if value is None else f"{value:,}"
        results.print(f"{name:>32}  {shown}")
