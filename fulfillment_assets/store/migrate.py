"""Run the schema's Alembic migrations."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from fulfillment_assets.store.connection import create_engine, normalise_url, wait_for_database
from fulfillment_assets.store.partitions import ensure_partitions

MIGRATIONS = Path(__file__).parent / "migrations"


def _config(url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["url"] = normalise_url(url)
    return config


def head() -> str:
    """The newest revision that this version of the code knows."""
    revision = ScriptDirectory(str(MIGRATIONS)).get_current_head()
    if revision is None:
        raise RuntimeError(f"no migrations in {MIGRATIONS}")
    return revision


def upgrade(url: str, revision: str = "head") -> None:
    """Bring the schema at `url` up to `revision` and create the partitions of the next days.

    Idempotent, and safe when several processes start at once: migrations take a lock.

    Raises:
        DatabaseUnavailableError: the server does not answer or is too old.
    """
    engine = create_engine(url)
    try:
        wait_for_database(engine)
        command.upgrade(_config(url), revision)
        if revision == "head":
            ensure_partitions(engine)
    finally:
        engine.dispose()


def downgrade(url: str, revision: str = "base") -> None:
    """Take the schema at `url` back to `revision`; `base` drops every table of it."""
    command.downgrade(_config(url), revision)
