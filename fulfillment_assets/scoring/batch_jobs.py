"""The `batch_jobs` table: one row for each content that was ever handed in as a file.

A job is keyed by the sha256 of the file's content. Its moves are pending → processing →
completed or failed; a failed one becomes pending when its file is dropped again.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row
from sqlalchemy.exc import OperationalError

from fulfillment_assets.observability.correlation import current_correlation_id, new_correlation_id

Status = Literal["pending", "processing", "completed", "failed"]

_REGISTER_LOCK: Final = 0x72656769
_ENDINGS: Final = ("", ".csv", ".gz", ".csv.gz")
"""Names that differ only in these have one name for their rejected rows."""


class BatchBusyError(RuntimeError):
    """Another run is scoring the same file and did not finish in time."""


@dataclass(frozen=True, slots=True)
class BatchJob:
    """One row of `batch_jobs`.

    `completed_at` is when it last came to an end: a failed job that is handed in again keeps it.
    `rows_done` and `bytes_done` tell how far its run is, as of a second ago; 0 if it failed.
    `correlation_id` is of the request that handed it in last, or was made when it was claimed.
    """

    id: uuid.UUID
    filename: str
    archive_name: str
    sha256: str
    submission: int
    status: Status
    path: Path | None
    size_bytes: int
    row_count: int
    accepted_count: int
    rejected_count: int
    rows_done: int
    bytes_done: int
    model_version: str | None
    error_message: str | None
    run_id: str | None
    correlation_id: str
    created_at: dt.datetime
    started_at: dt.datetime | None
    completed_at: dt.datetime | None

    @property
    def finished(self) -> bool:
        """Whether it came to an end; its file may still wait to be archived."""
        return self.status in ("completed", "failed")

    @property
    def seconds(self) -> float:
        """How long its last run took, from claim to commit; 0 while it is not finished."""
        if not self.finished or self.started_at is None or self.completed_at is None:
            return 0.0
        return (self.completed_at - self.started_at).total_seconds()

    @property
    def day(self) -> dt.date:
        """The UTC day of receipt: the partition of the job's predictions."""
        return self.created_at.astimezone(dt.UTC).date()


_COLUMNS = ", ".join(BatchJob.__slots__)


def _job(row: Row[Any]) -> BatchJob:
    values = dict(row._mapping)
    values["path"] = Path(values["path"]) if values["path"] else None
    return BatchJob(**values)


def find_job(connection: Connection, job_id: uuid.UUID) -> BatchJob:
    """The job with this id.

    Raises:
        LookupError: there is none.
    """
    row = connection.execute(
        sa.text(f"SELECT {_COLUMNS} FROM batch_jobs WHERE id = :id"), {"id": job_id}
    ).one_or_none()
    if row is None:
        raise LookupError(f"there is no batch job {job_id}")
    return _job(row)


def find_by_content(connection: Connection, sha256: str) -> BatchJob | None:
    """The latest job of a content, or None if it was never handed in."""
    row = connection.execute(
        sa.text(
            f"SELECT {_COLUMNS} FROM batch_jobs WHERE sha256 = :sha256 "
            "ORDER BY submission DESC LIMIT 1"
        ),
        {"sha256": sha256},
    ).one_or_none()
    return None if row is None else _job(row)


def unfinished_jobs(connection: Connection) -> Sequence[BatchJob]:
    """Jobs that wait, run, or whose file is not archived yet, oldest first."""
    rows = connection.execute(
        sa.text(
            f"SELECT {_COLUMNS} FROM batch_jobs "
            "WHERE status IN ('pending', 'processing') OR path IS NOT NULL ORDER BY created_at"
        )
    )
    return [_job(row) for row in rows]


def lock_registrations(connection: Connection) -> None:
    """Let nobody else register a file until the end of the transaction."""
    connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _REGISTER_LOCK})


def register(
    connection: Connection,
    *,
    filename: str,
    sha256: str,
    size_bytes: int,
    claimed: Path,
    again: bool = False,
    ending: str | None = None,
) -> tuple[BatchJob, bool]:
    """Return the job of this content, and whether it now waits to be scored.

    New content makes a pending job, whose file is to be put below the folder `claimed`. Content
    that failed before is made pending again, received now: it has left no rows. Content that
    waits, runs or is completed leaves its job as it is, unless `again` asks for a new submission
    of completed content. Concurrent callers wait for one another, and one of them gets the word
    to score. On disk a file has the name `filename`, or, with an `ending` such as `.csv.gz`, that
    of its job: then `filename` is only shown.
    """
    lock_registrations(connection)
    new: dict[str, Any] = {
        "filename": filename,
        "ending": ending,
        "sha256": sha256,
        "size_bytes": size_bytes,
        "claimed": claimed,
        "correlation_id": current_correlation_id() or new_correlation_id(),
    }
    known = find_by_content(connection, sha256)
    if known is None:
        return _insert(connection, submission=1, **new), True
    if known.status == "failed":
        path = claimed / str(known.id) / known.archive_name
        _update(
            connection,
            known.id,
            "status = 'pending', error_message = NULL, created_at = now(), path = :path, "
            "correlation_id = :correlation_id",
            path=str(path),
            correlation_id=new["correlation_id"],
        )
        return find_job(connection, known.id), True
    if again and known.status == "completed":
        return _insert(connection, submission=known.submission + 1, **new), True
    return known, False


def without_ending(filename: str) -> str:
    """The name of a file without `.csv`, `.gz` or both: what its rejected rows are named by."""
    return filename.removesuffix(".gz").removesuffix(".csv")


def _insert(
    connection: Connection,
    *,
    filename: str,
    ending: str | None,
    sha256: str,
    size_bytes: int,
    submission: int,
    claimed: Path,
    correlation_id: str,
) -> BatchJob:
    stem, dot, suffix = filename.partition(".")
    base = without_ending(filename)
    job_id = connection.execute(
        sa.text(
            "INSERT INTO batch_jobs "
            "(id, filename, archive_name, sha256, submission, size_bytes, correlation_id, path) "
            "SELECT id, :filename, name, :sha256, :submission, :size_bytes, :correlation_id, "
            ":claimed || '/' || id || '/' || name FROM (SELECT uuidv7() AS id) AS made, "
            "LATERAL (SELECT CASE WHEN :ending IS NOT NULL THEN CAST(id AS text) || :ending "
            "WHEN :filename LIKE '%.rejected.csv' OR EXISTS "
            "(SELECT FROM batch_jobs WHERE archive_name = ANY (:names)) "
            "THEN :unique_name ELSE :filename END AS name) AS named RETURNING id"
        ),
        {
            "filename": filename,
            "ending": ending,
            "names": [base + ending for ending in _ENDINGS],
            "unique_name": f"{stem}-{sha256[:12]}-{submission}{dot}{suffix}",
            "sha256": sha256,
            "submission": submission,
            "size_bytes": size_bytes,
            "correlation_id": correlation_id,
            "claimed": str(claimed),
        },
    ).scalar_one()
    return find_job(connection, job_id)


def start(connection: Connection, job_id: uuid.UUID, run_id: str) -> BatchJob:
    """Mark a job as being processed by `run_id`, unless it is completed; return it."""
    _update(
        connection,
        job_id,
        "status = 'processing', run_id = :run_id, attempts = attempts + 1, "
        "error_message = NULL, started_at = clock_timestamp(), rows_done = 0, bytes_done = 0",
        "status <> 'completed'",
        run_id=run_id,
    )
    return find_job(connection, job_id)


def lock(connection: Connection, job_id: uuid.UUID, *, seconds: int = 60) -> BatchJob:
    """Hold the job until the end of the transaction; return it as it is then.

    The backend of a killed run may outlive it for a moment, so this waits.

    Raises:
        BatchBusyError: another transaction held the job for longer than `seconds`.
    """
    connection.execute(sa.text(f"SET LOCAL lock_timeout TO '{seconds}s'"))
    try:
        connection.execute(
            sa.text("SELECT pg_advisory_xact_lock(hashtextextended(:id, 0))"), {"id": str(job_id)}
        )
    except OperationalError as error:
        raise BatchBusyError(f"another run is still scoring batch job {job_id}") from error
    connection.execute(sa.text("SET LOCAL lock_timeout TO DEFAULT"))
    return find_job(connection, job_id)


def complete(
    connection: Connection, job_id: uuid.UUID, *, accepted: int, rejected: int, model_version: str
) -> None:
    """Mark a job as completed, in the transaction that writes its rows."""
    _update(
        connection,
        job_id,
        "status = 'completed', row_count = :accepted + :rejected, accepted_count = :accepted, "
        "rejected_count = :rejected, model_version = :model_version, "
        "rows_done = :accepted + :rejected, bytes_done = size_bytes, "
        "completed_at = clock_timestamp()",
        accepted=accepted,
        rejected=rejected,
        model_version=model_version,
    )


def fail(connection: Connection, job_id: uuid.UUID, message: str) -> None:
    """Mark a job as failed, with what its user is to know, unless it is completed."""
    _update(
        connection,
        job_id,
        "status = 'failed', error_message = :message, completed_at = clock_timestamp(), "
        "rows_done = 0, bytes_done = 0",
        "status <> 'completed'",
        message=message,
    )


def mark_archived(connection: Connection, job_id: uuid.UUID) -> None:
    """Note that the file of a job has left the folder of claimed files."""
    _update(connection, job_id, "path = NULL")


def _update(
    connection: Connection,
    job_id: uuid.UUID,
    assignments: str,
    condition: str = "true",
    **parameters: object,
) -> None:
    connection.execute(
        sa.text(f"UPDATE batch_jobs SET {assignments} WHERE id = :id AND {condition}"),
        {"id": job_id, **parameters},
    )
