"""Splitting the text of a CSV file into rows and cells.

Arrow parses one block of text at a time. A block ends anywhere, in the midst of a row, of a cell
or of a quoted one, so the parser is made to tell where: the text is followed by a random token,
a quote and more delimiters than there are columns. Whatever the token was appended to, a quoted
cell or not, is then a row with too many cells, which Arrow reports as it stands in the text. It
is the unfinished row, and goes before the next block.
"""

from __future__ import annotations

import csv
import io
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.csv as pa_csv

from fulfillment_assets.orders.csv_layout import Layout
from fulfillment_assets.orders.csv_source import OrderFileError

MAX_ROW_BYTES: Final = 1 << 20
"""The longest row that can be read, in bytes of UTF-8."""


@dataclass(frozen=True, slots=True)
class RaggedRow:
    """A row with more or fewer cells than the header.

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


@dataclass(frozen=True, slots=True)
class RowBlock:
    """Consecutive rows of a file.

    Attributes:
        sound: the rows with as many cells as the header: a binary column for each header that
            is not ignored, with null for an empty cell.
        ragged: the other rows.
        count: how many rows there are, sound and ragged.
    """

    sound: Any
    ragged: list[RaggedRow]
    count: int


def parse_rows(blocks: Iterable[bytes], layout: Layout) -> Iterator[RowBlock]:
    """Split text without its header into rows. Blank lines are no rows.

    Raises:
        OrderFileError: a row is too long, or a quote is never closed.
    """
    parser = _Parser(layout)
    received = 0
    for block in blocks:
        rows = parser.parse(block, received)
        received += rows.count
        yield rows
        if len(parser.unfinished) > MAX_ROW_BYTES:
            raise OrderFileError(
                f"row {received + 1:,} is longer than {MAX_ROW_BYTES >> 20} MiB; most often a "
                'quote (") is opened in it and never closed'
            )
    yield parser.parse(b"\n", received)
    if parser.unfinished:
        raise OrderFileError(
            'a quote (") is opened and never closed, and swallows the end of the file; close it, '
            "or double it where it is part of the text"
        )


class _Parser:
    """Parses block after block, and keeps the unfinished row between them."""

    def __init__(self, layout: Layout) -> None:
        self.unfinished = b""
        width = len(layout.headers)
        self._end = f'{secrets.token_hex(16)}"{layout.delimiter * width}'
        self._reported: list[Any] = []
        self._names = [str(index) for index in range(width)]
        self._parse_options = pa_csv.ParseOptions(
            delimiter=layout.delimiter,
            newlines_in_values=True,
            invalid_row_handler=self._on_ragged_row,
        )
        self._convert_options = pa_csv.ConvertOptions(
            column_types=dict.fromkeys(self._names, pa.binary()),
            include_columns=[
                name
                for name, header in zip(self._names, layout.headers, strict=True)
                if not header.ignored
            ],
            null_values=[""],
            strings_can_be_null=True,
        )

    def parse(self, block: bytes, received: int) -> RowBlock:
        """Parse the unfinished row and a block, after so many rows."""
        text = b"%b%b%b\n" % (self.unfinished, block, self._end.encode())
        self._reported.clear()
        sound = pa_csv.read_csv(
            pa.BufferReader(text),
            read_options=pa_csv.ReadOptions(
                use_threads=False,  # with threads, Arrow does not number ragged rows
                block_size=len(text),
                column_names=self._names,
            ),
            parse_options=self._parse_options,
            convert_options=self._convert_options,
        )
        *reported, last = self._reported
        self.unfinished = last.text.removesuffix(self._end).encode()
        ragged = [
            RaggedRow(received + row.number, row.actual_columns, row.text) for row in reported
        ]
        return RowBlock(sound, ragged, last.number - 1)

    def _on_ragged_row(self, row: Any) -> str:
        self._reported.append(row)
        return "skip"
