"""Reading a file of orders, chunk by chunk.

Row numbers count data rows from 1: the header is not counted, blank lines are not counted, and
a row is one row however many lines its quoted cells span.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv

from fulfillment_assets.orders.chunks import Chunk, even_chunks
from fulfillment_assets.orders.csv_layout import Layout, read_layout
from fulfillment_assets.orders.csv_source import BLOCK_BYTES, OrderFileError, Utf8Stream
from fulfillment_assets.orders.formulas import restore, restore_column
from fulfillment_assets.orders.headers import SURPLUS
from fulfillment_assets.orders.ragged import RaggedRow, RaggedRows
from fulfillment_assets.orders.rules import shown
from fulfillment_assets.orders.validation import (
    HEADER_KEY,
    FieldError,
    OrderBatch,
    RejectedRow,
    raw_text,
    validate_batch,
)

__all__ = ["OrderFileError", "read_orders", "sha256_of"]


def sha256_of(path: Path) -> str:
    """Give the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_orders(path: Path, *, chunk_rows: int = 50_000) -> Iterator[OrderBatch]:
    """Read and validate a CSV file of orders, with memory bounded by the chunk.

    Comma, semicolon, tab and `|` separate cells; UTF-8 and UTF-16, gzip, every line ending and
    quoted newlines are read. Headers are matched to the contract without regard to case and
    punctuation, and unknown columns are kept. The training label is dropped. The file may be a
    `.rejected.csv` that was mended. A file with a header and no rows gives no batches.

    Args:
        path: the file.
        chunk_rows: rows of each batch; the last has fewer, and so have batches of very wide rows.

    Raises:
        OrderFileError: on the first or a later step, if the file cannot be scored at all.
    """
    token = secrets.token_hex(16)
    with Utf8Stream(path, f"\n{token}\n".encode()) as stream, RaggedRows() as ragged:
        layout = read_layout(stream)
        parser = _Parser(stream, layout, ragged, token)
        for chunk in even_chunks(parser, ragged, chunk_rows):
            yield _validate(chunk, layout)


class _Parser:
    """Iterates over the sound rows of a file as record batches, and queues the ragged ones.

    The stream ends in a row of one cell, a random token. If the parser does not come across it,
    an open quote has swallowed the end of the file.
    """

    def __init__(self, stream: Utf8Stream, layout: Layout, ragged: RaggedRows, token: str) -> None:
        self._stream = stream
        self._layout = layout
        self._ragged = ragged
        self._token = token
        self._ended = False
        self._failure: Exception | None = None

    def __iter__(self) -> Iterator[Any]:
        rows = 0
        try:
            with self._open() as batches:
                for batch in batches:
                    rows += batch.num_rows
                    yield batch
        except pa.ArrowInvalid as error:
            if self._failure is not None:
                raise self._failure from None
            raise OrderFileError(_parse_failure(str(error), rows)) from None
        if not self._ended:
            raise OrderFileError(
                'a quote (") is opened and never closed, and swallows the end of the file; '
                "close it, or double it where it is part of the text"
            )

    def _open(self) -> Any:
        names = [str(index) for index in range(len(self._layout.headers))]
        kept = [n for n, h in zip(names, self._layout.headers, strict=True) if not h.ignored]
        return pa_csv.open_csv(
            self._stream,
            # Arrow numbers ragged rows only when it parses in one thread.
            read_options=pa_csv.ReadOptions(
                use_threads=False, block_size=BLOCK_BYTES, column_names=names
            ),
            parse_options=pa_csv.ParseOptions(
                delimiter=self._layout.delimiter,
                newlines_in_values=True,
                invalid_row_handler=self._on_ragged_row,
            ),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.binary()),
                include_columns=kept,
                null_values=[""],
                strings_can_be_null=True,
            ),
        )

    def _on_ragged_row(self, row: Any) -> str:
        if row.text == self._token:
            self._ended = True
            return "skip"
        try:
            self._ragged.add(RaggedRow(row.number, row.actual_columns, row.text))
        except OSError as error:  # Arrow would swallow it
            self._failure = error
            return "error"
        return "skip"


def _parse_failure(error: str, rows: int) -> str:
    if "straddling" in error or "out of sync" in error:
        return (
            f"after about {rows:,} rows comes one that is longer than {BLOCK_BYTES >> 20} MiB; "
            'most often a quote (") is opened there and never closed'
        )
    return f"the file cannot be read as CSV after about {rows:,} rows: {error}"


def _validate(chunk: Chunk, layout: Layout) -> OrderBatch:
    schema = pa.schema(
        pa.field(header.name or header.text, pa.binary(), metadata={HEADER_KEY: header.text})
        for header in layout.headers
        if not header.ignored
    )
    columns = chunk.columns()
    if layout.neutralised:
        columns = [restore_column(column) for column in columns]
    table = pa.table(columns, schema=schema) if columns else schema.empty_table()
    batch = validate_batch(table, chunk.row_numbers())
    if not chunk.ragged:
        return batch
    ragged = (_reject(row, layout) for row in chunk.ragged)
    rejected = sorted((*batch.rejected, *ragged), key=lambda row: row.row_number)
    return OrderBatch(batch.orders, tuple(rejected), chunk.received)


def _reject(row: RaggedRow, layout: Layout) -> RejectedRow:
    cells = row.cells(layout.delimiter)
    if layout.neutralised:
        cells = [restore(cell) for cell in cells]
    width = len(layout.headers)
    padded = cells[:width] + [""] * (width - len(cells))
    raw = {
        header.text: raw_text(cell or None)
        for header, cell in zip(layout.headers, padded, strict=True)
        if not header.ignored
    }
    rule = f"must be {width}, as in the header"
    surplus = layout.delimiter.join(cells[width:])
    if surplus:
        raw[SURPLUS] = raw_text(surplus)
        rule += f'; left over is "{shown(surplus)}"'
    return RejectedRow(row.number, raw, (FieldError("number of cells", str(row.count), rule),))
