"""A database, folders and a model: files are handed in, and the tables are looked at."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from fulfillment_assets.delay_model.scorer import DelayScorer
from fulfillment_assets.kpis import rollups
from fulfillment_assets.orders.simulator import SimulationPlan, write_csv
from fulfillment_assets.scoring import batch_jobs, drop_folder, pipeline
from fulfillment_assets.scoring.batch_jobs import BatchJob
from fulfillment_assets.scoring.pipeline import BatchResult
from fulfillment_assets.settings import Settings
from tests.orders.examples import csv_text, order_row

FIRST_DAY = dt.date(2026, 3, 1)
LATE = {"discount_offered": "60", "weight_in_gms": "1500"}
"""Features of an order that every honest model calls critical."""

OPEN = {"delivery_date": "", "order_status": "processing"}
"""Fields of an order that is not delivered yet, so that it can deviate."""


@dataclass(frozen=True)
class Workplace:
    """What a run of the pipeline needs.

    Attributes:
        engine: of a fresh database.
        settings: with a data directory of its own.
        scorer: the committed model.
        outside: a folder where files lie before they are dropped.
    """

    engine: Engine
    settings: Settings
    scorer: DelayScorer
    outside: Path

    def file(self, content: str | bytes, name: str = "orders.csv") -> Path:
        """A file outside the inbox."""
        self.outside.mkdir(parents=True, exist_ok=True)
        path = self.outside / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def orders(self, *changes: Mapping[str, str], name: str = "orders.csv") -> Path:
        """A file of sound orders, one for each set of changes."""
        return self.file(csv_text([order_row(**change) for change in changes]), name)

    def simulated(
        self, count: int, *, seed: int = 1, fault_share: float = 0.0, name: str = "orders.csv"
    ) -> Path:
        """A file of simulated orders, with its true outcomes beside it."""
        plan = SimulationPlan(count, seed, FIRST_DAY, days=14, fault_share=fault_share)
        return write_csv(plan, self.outside / name).out_path

    def drop(self, path: Path, name: str | None = None) -> Path:
        """Put a copy of a file into the inbox."""
        drop_folder.make_folders(self.settings)
        target = self.settings.inbox / (name or path.name)
        target.write_bytes(path.read_bytes())
        return target

    def claim(
        self, path: Path, *, again: bool = False, received: dt.datetime | None = None
    ) -> BatchJob:
        """Claim a file; `received` back-dates the job."""
        job = drop_folder.claim(self.engine, self.settings, path, keep=True, again=again).job
        if received is not None:
            self.execute(
                "UPDATE batch_jobs SET created_at = :at WHERE id = :id", at=received, id=job.id
            )
        return job

    def run(self, job: BatchJob, run_id: str = "run-1") -> BatchResult:
        """Score the file of a job."""
        return pipeline.score_file(self.engine, self.settings, self.scorer, job.id, run_id=run_id)

    def score(
        self, path: Path, *, again: bool = False, received: dt.datetime | None = None
    ) -> BatchResult:
        """Claim and score a file."""
        return self.run(self.claim(path, again=again, received=received))

    def job(self, job: BatchJob) -> BatchJob:
        """A job as it stands now."""
        with self.engine.connect() as connection:
            return batch_jobs.find_job(connection, job.id)

    def rows(self, query: str, **parameters: Any) -> list[dict[str, Any]]:
        """The rows of a query."""
        with self.engine.connect() as connection:
            return [dict(row) for row in connection.execute(sa.text(query), parameters).mappings()]

    def value(self, query: str, **parameters: Any) -> Any:
        """The one value of a query."""
        with self.engine.connect() as connection:
            return connection.scalar(sa.text(query), parameters)

    def execute(self, statement: str, **parameters: Any) -> None:
        """Run and commit a statement."""
        with self.engine.begin() as connection:
            connection.execute(sa.text(statement), parameters)

    def counts(self) -> dict[str, int]:
        """How many rows each table that scoring writes has."""
        return {table: self.value(f"SELECT count(*) FROM {table}") for table in TABLES}

    def rollup_differences(self) -> int:
        """How many rollup rows differ from a recomputation."""
        with self.engine.connect() as connection:
            return rollups.differences(connection)

    def counted_orders(self) -> int:
        """How many orders the rollups count."""
        return int(self.value("SELECT coalesce(sum(orders), 0) FROM kpi_rollups"))


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until a condition is true; fail if it is not within 20 seconds."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it did not happen within 20 s"
        time.sleep(0.001)


def assert_complete(workplace: Workplace, job: BatchJob, rows: int) -> None:
    """The job has exactly so many sound rows, everywhere, and its file is archived."""
    now = workplace.job(job)
    assert (now.status, now.accepted_count, now.path) == ("completed", rows, None)
    counts = workplace.counts()
    assert counts["predictions"] == counts["orders"] == rows
    assert counts["outbox"] == counts["deviations"]
    assert workplace.rollup_differences() == 0
    assert files_below(workplace.settings.inbox.parent) == ["processed/orders.csv"]


TABLES = ("predictions", "orders", "kpi_rollups", "deviations", "rejected_records", "outbox")
NOTHING = dict.fromkeys(TABLES, 0)


def files_below(folder: Path) -> list[str]:
    """Names of the files in a folder and below it, in order."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
