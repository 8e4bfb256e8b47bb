"""The command that scores a file of orders."""

from __future__ import annotations

import os
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


def _run(job: BatchJob) -> str | None:
    """Execute the scoring job with a bar that counts rows; return why it failed, if it did."""
    from fulfillment_assets.defs.scoring.local_run import failure_of, run_scoring_job
    from fulfillment_assets.scoring.progress import listening

    with row_progress(f"scoring {escape(job.filename)}", None) as progress:
        task = progress.task_ids[0]
        with listening(lambda rows: progress.update(task, completed=rows)):
            return failure_of(run_scoring_job(job))


def row_progress(description: str, total: int | None) -> Progress:
    """A bar that counts rows, in a terminal; its one task is there already."""
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
