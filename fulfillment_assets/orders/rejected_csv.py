"""The rejected rows of a file as a CSV that a person can mend and drop again."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from fulfillment_assets.orders.formulas import neutralise
from fulfillment_assets.orders.headers import BOOKKEEPING, SURPLUS
from fulfillment_assets.orders.validation import RejectedRow


class RejectedCsv:
    """Writes `<name>.rejected.csv`, batch by batch; use it as a context manager.

    The columns are the row number, the errors, and then those of the original file, whose
    formula-like cells are neutralised. The rows stand in `<path>.part` until the `with` block
    ends without an error; only then does the file appear, whole. With no rows there is no file.

    Args:
        path: where the file is to appear; a file that is there is replaced.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_name(f"{path.name}.part")
        self._file: IO[str] | None = None
        self._headers: list[str] = []

    def __enter__(self) -> Self:
        """Give the writer itself."""
        return self

    def write(self, rows: Iterable[RejectedRow]) -> None:
        """Append rows of one file, all with the same headers."""
        for row in rows:
            file = self._file or self._open(row)
            cells = (row.raw.get(header) or "" for header in self._headers)
            _write(file, (str(row.row_number), row.reasons, *cells))

    def _open(self, first: RejectedRow) -> IO[str]:
        self._headers = [header for header in first.raw if header != SURPLUS]
        # The mark tells spreadsheets that the text is UTF-8.
        self._file = self._part.open("w", encoding="utf-8-sig", newline="")
        _write(self._file, (*BOOKKEEPING, *self._headers))
        return self._file

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let the file appear, or remove what was written if the block failed."""
        if self._file is None:
            return
        with self._file as file:
            if error is None:
                file.flush()
                os.fsync(file.fileno())
        if error is None:
            self._part.replace(self._path)
        else:
            self._part.unlink()


def _write(file: IO[str], cells: Iterable[str]) -> None:
    csv.writer(file).writerow(map(neutralise, cells))
