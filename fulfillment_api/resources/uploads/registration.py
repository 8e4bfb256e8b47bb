"""From a received file to its job: once for each content, and once for each key."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.engine import Connection

from fulfillment_api.audit import Changes
from fulfillment_api.errors import InvalidError
from fulfillment_api.resources.uploads.receiving import Received, full_disk_told
from fulfillment_api.resources.uploads.repository import Answered, find_answered, remember
from fulfillment_assets.scoring.batch_jobs import BatchJob, find_job, lock_registrations
from fulfillment_assets.scoring.uploads import HandedIn, hand_in, take_if_needed, withdraw
from fulfillment_assets.settings import Settings


@dataclass(frozen=True, slots=True)
class Registered:
    """A job, and what is said of it.

    Attributes:
        known: whether its content was handed in before.
        to_score: whether the upload made it wait to be scored.
    """

    job: BatchJob
    known: bool
    to_score: bool


@dataclass(frozen=True, slots=True)
class Registration:
    """Registers the file of one request.

    Attributes:
        key: by which the client names the upload, if it does.
        again: whether completed content is to be scored again.
    """

    changes: Changes
    settings: Settings
    key: str | None
    again: bool

    def register(self, received: Received) -> Registered:
        """Register a file in one transaction; what is answered afterwards is kept.

        The transaction takes the lock of all registrations, so that two uploads of one content or
        of one key come one after the other. Then it looks up the key, makes the job or finds it,
        moves the file to where the job says it is, notes the key, and writes the line of the
        audit. If it commits, all of that holds; if it does not, the file is removed. A crash
        before the commit leaves at most a file that no job knows, which is never scored.

        Raises:
            InvalidError: the key was used for other content.
            InsufficientStorageError: the disk is full.
        """
        moved: list[BatchJob] = []
        try:
            with full_disk_told(), self.changes.database.transaction() as connection:
                lock_registrations(connection)
                return self._answered(connection, received) or self._new(
                    connection, received, moved
                )
        except BaseException:
            for job in moved:
                withdraw(self.changes.database.engine, self.settings, job)
            raise

    def _answered(self, connection: Connection, received: Received) -> Registered | None:
        if self.key is None:
            return None
        found = find_answered(connection, self.changes.principal.key_id, self.key)
        if found is None:
            return None
        if found.sha256 != received.file.sha256:
            raise InvalidError.of(
                "header.Idempotency-Key",
                "was used for other content in the last 24 hours; take a new key for each file",
            )
        job = find_job(connection, found.batch_job_id)
        take_if_needed(self.settings, received.file, job)
        return Registered(job, found.known, found.to_score)

    def _new(self, connection: Connection, received: Received, moved: list[BatchJob]) -> Registered:
        handed = hand_in(
            connection,
            self.settings,
            received.file,
            filename=received.filename,
            again=self.again,
        )
        if handed.taken:
            moved.append(handed.job)
            self._audit(connection, handed)
        if self.key is not None:
            remember(connection, self.changes.principal.key_id, self.key, _answer(handed))
        return Registered(handed.job, handed.known, handed.to_score)

    def _audit(self, connection: Connection, handed: HandedIn) -> None:
        job = handed.job
        self.changes.record(
            connection,
            "batch.upload",
            str(job.id),
            sha256=job.sha256,
            size_bytes=job.size_bytes,
            submission=job.submission,
            again=self.again,
        )


def _answer(handed: HandedIn) -> Answered:
    return Answered(handed.job.sha256, handed.job.id, handed.known, handed.to_score)
