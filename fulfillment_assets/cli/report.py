"""What became of a file of orders, for people."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Final

from rich.markup import escape
from rich.table import Table
from sqlalchemy.engine import Engine

from fulfillment_assets.cli.text import results
from fulfillment_assets.kpis.reads import Kpis
from fulfillment_assets.orders.validation import RejectedRow
from fulfillment_assets.scoring import rejected
from fulfillment_assets.scoring.pipeline import BatchResult, rejected_name
from fulfillment_assets.scoring.reports import RiskyOrder, Scope, riskiest
from fulfillment_assets.settings import Settings

_SHOWN: Final = 5
_COLOURS: Final = {"critical": "bold red", "warning": "yellow", "info": "cyan", "none": "green"}


def print_batch(engine: Engine, settings: Settings, result: BatchResult) -> None:
    """Print counts, severities, deviations, the riskiest orders and the rejected rows."""
    job = result.job
    results.print(
        f"{job.filename}: {job.row_count:,} rows, {job.accepted_count:,} predicted by model "
        f"{job.model_version}, {job.rejected_count:,} rejected",
        markup=False,
        soft_wrap=True,
    )
    if result.predictions:
        results.print(severity_table(result))
    if result.deviations:
        results.print(deviation_table(result.deviations))
    with engine.connect() as connection:
        orders = riskiest(connection, Scope(job.day, job.day, job.id), limit=_SHOWN)
        rows = list(itertools.islice(rejected.of_batch(connection, job.id), _SHOWN))
    if orders:
        results.print(risk_table(orders))
    if rows:
        results.print(rejected_table(rows, total=job.rejected_count))
        listed = settings.processed / rejected_name(job)
        results.print(f"All rejected rows: {listed}", markup=False, soft_wrap=True)


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
            escape(order.reasons_in_words),
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
