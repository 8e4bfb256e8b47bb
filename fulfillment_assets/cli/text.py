"""What the commands print: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fulfillment_assets.kpis.reads import Kpis
from fulfillment_assets.orders.validation import RejectedRow
from fulfillment_assets.scoring.pipeline import BatchResult
from fulfillment_assets.scoring.reports import RiskyOrder

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]

_PIPED_WIDTH: Final = 110

notes: Final = Console(stderr=True, highlight=False)
results: Final = Console(highlight=False, width=None if sys.stdout.isatty() else _PIPED_WIDTH)

_COLOURS: Final = {"critical": "bold red", "warning": "yellow", "info": "cyan", "none": "green"}


def complain(error: Exception) -> None:
    """Say in plain words what went wrong."""
    notes.print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True)


def print_json(value: Mapping[str, Any]) -> None:
    """Print one JSON object, whatever the terminal is like."""
    print(json.dumps(value, default=str))


def batch_summary(result: BatchResult, *, status: str) -> dict[str, Any]:
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
        "error": job.error_message,
    }


def severity_table(result: BatchResult) -> Table:
    """Orders by severity."""
    table = Table(title="Orders by severity", title_justify="left")
    table.add_column("severity")
    table.add_column("orders", justify="right")
    table.add_column("share", justify="right")
    for severity, count in result.severities.items():
        share = count / result.predictions if result.predictions else 0.0
        table.add_row(_coloured(severity), f"{count:,}", f"{share:.1%}")
    return table


def deviation_table(counts: Mapping[str, Mapping[str, int]]) -> Table:
    """Deviations by kind and severity."""
    table = Table(title="Deviations", title_justify="left")
    for name in ("kind", "severity"):
        table.add_column(name)
    table.add_column("orders", justify="right")
    for kind, severities in counts.items():
        for severity, count in severities.items():
            table.add_row(kind, _coloured(severity), f"{count:,}")
    return table


def risk_table(orders: Sequence[RiskyOrder]) -> Table:
    """The riskiest orders and what raises their risk."""
    table = Table(title="Riskiest orders", title_justify="left")
    table.add_column("order", no_wrap=True)
    table.add_column("risk", justify="right")
    table.add_column("severity")
    table.add_column("raised most by")
    for order in orders:
        table.add_row(
            escape(order.order_id),
            f"{order.delay_probability:.3f}",
            _coloured(order.severity),
            order.reasons_in_words,
        )
    return table


def kpi_table(kpis: Sequence[Kpis], *, title: str) -> Table:
    """KPIs, a row a segment."""
    table = Table(title=title, title_justify="left")
    for name in kpis[0].segment if kpis else ():
        table.add_column(name)
    for name in ("orders", "mean risk", "on time", "high risk", "gaps"):
        table.add_column(name, justify="right")
    for row in kpis:
        table.add_row(
            *row.segment.values(),
            f"{row.orders:,}",
            _share(row.mean_probability),
            _share(row.on_time_rate),
            f"{row.high_risk:,}",
            f"{row.gaps:,}",
        )
    return table


def rejected_table(rows: Sequence[RejectedRow], *, total: int) -> Table:
    """Rejected rows with their reasons."""
    table = Table(title=f"Rejected rows ({len(rows)} of {total:,} shown)", title_justify="left")
    table.add_column("reason", overflow="fold")
    for row in rows:
        table.add_row(escape(row.message))
    return table


def _coloured(severity: str) -> str:
    return f"[{_COLOURS[severity]}]{severity}[/]"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
