"""Opening a CSV file as UTF-8 text, whatever it was saved as."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from pathlib import Path
from typing import BinaryIO, Final, cast

BLOCK_BYTES: Final = 1 << 20
"""How much of a file is read and parsed at a time, and so the longest row that is sure to fit."""

_GZIP: Final = b"\x1f\x8b"
_FORMATS: Final = (
    (b"PK\x03\x04", "an Excel workbook or another zip archive"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Excel workbook"),
    (b"PAR1", "a Parquet file"),
)
_UTF16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class OrderFileError(Exception):
    """A file that cannot be scored at all; the message is plain and says what to do."""


def _open_gzip(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path))


class Utf8Stream(io.RawIOBase):
    """The text of a CSV file as UTF-8, a block at a time.

    gzip is recognised by its magic number, UTF-8 and UTF-16 by their byte-order marks, which are
    left out; text with no mark is taken for UTF-8. What is not valid becomes U+FFFD, so that one
    bad byte costs one row and not the file.

    Args:
        path: the file.
        end: bytes to give once, after the end of the text.

    Raises:
        OrderFileError: on opening or on reading, where the file is damaged or is not text.
    """

    def __init__(self, path: Path, end: bytes = b"") -> None:
        super().__init__()
        if not path.is_file():
            raise OrderFileError("this is not a file; check the path")
        with path.open("rb") as start:
            compressed = start.read(len(_GZIP)) == _GZIP
        self._file: BinaryIO = _open_gzip(path) if compressed else path.open("rb")
        self._end: bytes | None = end
        try:
            self._ready = self._start(self._block())
        except BaseException:
            self._file.close()
            raise

    def readable(self) -> bool:
        """Tell that the stream can be read."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Give at most `size` bytes (all that are ready, if negative); none at the end."""
        while not self._ready and self._end is not None:
            block = self._block()
            self._ready = self._decode(block)
            if not block:
                self._ready += self._end
                self._end = None
        taken, self._ready = (
            (self._ready, b"") if size < 0 else (self._ready[:size], self._ready[size:])
        )
        return taken

    def peek(self) -> bytes:
        """Give what is ready without taking it: before any read, the first block of the text."""
        return self._ready

    def close(self) -> None:
        """Close the file."""
        if not self.closed:
            self._file.close()
        super().close()

    def _block(self) -> bytes:
        try:
            return self._file.read(BLOCK_BYTES)
        except (EOFError, zlib.error, gzip.BadGzipFile):
            raise OrderFileError(
                "this gzip file is damaged or incomplete; compress and copy it again"
            ) from None

    def _start(self, block: bytes) -> bytes:
        for magic, name in _FORMATS:
            if block.startswith(magic):
                raise OrderFileError(f"this looks like {name}; export it as CSV and drop that")
        encoding = "utf-16" if block.startswith(_UTF16) else "utf-8"
        self._is_utf8 = encoding == "utf-8"
        self._decoder = codecs.getincrementaldecoder(encoding)("replace")
        return self._decode(block.removeprefix(codecs.BOM_UTF8))

    def _decode(self, block: bytes) -> bytes:
        """Decode the next block; an empty one ends the text."""
        if self._is_utf8 and block and block.isascii() and not self._decoder.getstate()[0]:
            return block
        return self._decoder.decode(block, final=not block).encode()
