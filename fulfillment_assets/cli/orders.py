"""Commands about files of orders: score them, and simulate them."""

from __future__ import annotations

import datetime as dt
import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from fulfillment_assets.cli.report import print_batch
from fulfillment_assets.cli.text import (
    Json,
    batch_summary,
    complain,
    notes,
    print_json,
    results,
)
from fulfillment_assets.local import platform
from fulfillment_assets.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

    from fulfillment_assets.scoring.batch_jobs import BatchJob
    from fulfillment_assets.scoring.pipeline import BatchResult


class Target(StrEnum):
    """Where simulated orders go."""

    CSV = "csv"


def score(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="CSV, or gzipped CSV.")],
    as_json: Json = False,
    again: Annotated[
        bool, typer.Option("--again", help="Score the file even if its content is known.")
    ] = False,
) -> None:
    """Score one file of orders with the Dagster job, in this process.

    The file stays where it is; a copy is archived in the data directory. A file whose content
    was scored before is recognised and not scored again.
    """
    from fulfillment_assets.scoring.drop_folder import claim
    from fulfillment_assets.scoring.pipeline import finish
    from fulfillment_assets.store.connection import create_engine

    settings = Settings()
    with platform.database(settings) as url:
        os.environ.update(platform.environment(settings, url))
        engine = create_engine(url)
        claimed = claim(engine, settings, file, keep=True, again=again)
        known = claimed.job.finished
        failure = None if known else _run(claimed.job)
        result = finish(engine, settings, claimed.job.id)
        _print_result(engine, settings, result, known=known, failure=failure, as_json=as_json)
        engine.dispose()
    if result.job.status != "completed":
        raise typer.Exit(1)


def simulate(
    count: Annotated[int, typer.Option(min=1, help="How many orders.")],
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same bytes.")],
    to: Annotated[Target, typer.Option(help="Where the orders go.")] = Target.CSV,
    out: Annotated[Path, typer.Option(help="The file; a name in .gz is compressed.")] = Path(
        "orders.csv"
    ),
    rate: Annotated[
        float | None, typer.Option(min=0.001, help="Orders per second; as fast as can be if unset.")
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
        float, typer.Option(min=0, max=1, help="Share of rows that break the contract.")
    ] = 0.0,
) -> None:
    """Simulate orders, with their true outcomes in a separate file.

    Give --start to get the same bytes on any day.
    """
    from fulfillment_assets.orders.simulator import SimulationPlan, write_csv
    from fulfillment_assets.store.partitions import utc_today

    first = utc_today() - dt.timedelta(days=days) if start is None else start.date()
    plan = SimulationPlan(
        count=count,
        seed=seed,
        start=first,
        days=days,
        late_share=late_share,
        fault_share=fault_share,
    )
    with _progress("simulating", count) as progress:
        task = progress.task_ids[0]
        report = write_csv(
            plan, out, rate=rate, progress=lambda rows: progress.update(task, completed=rows)
        )
    results.print(
        f"{report.rows:,} orders from {first} on ({report.late_share:.1%} late, "
        f"{report.faulty_rows:,} faulty) in {report.out_path}, "
        f"their true outcomes in {report.truth_path} ({report.seconds:.1f} s)",
        markup=False,
        soft_wrap=True,
    )


def _run(job: BatchJob) -> str | None:
    """Execute the scoring job with a bar that counts rows; return why it failed, if it did."""
    from fulfillment_assets.defs.scoring.local_run import failure_of, run_scoring_job
    from fulfillment_assets.scoring.progress import listening

    with _progress(f"scoring {escape(job.filename)}", None) as progress:
        task = progress.task_ids[0]
        with listening(lambda rows: progress.update(task, completed=rows)):
            return failure_of(run_scoring_job(job))


def _progress(description: str, total: int | None) -> Progress:
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("rows"),
        TimeElapsedColumn(),
        console=notes,
        transient=True,
        disable=not notes.is_terminal,
    )
    progress.add_task(description, total=total)
    return progress


def _print_result(
    engine: Engine,
    settings: Settings,
    result: BatchResult,
    *,
    known: bool,
    failure: str | None,
    as_json: bool,
) -> None:
    job = result.job
    error = job.error_message if job.finished else failure
    if as_json:
        status = "already_processed" if known else job.status
        print_json(batch_summary(result, status=status, error=error))
        return
    if job.status != "completed":
        complain(RuntimeError(f"{job.filename} could not be scored: {error}"))
        return
    if known:
        results.print(
            f"This content was scored before, as {job.filename} (batch job {job.id}); "
            "use --again to score it again.",
            markup=False,
            soft_wrap=True,
        )
    print_batch(engine, settings, result)
