"""Commands about the database."""

from __future__ import annotations

import typer

from fulfillment_assets.cli.text import results
from fulfillment_assets.local import platform
from fulfillment_assets.local.postgres import EmbeddedPostgres
from fulfillment_assets.settings import PROJECT_ROOT, Settings
from fulfillment_assets.store import migrate
from fulfillment_assets.store.connection import shown_url

app = typer.Typer(no_args_is_help=True, help="The database: embedded server and schema.")


@app.command()
def start() -> None:
    """Start the embedded PostgreSQL and leave it running, for `dagster dev` and psql.

    Writes `.env`, from which Dagster's commands take the connection.
    """
    settings = Settings()
    server = _embedded(settings)
    server.start()
    migrate.upgrade(server.url)
    path = platform.write_env_file(settings, server.url)
    results.print(
        f"PostgreSQL runs at {shown_url(server.url)}; its password stands in {path}", soft_wrap=True
    )


@app.command()
def stop() -> None:
    """Stop the embedded PostgreSQL."""
    _embedded(Settings()).stop()
    (PROJECT_ROOT / ".env").unlink(missing_ok=True)
    results.print("PostgreSQL is stopped.")


@app.command()
def status() -> None:
    """Say whether the embedded PostgreSQL runs; exit status 1 if it does not."""
    server = _embedded(Settings())
    if not server.is_running():
        results.print("PostgreSQL is not running; `fulfillment db start` starts it.")
        raise typer.Exit(1)
    results.print(f"PostgreSQL runs at {shown_url(server.url)}", soft_wrap=True)


@app.command()
def upgrade() -> None:
    """Bring the schema up to date, and create the coming days' partitions."""
    with platform.database(Settings()):
        results.print(f"The schema is at revision {migrate.head()}.")


def _embedded(settings: Settings) -> EmbeddedPostgres:
    if settings.database_url is not None:
        raise ValueError(
            "DATABASE_URL is set, so the embedded PostgreSQL is not used; unset it first"
        )
    return EmbeddedPostgres(settings.data_dir, settings.postgres_port)
