"""Commands that run the whole platform on this machine."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

from rich.table import Table

from fulfillment_assets.cli.text import (
    deviation_table,
    kpi_table,
    notes,
    rejected_table,
    results,
    risk_table,
    severity_table,
)
from fulfillment_assets.local import platform
from fulfillment_assets.local.errors import LocalServiceError
from fulfillment_assets.local.platform import Urls
from fulfillment_assets.local.supervisor import Supervisor, interruptible
from fulfillment_assets.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

    from fulfillment_assets.scoring.batch_jobs import BatchJob

_SHOWN = 5


def up() -> None:
    """Start everything on this machine and keep it running until Ctrl-C."""
    settings = Settings()
    with interruptible(), ExitStack() as stack:
        supervisor, urls = _start(settings, stack)
        _print_services(supervisor, urls)
        results.print(f"Drop CSV files of orders into {settings.inbox}", soft_wrap=True)
        results.print("Press Ctrl-C to stop.")
        platform.watch(settings, supervisor)


def demo() -> None:
    """Send a sample of simulated orders through the platform and show what becomes of it.

    Starts the platform if it is not running. In a terminal it then stays up until Ctrl-C;
    otherwise it stops what it started.
    """
    settings = Settings()
    with interruptible(), ExitStack() as stack:
        urls = platform.running_urls(settings)
        supervisor = None
        if urls is None:
            supervisor, urls = _start(settings, stack)
            _print_services(supervisor, urls)
        _show_sample(settings, urls)
        if supervisor is not None and sys.stdout.isatty():
            results.print("The platform stays up. Press Ctrl-C to stop it.")
            platform.watch(settings, supervisor)


def _start(settings: Settings, stack: ExitStack) -> tuple[Supervisor, Urls]:
    with notes.status("starting the platform: PostgreSQL, Dagster, API ..."):
        return stack.enter_context(platform.running_platform(settings))


def _print_services(supervisor: Supervisor, urls: Urls) -> None:
    table = Table(title="The platform is up", title_justify="left")
    for name in ("service", "state", "where"):
        table.add_column(name)
    table.add_row("postgresql", "healthy", urls.database)
    for service in supervisor.status():
        table.add_row(service.name, service.state.value, service.url or "")
    results.print(table)


def _show_sample(settings: Settings, urls: Urls) -> None:
    from fulfillment_assets.local.demo import drop_sample, wait_for_result
    from fulfillment_assets.store.connection import create_engine

    with platform.database(settings) as url:
        engine = create_engine(url)
        path, digest = drop_sample(engine, settings)
        results.print(f"\nDropped {path.name} into {path.parent}", soft_wrap=True)
        with notes.status("waiting for the drop-folder sensor and its run ..."):
            job = wait_for_result(engine, digest)
        if job.status == "failed":
            raise LocalServiceError(f"{job.filename} could not be scored: {job.error_message}")
        _print_sample(engine, settings, job)
        engine.dispose()
    results.print("\nWhere to look next:")
    results.print(f"  the asset graph   {urls.dagster}/asset-groups", soft_wrap=True)
    results.print(f"  this run          {urls.dagster}/runs/{job.run_id}", soft_wrap=True)
    results.print(f"  the API           {urls.api}/docs", soft_wrap=True)
    results.print(f"  your own orders   drop a CSV file into {settings.inbox}", soft_wrap=True)


def _print_sample(engine: Engine, settings: Settings, job: BatchJob) -> None:
    from fulfillment_assets.kpis.reads import read_kpis
    from fulfillment_assets.scoring import rejected
    from fulfillment_assets.scoring.pipeline import finish, rejected_name
    from fulfillment_assets.scoring.reports import Scope, riskiest

    result = finish(engine, settings, job.id)
    results.print(
        f"{job.row_count:,} rows: {job.accepted_count:,} predicted by model {job.model_version}, "
        f"{job.rejected_count:,} rejected\n"
    )
    with engine.connect() as connection:
        results.print(severity_table(result))
        results.print(deviation_table(result.deviations))
        scope = Scope(job.day, job.day, job.id)
        results.print(risk_table(riskiest(connection, scope, limit=_SHOWN)))
        overall = read_kpis(connection)
        by_mode = read_kpis(connection, by=["mode_of_shipment"])
        results.print(kpi_table(overall, title="KPIs of the last 30 days"))
        results.print(kpi_table(by_mode, title="The same by mode of shipment"))
        rows = list(rejected.of_batch(connection, job.id))
    if rows:
        results.print(rejected_table(rows[:_SHOWN], total=len(rows)))
        results.print(f"All of them: {settings.processed / rejected_name(job)}", soft_wrap=True)
