"""Commands that run the whole platform on this machine."""

from __future__ import annotations

import sys
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from fulfillment_assets.cli.report import kpi_table, print_batch
from fulfillment_assets.cli.text import notes, results
from fulfillment_assets.kpis.reads import read_kpis
from fulfillment_assets.local import platform
from fulfillment_assets.local.errors import LocalServiceError
from fulfillment_assets.local.services import Urls
from fulfillment_assets.local.supervisor import Supervisor, interruptible
from fulfillment_assets.scoring.drop_folder import make_folders
from fulfillment_assets.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine


def up() -> None:
    """Start everything on this machine and keep it running until Ctrl-C."""
    settings = Settings()
    make_folders(settings)
    with interruptible(), ExitStack() as stack:
        supervisor, urls = _start(settings, stack)
        _print_services(supervisor, urls)
        results.print(f"Drop CSV files of orders into {settings.inbox}", soft_wrap=True)
        _stay_up(settings, supervisor)


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
        if supervisor is None:
            return
        if sys.stdout.isatty():
            _stay_up(settings, supervisor)
        else:
            results.print("\nThe platform stops again now; `make up` keeps it running.")


def _start(settings: Settings, stack: ExitStack) -> tuple[Supervisor, Urls]:
    with notes.status("starting the platform: PostgreSQL, Kafka, Dagster, API ..."):
        return stack.enter_context(platform.running_platform(settings))


def _stay_up(settings: Settings, supervisor: Supervisor) -> None:
    results.print("The platform stays up. Press Ctrl-C to stop it.")
    with suppress(KeyboardInterrupt):
        platform.watch(settings, supervisor)
    notes.print("stopping ...")


def _print_services(supervisor: Supervisor, urls: Urls) -> None:
    table = Table(title="The platform is up", title_justify="left")
    for name in ("service", "state", "where"):
        table.add_column(name)
    table.add_row("postgresql", "healthy", urls.database)
    services = supervisor.status()
    for service in services:
        table.add_row(service.name, service.state.value, service.url or "")
    if urls.kafka is not None and "kafka" not in {service.name for service in services}:
        table.add_row("kafka", "unusable" if urls.kafka_problem else "healthy", urls.kafka)
    results.print(table)
    if urls.kafka_problem is not None:
        results.print(f"No orders from Kafka: {escape(urls.kafka_problem)}", soft_wrap=True)


def _show_sample(settings: Settings, urls: Urls) -> None:
    from fulfillment_assets.local.demo import drop_sample, wait_for_result
    from fulfillment_assets.scoring.pipeline import finish
    from fulfillment_assets.store.connection import create_engine

    with platform.database(settings) as url:
        engine = create_engine(url)
        path, digest = drop_sample(engine, settings)
        results.print(f"\nDropped {path.name} into {path.parent}", soft_wrap=True)
        with notes.status("waiting for the drop-folder sensor and its run ..."):
            job = wait_for_result(engine, digest)
        if job.status == "failed":
            raise LocalServiceError(f"{job.filename} could not be scored: {job.error_message}")
        print_batch(engine, settings, finish(engine, settings, job.id))
        with engine.connect() as connection:
            overall = read_kpis(connection)
            by_mode = read_kpis(connection, by=["mode_of_shipment"])
        results.print(kpi_table(overall, title="KPIs of the last 30 days"))
        results.print(kpi_table(by_mode, title="The same by mode of shipment"))
        _show_agents(engine)
        engine.dispose()
    results.print("\nWhere to look next:")
    results.print(f"  the asset graph   {urls.dagster}/asset-groups", soft_wrap=True)
    results.print(f"  this run          {urls.dagster}/runs/{job.run_id}", soft_wrap=True)
    results.print(f"  the API           {urls.api}/docs", soft_wrap=True)
    results.print(
        "  what agents did   fulfillment deviations list; fulfillment agents show ID",
        soft_wrap=True,
    )
    results.print(f"  your own orders   drop a CSV file into {settings.inbox}", soft_wrap=True)


def _show_agents(engine: Engine) -> None:
    from fulfillment_assets.agents.trail import latest_worked, read_trail
    from fulfillment_assets.cli.agents_report import print_trail
    from fulfillment_assets.local.demo import wait_for_agents

    with notes.status("the agents work on the critical deviations ..."):
        statuses = wait_for_agents(engine)
    counts = ", ".join(f"{count:,} {status}" for status, count in statuses.items())
    results.print(f"\nCritical deviations: {counts or 'none'}")
    with engine.connect() as connection:
        shown = latest_worked(connection)
        if shown is None:
            return
        found = read_trail(connection, shown)
    results.print("\nOne of them, from its risk to its outcome:")
    print_trail(found)
