"""The unified pipeline: a file of orders becomes committed rows, in one transaction.

    read → validate → score → predictions, orders → deviations, outbox → kpi_rollups

A file is read in chunks, so memory does not depend on its size. While PostgreSQL takes one
chunk in, the next is read and scored. Nothing is visible before all of it is; a run that dies
leaves nothing, and its retry starts over. The job's lock, its status and the unique index on
(batch_job_id, row_number, created_at) make a second run of the same job a no-op.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy.engine import Connection, Engine

from fulfillment_assets.delay_model.scorer import DelayScorer
from fulfillment_assets.deviations import rules
from fulfillment_assets.deviations.reads import deviation_counts
from fulfillment_assets.deviations.severity import Thresholds, load_thresholds
from fulfillment_assets.kpis import rollups
from fulfillment_assets.orders.csv_reader import OrderFileError, read_orders
from fulfillment_assets.orders.rejected_csv import RejectedCsv
from fulfillment_assets.orders.validation import RejectedRow
from fulfillment_assets.scoring import batch_jobs, rejected, staging
from fulfillment_assets.scoring.ahead import ahead
from fulfillment_assets.scoring.batch_jobs import BatchJob
from fulfillment_assets.scoring.drop_folder import archive
from fulfillment_assets.scoring.job_progress import JobProgress
from fulfillment_assets.scoring.reports import Scope, severity_counts
from fulfillment_assets.scoring.rows import Arrival, score_orders
from fulfillment_assets.scoring.staging import EncodedBatch
from fulfillment_assets.settings import Settings
from fulfillment_assets.store.partitions import ensure_partition

CHUNK_ROWS: Final = 8_192
"""Orders in flight at a time: enough to be set-based, few enough to stay in the cache."""


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What became of a file: its job, its predictions by severity, its deviations by kind."""

    job: BatchJob
    severities: dict[str, int]
    deviations: dict[str, dict[str, int]]

    @property
    def predictions(self) -> int:
        """How many predictions the file has in the database."""
        return sum(self.severities.values())


@dataclass(frozen=True, slots=True)
class _Prepared:
    encoded: EncodedBatch
    rejected: tuple[RejectedRow, ...]
    accepted: int
    bytes_read: int


def score_file(
    engine: Engine,
    settings: Settings,
    scorer: DelayScorer,
    job_id: uuid.UUID,
    *,
    run_id: str,
) -> BatchResult:
    """Score the claimed file of a job, commit all it gives, and archive it.

    A file that cannot be read ends its job as failed, with the reason; a job that is completed
    already stays as it is. Errors of the database or of this code leave the job to be retried.

    Raises:
        LookupError: there is no such job.
        BatchBusyError: another run is scoring it.
    """
    with engine.begin() as connection:
        job = batch_jobs.start(connection, job_id, run_id)
    if job.status != "completed":
        try:
            _commit_file(engine, settings, scorer, job)
        except OrderFileError as error:
            with engine.begin() as connection:
                batch_jobs.fail(connection, job_id, str(error))
    return finish(engine, settings, job_id)


def finish(engine: Engine, settings: Settings, job_id: uuid.UUID) -> BatchResult:
    """Archive the file of a finished job beside its rejected rows, and report. Idempotent.

    The file of a job that is not finished stays where it is.
    """
    with engine.connect() as connection:
        job = batch_jobs.find_job(connection, job_id)
        if job.path is not None and job.rejected_count:
            with RejectedCsv(settings.processed / rejected_name(job)) as refused:
                refused.write(rejected.of_batch(connection, job_id))
        result = BatchResult(
            job=job,
            severities=severity_counts(connection, Scope(job.day, job.day, job.id)),
            deviations=deviation_counts(connection, job_id),
        )
    if job.finished:
        archive(engine, settings, job)
    return result


def rejected_name(job: BatchJob) -> str:
    """Name of the file that lists the rejected rows of a job."""
    return f"{batch_jobs.without_ending(job.archive_name)}.rejected.csv"


def apply_staged(
    connection: Connection,
    thresholds: Thresholds,
    received_at: dt.datetime,
    batch_job_id: uuid.UUID | None = None,
) -> None:
    """Carry the staged orders into orders, deviations, rollups and outbox."""
    apply_staged_orders(connection, thresholds, received_at, batch_job_id)
    rules.watch_changed_segments(connection, thresholds, batch_job_id)


def apply_staged_orders(
    connection: Connection,
    thresholds: Thresholds,
    received_at: dt.datetime,
    batch_job_id: uuid.UUID | None = None,
) -> None:
    """The same, but for the deviations of segments: somebody must watch these soon after."""
    staging.upsert_orders(connection, received_at)
    rules.watch_orders(connection, thresholds, batch_job_id)
    # The last lock is the one that writers wait for most: all orders of an hour share its rows.
    rollups.apply_changes(connection)


def _commit_file(engine: Engine, settings: Settings, scorer: DelayScorer, job: BatchJob) -> None:
    if job.path is None or not job.path.exists():
        raise OrderFileError(f"{job.filename} disappeared before it could be scored; drop it again")
    _check_size(job.path, settings)
    stamp = _stamp(job.path)
    with engine.begin() as connection:
        ensure_partition(connection, job.day)
    with engine.begin() as connection:
        if batch_jobs.lock(connection, job.id).status == "completed":
            return
        staging.open_staging(connection)
        thresholds = load_thresholds(connection)
        arrival = Arrival("batch", job.created_at, job.id, correlation_id=job.correlation_id)
        progress = JobProgress(engine, job)
        accepted = refused = 0
        for chunk in ahead(_prepare(job.path, scorer, thresholds, arrival)):
            staging.stage(connection, chunk.encoded, job.day)
            rejected.store(connection, chunk.rejected, arrival)
            accepted += chunk.accepted
            refused += len(chunk.rejected)
            progress.tell(accepted + refused, chunk.bytes_read)
        if _stamp(job.path) != stamp:
            raise OrderFileError(f"{job.filename} changed while it was being read; drop it again")
        apply_staged(connection, thresholds, job.created_at, job.id)
        batch_jobs.complete(
            connection, job.id, accepted=accepted, rejected=refused, model_version=scorer.version
        )


def _prepare(
    path: Path, scorer: DelayScorer, thresholds: Thresholds, arrival: Arrival
) -> Iterator[_Prepared]:
    position = 0

    def note(bytes_read: int) -> None:
        nonlocal position
        position = bytes_read

    for batch in read_orders(path, chunk_rows=CHUNK_ROWS, on_read=note):
        scored = score_orders(batch.orders, scorer, thresholds, arrival)
        encoded = staging.encode_batch(scored, arrival)
        yield _Prepared(encoded, batch.rejected, len(scored), position)


def _check_size(path: Path, settings: Settings) -> None:
    size, most = path.stat().st_size, settings.max_file_bytes
    if size > most:
        raise OrderFileError(
            f"the file has {size:,} bytes, more than the {most:,} that FULFILLMENT_MAX_FILE_BYTES "
            "allows; split it or raise the limit"
        )


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return (status.st_size, status.st_mtime_ns)
