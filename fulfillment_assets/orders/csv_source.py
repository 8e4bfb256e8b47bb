"""Opening a CSV file as UTF-8 text, whatever it was saved as."""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Callable, Generator
from pathlib import Path
from typing import BinaryIO, Final, cast

BLOCK_BYTES: Final = 1 << 20
"""How much of a file is read at a time."""

_GZIP: Final = b"\x1f\x8b"
_FORMATS: Final = (
    (b"PK\x03\x04", "an Excel workbook or another zip archive"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Excel workbook"),
    (b"PAR1", "a Parquet file"),
)
_UTF16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class OrderFileError(Exception):
    """A file that cannot be scored at all; the message is plain and says what to do."""


def text_blocks(path: Path, on_read: Callable[[int], None] = lambda _: None) -> Generator[bytes]:
    """Give the text of a CSV file as UTF-8, block by block, cut anywhere between characters.

    gzip is recognised by its magic number, UTF-8 and UTF-16 by their byte-order marks, which are
    left out; text with no mark is taken for UTF-8. What is not valid becomes U+FFFD, so that one
    bad byte costs one row and not the file.

    Args:
        path: the file.
        on_read: called with how many of the file's bytes, as it lies on disk, were read so far.

    Raises:
        OrderFileError: the file is damaged, or is not text.
    """
    if not path.is_file():
        raise OrderFileError("this is not a file; check the path")
    with path.open("rb") as stored, _unpacked(stored) as file:
        block = _read(file)
        for magic, name in _FORMATS:
            if block.startswith(magic):
                raise OrderFileError(f"this looks like {name}; export it as CSV and drop that")
        encoding = "utf-16" if block.startswith(_UTF16) else "utf-8"
        decoder = codecs.getincrementaldecoder(encoding)("replace")
        block = block.removeprefix(codecs.BOM_UTF8)
        while block:
            on_read(stored.tell())
            is_plain = encoding == "utf-8" and block.isascii() and not decoder.getstate()[0]
            yield block if is_plain else decoder.decode(block).encode()
            block = _read(file)
        yield decoder.decode(b"", final=True).encode()


def _unpacked(stored: BinaryIO) -> BinaryIO:
    compressed = stored.read(len(_GZIP)) == _GZIP
    stored.seek(0)
    return cast(BinaryIO, gzip.GzipFile(fileobj=stored)) if compressed else stored


def _read(file: BinaryIO) -> bytes:
    try:
        return file.read(BLOCK_BYTES)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise OrderFileError(
            "this gzip file is damaged or incomplete; compress and copy it again"
        ) from None
