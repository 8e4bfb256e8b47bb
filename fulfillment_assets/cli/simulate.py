"""The command that simulates orders: into a file, or as a stream of events to Kafka."""

from __future__ import annotations

import contextlib
import datetime as dt
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from fulfillment_assets.cli.orders import row_progress
from fulfillment_assets.cli.text import Json, notes, print_json, results
from fulfillment_assets.local import platform
from fulfillment_assets.settings import Settings

if TYPE_CHECKING:
    from fulfillment_assets.events.producing import Pace, Sent
    from fulfillment_assets.events.simulated import Traffic
    from fulfillment_assets.orders.simulator import SimulationPlan

_DEFAULT_OUT: Final = Path("orders.csv")
_NOTE_SECONDS: Final = 10.0


class Target(StrEnum):
    """Where simulated orders go."""

    CSV = "csv"
    KAFKA = "kafka"


def simulate(
    to: Annotated[
        Target,
        typer.Option(
            help="csv: a file of orders. kafka: events to the topic from which orders are scored."
        ),
    ] = Target.CSV,
    count: Annotated[
        int | None, typer.Option(min=1, help="csv: how many orders. kafka: how many events.")
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="The same seed gives the same bytes; kafka: random if unset."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="csv: the file, orders.csv if unset. kafka: file for the true outcomes, none if "
            "unset. A name in .gz is compressed."
        ),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            min=0.001, help="Orders (kafka: events) per second; as fast as can be if unset."
        ),
    ] = None,
    duration: Annotated[
        float | None,
        typer.Option(
            min=0.001, help="kafka: stop after so many seconds, or after --count if that is first."
        ),
    ] = None,
    burst: Annotated[
        str | None,
        typer.Option(
            metavar="EVENTS@SECONDS",
            help="kafka: 5000@30 sends 5,000 events at once, at the start and every 30 seconds, "
            "on top of --rate.",
        ),
    ] = None,
    start: Annotated[
        dt.datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="First day of orders; unset: `days` days ago."),
    ] = None,
    days: Annotated[int, typer.Option(min=1, help="Length of the simulated period.")] = 30,
    late_share: Annotated[
        float | None, typer.Option(help="Share of late orders; unset: as in the real data.")
    ] = None,
    fault_share: Annotated[
        float,
        typer.Option(min=0, max=1, help="Share of orders (kafka: events) that break the contract."),
    ] = 0.0,
    duplicate_share: Annotated[
        float, typer.Option(min=0, max=1, help="kafka: share of events that are sent twice.")
    ] = 0.0,
    out_of_order_share: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="kafka: share of events that come only after the next event of their order "
            "(about 0.4 at most).",
        ),
    ] = 0.0,
    as_json: Json = False,
) -> None:
    """Simulate orders, with their true outcomes in a separate file.

    Give --start to get the same bytes on any day.

    To Kafka go the events of each order's life: processing, shipped, perhaps delayed, delivered or
    cancelled. The simulated days pass within the run, so that most orders come to their end; in a
    long run they pass again and again, each time with new orders. Without --count and --duration
    it goes on until Ctrl-C.
    """
    from fulfillment_assets.events.producing import Burst, Pace
    from fulfillment_assets.events.simulated import Traffic
    from fulfillment_assets.orders.simulator import SimulationPlan
    from fulfillment_assets.store.partitions import utc_today

    given = {
        "--duration": duration,
        "--burst": burst,
        "--duplicate-share": duplicate_share or None,
        "--out-of-order-share": out_of_order_share or None,
    }
    if to is Target.CSV:
        _check_csv_options({"--count": count, "--seed": seed}, given)
    plan = SimulationPlan(
        count=count or 1,  # of orders in a file; events take as many as they need
        seed=secrets.randbelow(2**32) if seed is None else seed,
        start=utc_today() - dt.timedelta(days=days) if start is None else start.date(),
        days=days,
        late_share=late_share,
        fault_share=fault_share,
    )
    if to is Target.CSV:
        _write_csv(plan, out or _DEFAULT_OUT, rate, as_json=as_json)
        return
    _send(
        plan,
        Traffic(fault_share, duplicate_share, out_of_order_share),
        Pace(rate, None if burst is None else Burst.parse(burst), count, duration),
        out,
        as_json=as_json,
    )


def _check_csv_options(needed: dict[str, Any], foreign: dict[str, Any]) -> None:
    for name, value in needed.items():
        if value is None:
            raise typer.BadParameter("it is needed with --to csv", param_hint=name)
    for name, value in foreign.items():
        if value is not None:
            raise typer.BadParameter("it goes with --to kafka only", param_hint=name)


def _write_csv(plan: SimulationPlan, out: Path, rate: float | None, *, as_json: bool) -> None:
    from fulfillment_assets.orders.simulator import write_csv

    with row_progress("simulating", plan.count) as progress:
        task = progress.task_ids[0]
        report = write_csv(
            plan, out, rate=rate, progress=lambda rows: progress.update(task, completed=rows)
        )
    if as_json:
        print_json(
            {
                "orders": report.rows,
                "faulty": report.faulty_rows,
                "late_share": report.late_share,
                "seconds": round(report.seconds, 3),
                "out": report.out_path,
                "truth": report.truth_path,
            }
        )
        return
    results.print(
        f"{report.rows:,} orders from {plan.start} on ({report.late_share:.1%} late, "
        f"{report.faulty_rows:,} faulty) in {report.out_path}, "
        f"their true outcomes in {report.truth_path} ({report.seconds:.1f} s)",
        markup=False,
        soft_wrap=True,
    )


def _send(
    plan: SimulationPlan, traffic: Traffic, pace: Pace, truth: Path | None, *, as_json: bool
) -> None:
    from fulfillment_assets.events.producing import send
    from fulfillment_assets.events.simulated import simulated_messages
    from fulfillment_assets.orders.simulator.files import csv_file

    with contextlib.ExitStack() as stack:
        settings = stack.enter_context(platform.broker(Settings()))
        options = {} if truth is None else {"truth": stack.enter_context(csv_file(truth))}
        sent = send(
            settings,
            simulated_messages(plan, traffic, count=pace.total, rate=pace.rate),
            pace,
            stop=stack.enter_context(_stopped_by_interrupt()),
            progress=stack.enter_context(_sending(pace.total)),
            **options,
        )
    _print_sent(sent, settings, plan, truth, as_json=as_json)


def _print_sent(
    sent: Sent, settings: Settings, plan: SimulationPlan, truth: Path | None, *, as_json: bool
) -> None:
    from fulfillment_assets.events.simulated import Mark

    marks = sent.marks
    if as_json:
        print_json(
            {
                "topic": sent.topic,
                "produced": sent.messages,
                "orders": sent.orders,
                "faulty": marks[Mark.FAULTY],
                "duplicates": marks[Mark.DUPLICATE],
                "out_of_order": marks[Mark.OUT_OF_ORDER],
                "seconds": round(sent.seconds, 3),
                "rate": round(sent.rate, 1),
                "seed": plan.seed,
                "truth": truth,
            }
        )
        return
    outcomes = "" if truth is None else f"; the orders' true outcomes are in {truth}"
    results.print(
        f"{sent.messages:,} events of {sent.orders:,} orders sent to {sent.topic} at "
        f"{settings.kafka_bootstrap_servers} in {sent.seconds:.1f} s ({sent.rate:,.0f} per second; "
        f"seed {plan.seed}): {marks[Mark.FAULTY]:,} faulty, {marks[Mark.DUPLICATE]:,} sent twice, "
        f"{marks[Mark.OUT_OF_ORDER]:,} out of order{outcomes}",
        markup=False,
        soft_wrap=True,
    )


@contextlib.contextmanager
def _stopped_by_interrupt() -> Iterator[threading.Event]:
    """An event that Ctrl-C sets, so that what was sent is still counted; a second one interrupts.

    A client that is interrupted just anywhere may hold a lock for ever.
    """
    stop = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    former = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _sending(total: int | None) -> Iterator[Callable[[Sent], None]]:
    """Shows how many events were sent and how fast: a bar, or a line now and then."""
    progress = Progress(
        TextColumn("sending"),
        BarColumn(),
        TextColumn("{task.completed:,} events, {task.fields[rate]:,.0f} per second"),
        TimeElapsedColumn(),
        console=notes,
        transient=True,
        disable=not notes.is_terminal,
    )
    task = progress.add_task("", total=total, rate=0.0)
    noted = time.monotonic()

    def show(sent: Sent) -> None:
        nonlocal noted
        progress.update(task, completed=sent.messages, rate=sent.rate)
        if not notes.is_terminal and time.monotonic() - noted >= _NOTE_SECONDS:
            noted = time.monotonic()
            notes.print(f"{sent.messages:,} events sent, {sent.rate:,.0f} per second")

    with progress:
        yield show
