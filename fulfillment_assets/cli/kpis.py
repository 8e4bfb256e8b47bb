"""Commands about the KPIs."""

from __future__ import annotations

import typer

from fulfillment_assets.cli.text import results
from fulfillment_assets.kpis import rollups
from fulfillment_assets.local import platform
from fulfillment_assets.settings import Settings
from fulfillment_assets.store.connection import create_engine

app = typer.Typer(no_args_is_help=True, help="The KPI rollups.")


@app.callback()
def _kpis() -> None:
    """The KPI rollups."""


@app.command()
def rebuild() -> None:
    """Recompute the rollups from the predictions; scoring waits meanwhile."""
    with platform.database(Settings()) as url:
        engine = create_engine(url)
        with engine.begin() as connection:
            differing = rollups.differences(connection)
            rows = rollups.rebuild(connection)
        engine.dispose()
    results.print(f"{rows:,} rollup rows rebuilt; {differing:,} had differed.")
