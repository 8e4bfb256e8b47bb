"""The demonstration: a sample of orders goes through a running platform like any other file."""

from __future__ import annotations

import datetime as dt
import time
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from fulfillment_assets.local.errors import LocalServiceError
from fulfillment_assets.orders.csv_reader import sha256_of
from fulfillment_assets.orders.simulator import SimulationPlan, write_csv
from fulfillment_assets.scoring.batch_jobs import BatchJob, find_by_content
from fulfillment_assets.scoring.drop_folder import make_folders
from fulfillment_assets.settings import Settings
from fulfillment_assets.store.partitions import utc_today

ORDERS: Final = 2_000
DAYS: Final = 14
FAULT_SHARE: Final = 0.01
WAIT_SECONDS: Final = 180.0

AGENTS_SECONDS: Final = 90.0
"""How long the demonstration waits until the agents are through."""

_POLL_SECONDS: Final = 0.25

_OPEN: Final = """
SELECT count(*) FROM deviations
WHERE severity = 'critical' AND status IN ('pending', 'agent_triggered')
"""
_STATUSES: Final = """
SELECT status, count(*) FROM deviations WHERE severity = 'critical' GROUP BY status ORDER BY status
"""


def drop_sample(engine: Engine, settings: Settings) -> tuple[Path, str]:
    """Drop simulated orders, some of them broken, into the inbox; return path and sha256.

    Each call makes other orders: the seed is the number of files that were handed in so far.
    """
    make_folders(settings)
    with engine.connect() as connection:
        number = 1 + int(connection.scalar(sa.text("SELECT count(*) FROM batch_jobs")) or 0)
    plan = SimulationPlan(
        count=ORDERS,
        seed=number,
        start=utc_today() - dt.timedelta(days=DAYS),
        days=DAYS,
        fault_share=FAULT_SHARE,
    )
    outside = settings.data_dir / "demo" / f"demo-orders-{number}.csv"
    outside.parent.mkdir(parents=True, exist_ok=True)
    write_csv(plan, outside)
    digest = sha256_of(outside)
    return outside.replace(settings.inbox / outside.name), digest


def wait_for_result(engine: Engine, sha256: str) -> BatchJob:
    """The job of a dropped content, once it is completed or failed and its file archived.

    Raises:
        LocalServiceError: it is not within three minutes.
    """
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        with engine.connect() as connection:
            job = find_by_content(connection, sha256)
        if job is not None and job.status in ("completed", "failed") and job.path is None:
            return job
        time.sleep(_POLL_SECONDS)
    raise LocalServiceError(
        f"the sample was not scored within {WAIT_SECONDS:.0f} s: look at the runs in the Dagster "
        "UI and at the logs in the data directory"
    )


def wait_for_agents(engine: Engine) -> dict[str, int]:
    """The critical deviations by status, once none waits for an agent, or time is up."""
    deadline = time.monotonic() + AGENTS_SECONDS
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        while time.monotonic() < deadline and connection.scalar(sa.text(_OPEN)):
            time.sleep(_POLL_SECONDS)
        return {status: int(count) for status, count in connection.execute(sa.text(_STATUSES))}
