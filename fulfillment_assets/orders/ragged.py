"""Rows that have more or fewer cells than the header."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from dataclasses import dataclass
from threading import Lock
from types import TracebackType
from typing import Final, Self

_IN_MEMORY_BYTES: Final = 8 << 20


@dataclass(frozen=True, slots=True)
class RaggedRow:
    """A row with the wrong number of cells.

    Attributes:
        number: number of the data row.
        count: how many cells it has.
        text: the row as it came.
    """

    number: int
    count: int
    text: str

    def cells(self, delimiter: str) -> list[str]:
        """Split the row; a row that cannot be split is one cell."""
        try:
            return next(csv.reader(io.StringIO(self.text, newline=""), delimiter=delimiter))
        except (csv.Error, StopIteration):
            return [self.text]


class RaggedRows:
    """A queue of ragged rows, by row number.

    The parser reports them ahead of the sound rows among which they belong: at worst, all rows
    of a file before it gives the first sound one. So what does not fit into a few megabytes
    waits in a temporary file.
    """

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES)  # noqa: SIM115 - see __exit__
        self._read_at = self._write_at = 0
        self._lock = Lock()  # the parser may run ahead in a thread of its own
        self._head: RaggedRow | None = None

    def __enter__(self) -> Self:
        """Give the queue itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove the temporary file."""
        self._file.close()

    def add(self, row: RaggedRow) -> None:
        """Append a row."""
        line = json.dumps((row.number, row.count, row.text)).encode() + b"\n"
        with self._lock:
            self._file.seek(self._write_at)
            self._file.write(line)
            self._write_at += len(line)

    def next_number(self) -> int | None:
        """Give the number of the first row in the queue; None while it is empty."""
        if self._head is None:
            with self._lock:
                self._head = self._load()
        return None if self._head is None else self._head.number

    def pop(self) -> RaggedRow:
        """Take the first row out of the queue.

        Raises:
            IndexError: the queue is empty.
        """
        if self.next_number() is None or self._head is None:
            raise IndexError("no ragged row is waiting")
        row, self._head = self._head, None
        return row

    def _load(self) -> RaggedRow | None:
        if self._read_at == self._write_at:
            self._read_at = self._write_at = 0
            return None
        self._file.seek(self._read_at)
        line = self._file.readline()
        self._read_at += len(line)
        return RaggedRow(*json.loads(line))
