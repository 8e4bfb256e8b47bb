"""From a request's body to a file on disk, block by block."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Final

from anyio.to_thread import run_sync
from fastapi import Request
from python_multipart.multipart import parse_options_header
from sqlalchemy.engine import Engine
from starlette.requests import ClientDisconnect

from fulfillment_api.errors import (
    BadRequestError,
    BodyTooLargeError,
    InsufficientStorageError,
    InvalidError,
    UnsupportedMediaTypeError,
)
from fulfillment_api.resources.uploads.file_part import FilePart
from fulfillment_assets.scoring.uploads import IncomingFile, sweep
from fulfillment_assets.settings import Settings

BLOCK_BYTES: Final = 1024**2
"""So much is received before a thread writes it: one upload holds a few of these in memory."""

MULTIPART: Final = "multipart/form-data"
RAW: Final = ("text/csv", "application/gzip", "application/octet-stream")
UNNAMED: Final = "upload.csv"

_MOST_CHARACTERS: Final = 200
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_EMPTY: Final = "the file is empty; send a CSV file with a header and orders"
_MEDIA_TYPES: Final = (
    f"Send the file as {MULTIPART}, or as the body itself with Content-Type "
    f"{', '.join(RAW[:-1])} or {RAW[-1]}."
)


@dataclass(frozen=True, slots=True)
class Received:
    """A whole file.

    Attributes:
        filename: how the client calls it, cleaned; it names nothing on disk.
    """

    file: IncomingFile
    filename: str


@dataclass(frozen=True, slots=True)
class _Reader:
    """What finds the file in a body: `finish` tells the client's name for it."""

    feed: Callable[[bytes], None]
    finish: Callable[[], str | None]


@asynccontextmanager
async def received(
    request: Request, engine: Engine, settings: Settings, disposition: str | None
) -> AsyncIterator[Received]:
    """The file in a request's body, which is gone after the block unless it was taken.

    Args:
        request: whose body is not read yet.
        engine: of the platform's database.
        settings: tell where files go, and how large they may be.
        disposition: the Content-Disposition, which may name a raw body.

    Raises:
        BadRequestError: the body is broken, or the client went away.
        BodyTooLargeError: it is larger than a file may be.
        InsufficientStorageError: the disk is full.
        InvalidError: there is not one file, or it is empty.
        UnsupportedMediaTypeError: the Content-Type is none that can hold a file.
    """
    media_type, options = parse_options_header(request.headers.get("content-type"))
    form = media_type.decode("latin-1") == MULTIPART
    if not form and media_type.decode("latin-1") not in RAW:
        raise UnsupportedMediaTypeError(_MEDIA_TYPES)
    with full_disk_told():
        await run_sync(sweep, engine, settings)
        file = await run_sync(IncomingFile, settings.uploads)
    try:
        write = _limited(file, settings.max_file_bytes)
        if form:
            part = FilePart(options.get(b"boundary", b""), write)
            reader = _Reader(part.feed, part.finish)
        else:
            reader = _Reader(write, lambda: _announced_name(disposition))
        filename = await _receive(request, reader)
        if not file.size_bytes:
            raise InvalidError.of("body", _EMPTY)
        with full_disk_told():
            await run_sync(file.finish)
        yield Received(file, clean_name(filename))
    finally:
        file.discard()


@contextmanager
def full_disk_told() -> Iterator[None]:
    """Tell of a full disk as such.

    Raises:
        InsufficientStorageError: the disk is full.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise InsufficientStorageError(
            "There is no room for the file where uploads are stored; nothing of it was kept. "
            "Free some space there, and send it again."
        ) from error


def clean_name(name: str | None) -> str:
    """A client's name for a file, as it may be shown: no folders, nothing unprintable, short."""
    last = (name or "").replace("\\", "/").rpartition("/")[2]
    printable = "".join(character for character in last if character.isprintable()).strip()
    return printable[:_MOST_CHARACTERS] or UNNAMED


async def _receive(request: Request, reader: _Reader) -> str | None:
    try:
        with full_disk_told():
            async for block in _blocks(request.stream()):
                await run_sync(reader.feed, block)
    except ClientDisconnect as error:
        raise BadRequestError("The connection ended in the middle of the file.") from error
    return reader.finish()


async def _blocks(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    gathered = bytearray()
    async for chunk in chunks:
        gathered += chunk
        if len(gathered) >= BLOCK_BYTES:
            yield bytes(gathered)
            gathered.clear()
    if gathered:
        yield bytes(gathered)


def _limited(file: IncomingFile, limit: int) -> Callable[[bytes | memoryview], None]:
    def write(data: bytes | memoryview) -> None:
        if file.size_bytes + len(data) > limit:
            raise BodyTooLargeError(limit)
        file.write(data)

    return write


def _announced_name(disposition: str | None) -> str | None:
    _, options = parse_options_header(disposition)
    name = options.get(b"filename")
    return None if name is None else name.decode("utf-8", "replace")
