"""Alembic's environment: one connection, one transaction, one lock."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context

from fulfillment_assets.store.connection import DAGSTER_SCHEMA, SCHEMA

LOCK = 0x66756C66
"""Advisory lock that serialises migrations started by several processes."""


def run() -> None:
    engine = sa.create_engine(context.config.attributes["url"], poolclass=sa.pool.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
        for schema in (SCHEMA, DAGSTER_SCHEMA):
            connection.execute(sa.text(f"CREATE SCHEMA IF NOT EXISTS {schema}"))
        connection.execute(sa.text(f"SET LOCAL search_path TO {SCHEMA}"))
        context.configure(connection=connection, version_table_schema=SCHEMA)
        context.run_migrations()


run()
