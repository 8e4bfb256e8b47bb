"""What the commands print: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.markup import escape

from fulfillment_assets.scoring.pipeline import BatchResult

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]

_PIPED_WIDTH: Final = 110

notes: Final = Console(stderr=True, highlight=False)
results: Final = Console(highlight=False, width=None if sys.stdout.isatty() else _PIPED_WIDTH)


def complain(error: Exception) -> None:
    """Say in plain words what went wrong."""
    notes.print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True)


def print_json(value: Mapping[str, Any]) -> None:
    """Print one JSON object, whatever the terminal is like."""
    print(json.dumps(value, default=str))


def batch_summary(result: BatchResult, *, status: str, error: str | None) -> dict[str, Any]:
    """What became of a file, for `--json`."""
    job = result.job
    return {
        "status": status,
        "batch_job_id": str(job.id),
        "file": job.filename,
        "row_count": job.row_count,
        "accepted": job.accepted_count,
        "rejected": job.rejected_count,
        "predictions": result.predictions,
        "severities": result.severities,
        "deviations": result.deviations,
        "model_version": job.model_version,
        "seconds": round(job.seconds, 3),
        "error": error,
    }
