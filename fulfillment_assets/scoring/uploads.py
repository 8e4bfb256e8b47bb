"""Files that are handed in over a network: received beside the inbox, then registered.

A file is written to the folder of uploads, under a name of ours. When it is whole, one
transaction registers its job and moves it to the claimed files; the sensor that looks for open
jobs does the rest. What a crash leaves lies there unseen by every sensor, and is swept a day
later.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from fulfillment_assets.scoring import batch_jobs
from fulfillment_assets.scoring.batch_jobs import BatchJob
from fulfillment_assets.scoring.drop_folder import lacks_file, make_folders, take
from fulfillment_assets.settings import Settings

LEFT_OVER_SECONDS: Final = 24 * 3600.0
"""So old a file is left by a crash: no upload takes as long."""

_GZIP: Final = b"\x1f\x8b"


class IncomingFile:
    """A file that is being received; nobody else looks at it.

    Args:
        folder: where it is written; made if it is missing.

    Attributes:
        path: where it is, until it is taken or discarded.
        size_bytes: how much of it was received.
        ending: `.csv`, or `.csv.gz` by its first bytes.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{uuid.uuid4().hex}.part"
        self.size_bytes = 0
        self.ending = ".csv"
        self._hash = hashlib.sha256()
        self._start = b""
        self._file = self.path.open("wb")

    def write(self, data: bytes | memoryview) -> None:
        """Add to the file.

        Raises:
            OSError: it cannot be stored.
        """
        if len(self._start) < len(_GZIP):
            self._start += bytes(data[: len(_GZIP)])
            self.ending = ".csv.gz" if self._start.startswith(_GZIP) else ".csv"
        self._hash.update(data)
        self._file.write(data)
        self.size_bytes += len(data)

    def finish(self) -> None:
        """Close the file; it outlives a crash of the machine from here on.

        Raises:
            OSError: it cannot be stored.
        """
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    @property
    def sha256(self) -> str:
        """Of what was received, in hexadecimal."""
        return self._hash.hexdigest()

    def discard(self) -> None:
        """Remove what was received, unless it was taken."""
        self.path.unlink(missing_ok=True)
        try:
            self._file.close()
        except OSError:  # the last of its data do not fit; they are not wanted any more
            return


@dataclass(frozen=True, slots=True)
class HandedIn:
    """What became of a file.

    Attributes:
        known: whether its content was handed in before.
        to_score: whether it now waits to be scored, and did not before.
        taken: whether the file was moved to where it waits.
    """

    job: BatchJob
    known: bool
    to_score: bool
    taken: bool


def hand_in(
    connection: Connection,
    settings: Settings,
    file: IncomingFile,
    *,
    filename: str,
    again: bool,
) -> HandedIn:
    """Register a finished file, and take it to where it waits, in the caller's transaction.

    A job is thus never seen without its file. If the transaction fails, `withdraw` what was taken.

    Args:
        connection: in a transaction.
        settings: tell where the folders are.
        file: received and finished.
        filename: how it is shown; it names nothing on disk.
        again: whether completed content is to be scored again.

    Raises:
        OSError: the file cannot be stored where it is to wait.
    """
    batch_jobs.lock_registrations(connection)
    known = batch_jobs.find_by_content(connection, file.sha256) is not None
    job, to_score = batch_jobs.register(
        connection,
        filename=filename,
        sha256=file.sha256,
        size_bytes=file.size_bytes,
        claimed=settings.claimed,
        again=again,
        ending=file.ending,
    )
    return HandedIn(job, known, to_score, take_if_needed(settings, file, job, to_score=to_score))


def take_if_needed(
    settings: Settings, file: IncomingFile, job: BatchJob, *, to_score: bool = False
) -> bool:
    """Take a file to where its job's one is missing; tells whether it did.

    Raises:
        OSError: it cannot be stored there; nothing of it is left there.
    """
    if not lacks_file(job, to_score=to_score) or job.path is None:
        return False
    make_folders(settings)
    try:
        take(file.path, job.path)
        for folder in (job.path.parent, settings.claimed):
            _sync(folder)
    except OSError:
        job.path.unlink(missing_ok=True)
        raise
    return True


def withdraw(engine: Engine, settings: Settings, job: BatchJob) -> None:
    """Remove the file of a job whose registration failed; it stays if it did not fail after all.

    While the database does not answer that question, it stays, too, for `sweep`.
    """
    with contextlib.suppress(SQLAlchemyError):
        _remove_unregistered(engine, [settings.claimed / str(job.id)])


def sweep(engine: Engine, settings: Settings) -> None:
    """Remove what crashes have left: files received in part, or never registered."""
    for path in _left_over(settings.uploads):
        with contextlib.suppress(OSError):  # it must not keep the others from coming in
            path.unlink()
    _remove_unregistered(engine, _left_over(settings.claimed))


def _left_over(folder: Path) -> Iterator[Path]:
    oldest = time.time() - LEFT_OVER_SECONDS
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        try:
            changed = path.stat().st_mtime
        except FileNotFoundError:
            continue
        if changed < oldest:
            yield path


def _remove_unregistered(engine: Engine, folders: Iterable[Path]) -> None:
    """Remove folders of claimed files whose jobs do not wait for them.

    Registrations are kept waiting: one that is not committed yet may have put its file there.
    """
    named = {folder.name: folder for folder in folders}
    if not named:
        return
    with engine.begin() as connection:
        batch_jobs.lock_registrations(connection)
        registered = connection.execute(
            sa.text(
                "SELECT CAST(id AS text) FROM batch_jobs "
                "WHERE CAST(id AS text) = ANY (:names) AND path IS NOT NULL"
            ),
            {"names": list(named)},
        ).scalars()
        for name in named.keys() - set(registered):
            shutil.rmtree(named[name], ignore_errors=True)


def _sync(folder: Path) -> None:
    """Let the names in a folder outlive a crash of the machine."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
