"""What the processes of runs import, so that it can be imported before they start."""

from __future__ import annotations

from typing import Final

from fulfillment_assets.settings import PROJECT_ROOT

PACKAGE: Final = "fulfillment_assets"

_LIBRARIES: Final = (
    "chromadb",
    "kafka",
    "langgraph.checkpoint.postgres",
    "langgraph.graph",
    "lightgbm",
    "matplotlib.backends.backend_agg",
    "pandas",
    "psycopg2.extras",
    "pyarrow.csv",
    "pyarrow.pandas_compat",
    "pyarrow.parquet",
    "sklearn.calibration",
    "sklearn.compose",
    "sklearn.isotonic",
    "sqlalchemy.dialects.postgresql.psycopg2",
    "upath.implementations.local",
    "dagster_postgres",
    "dagster._core.definitions.repository_definition.repository_data_builder",
    "dagster._core.execution.plan.active",
    "dagster._core.executor.in_process",
    "dagster._core.instance.factory",
    "dagster._core.storage.fs_io_manager",
    "dagster._core.storage.local_compute_log_manager",
    "dagster._core.storage.root",
    "dagster._core.storage.sqlite_storage",
    "dagster._core.system_config.composite_descent",
    "dagster._core.utility_ops",
    "dagster._core.workspace.autodiscovery",
    "dagster._utils.test.definitions",
)
"""What every run imports, or many do. None of it starts a thread or opens a connection."""

_PACKAGES: Final = (
    "agents",
    "delay_model",
    "deviations",
    "events",
    "knowledge",
    "kpis",
    "monitoring",
    "orders",
    "scoring",
    "store",
)
"""Packages of the project from which runs import inside functions."""

_MIGRATIONS: Final = "migrations"  # these migrate a database when they are imported


def run_imports() -> list[str]:
    """Names of the modules that runs import, outside the definitions: libraries, then ours."""
    files = (
        path.relative_to(PROJECT_ROOT).with_suffix("")
        for package in _PACKAGES
        for path in sorted((PROJECT_ROOT / PACKAGE / package).rglob("*.py"))
    )
    ours = [".".join(file.parts) for file in files if _MIGRATIONS not in file.parts]
    ours.append(f"{PACKAGE}.dagster_storage")
    return [*_LIBRARIES, *(name.removesuffix(".__init__") for name in ours)]
