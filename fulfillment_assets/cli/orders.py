"""Commands about files of orders: score them, and simulate them."""

from __future__ import annotations

import datetime as dt
import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from fulfillment_assets.cli.text import (
    Json,
    batch_summary,
    complain,
    deviation_table,
    notes,
    print_json,
    results,
    risk_table,
    severity_table,
)
from fulfillment_assets.local import platform
from fulfillment_assets.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

    from fulfillment_assets.scoring.drop_folder import Claim
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
        if claimed.to_score:
            _run(claimed)
        result = finish(engine, settings, claimed.job.id)
        _print_result(engine, result, claimed, as_json=as_json)
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
        soft_wrap=True,
    )


def _run(claimed: Claim) -> None:
    """Execute the scoring job with a bar that counts rows."""
    from fulfillment_assets.defs.scoring.local_run import run_scoring_job
    from fulfillment_assets.scoring.progress import listening

    with _progress(f"scoring {claimed.job.filename}", None) as progress:
        task = progress.task_ids[0]
        with listening(lambda rows: progress.update(task, completed=rows)):
            run_scoring_job(claimed.job)


def _progress(description: str, total: int | None) -> Progress:
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("rows"),
        TimeElapsedColumn(),
        console=notes,
        transient=True,
    )
    progress.add_task(description, total=total)
    return progress


def _print_result(engine: Engine, result: BatchResult, claimed: Claim, *, as_json: bool) -> None:
    from fulfillment_assets.scoring.reports import Scope, riskiest

    job = result.job
    status = job.status if claimed.to_score else "already_processed"
    if as_json:
        print_json(batch_summary(result, status=status))
        return
    if job.status == "failed":
        complain(RuntimeError(f"{job.filename}: {job.error_message}"))
        return
    if not claimed.to_score:
        results.print(
            f"This content was scored before, as {job.filename} (batch job {job.id}); "
            "use --again to score it again."
        )
    results.print(
        f"{job.filename}: {job.row_count:,} rows, {job.accepted_count:,} predicted, "
        f"{job.rejected_count:,} rejected, model {job.model_version}"
    )
    results.print(severity_table(result))
    results.print(deviation_table(result.deviations))
    with engine.connect() as connection:
        results.print(risk_table(riskiest(connection, Scope(job.day, job.day, job.id), limit=5)))
