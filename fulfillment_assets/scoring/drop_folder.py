"""Files on their way: inbox → claimed → processed or failed.

The database comes first: a file moves only after its job says so, and every step can be
repeated after a crash. A claimed file lies in a folder named by its job, so that two files of
one name never meet.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy.engine import Engine

from fulfillment_assets.orders.csv_reader import sha256_of
from fulfillment_assets.scoring import batch_jobs
from fulfillment_assets.scoring.batch_jobs import BatchJob
from fulfillment_assets.settings import Settings

_UNFINISHED_SUFFIXES: Final = (".part", ".tmp", ".crdownload", ".filepart", "~")
_MOST_NAME_BYTES: Final = 200
"""File systems allow 255; the names of archived and rejected rows are longer than the file's."""

_ENDING: Final = re.compile(r"(\.csv)?(\.gz)?$", re.IGNORECASE)
_ANSWER_SHEETS: Final = (".truth.csv", ".truth.csv.gz")
"""The simulator writes the true outcomes beside its orders; they are no orders."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A job, and whether its file now waits to be scored (it does not if it was known)."""

    job: BatchJob
    to_score: bool


def make_folders(settings: Settings) -> None:
    """Create the inbox and the folders beside it."""
    for folder in (settings.inbox, settings.claimed, settings.processed, settings.failed):
        folder.mkdir(parents=True, exist_ok=True)


def settled_files(inbox: Path, settle_seconds: float) -> list[Path]:
    """The files of the inbox that have stopped growing, oldest first.

    A file counts once its size and time of change have been the same for `settle_seconds`
    and no process of this machine has it open for writing. Hidden files, and names that
    programs give to unfinished downloads, do not count. Waits for files changed just now.
    """
    before = {path: _stamp(path) for path in _candidates(inbox)}
    if any(_age(stamp) < settle_seconds for stamp in before.values()):
        time.sleep(settle_seconds)
    settled = [
        path
        for path, stamp in before.items()
        if _stamp(path) == stamp and _age(stamp) >= settle_seconds and not _being_written(path)
    ]
    return sorted(settled, key=lambda path: (before[path][1], path.name))


def claim(
    engine: Engine, settings: Settings, path: Path, *, keep: bool = False, again: bool = False
) -> Claim:
    """Claim a file by the hash of its content, and take it (or, to `keep` it, a copy) away.

    A file whose content is known is put among the duplicates and not scored, unless `again`.
    """
    make_folders(settings)
    size, digest, name = path.stat().st_size, sha256_of(path), _storable(path.name)
    with engine.begin() as connection:
        job, to_score = batch_jobs.register(
            connection,
            filename=name,
            sha256=digest,
            size_bytes=size,
            claimed=settings.claimed,
            again=again,
        )
    if lacks_file(job, to_score=to_score) and job.path is not None:
        take(path, job.path, keep=keep)
        return Claim(job, to_score=True)
    if not keep:
        take(path, settings.processed / "duplicates" / _distinct(name, digest))
    return Claim(job, to_score=False)


def archive(engine: Engine, settings: Settings, job: BatchJob) -> Path:
    """Move the file of a finished job to `processed/` or `failed/`; return where it is.

    Idempotent: a second call, or one after a crash in the middle, ends in the same state.

    Raises:
        ValueError: the job is not finished; its file is still needed.
    """
    if not job.finished:
        raise ValueError(f"batch job {job.id} is {job.status}; its file cannot be archived yet")
    folder = settings.processed if job.status == "completed" else settings.failed
    target = folder / job.archive_name
    if job.path is not None:
        with contextlib.suppress(FileNotFoundError):
            take(job.path, target)
        with contextlib.suppress(OSError):
            job.path.parent.rmdir()
        with engine.begin() as connection:
            batch_jobs.mark_archived(connection, job.id)
    return target


def lacks_file(job: BatchJob, *, to_score: bool) -> bool:
    """Whether a registered job needs the file: it is new, or its own was lost in a crash."""
    vanished = job.status == "pending" and job.path is not None and not job.path.exists()
    return to_score or vanished


def _candidates(inbox: Path) -> Iterator[Path]:
    if not inbox.is_dir():
        return
    for path in inbox.iterdir():
        ignored = path.name.startswith(".") or path.name.endswith(
            (*_UNFINISHED_SUFFIXES, *_ANSWER_SHEETS)
        )
        if path.is_file() and not ignored:
            yield path


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except FileNotFoundError:
        return (-1, 0)
    return (status.st_size, status.st_mtime_ns)


def _age(stamp: tuple[int, int]) -> float:
    return time.time() - stamp[1] / 1e9


def _being_written(path: Path) -> bool:
    """Whether a process has the file open for writing: then Linux refuses a read lease on it.

    A writer that comes while the lease is held would send us a signal: make it an idle one.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return True
    except PermissionError:  # claiming it will say so
        return False
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN
    except AttributeError:  # not Linux: the file's age must do
        return False
    finally:
        os.close(descriptor)
    return False


def _storable(name: str) -> str:
    """A file's name as the database can hold it, and short enough to be lengthened."""
    text = os.fsencode(name).decode("utf-8", "replace")
    octets = text.encode()
    if len(octets) <= _MOST_NAME_BYTES:
        return text
    ending = _ENDING.findall(text)
    return octets[:_MOST_NAME_BYTES].decode("utf-8", "ignore") + "".join(ending[0])


def _distinct(name: str, digest: str) -> str:
    stem, dot, suffix = name.partition(".")
    return f"{stem}-{digest[:12]}{dot}{suffix}"


def take(source: Path, target: Path, *, keep: bool = False) -> None:
    """Move a file, or, to `keep` it, copy it; the target's folder is made if it is missing."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not keep:
        shutil.move(source, target)
        return
    unfinished = target.with_name(target.name + ".part")
    shutil.copyfile(source, unfinished)
    unfinished.replace(target)
