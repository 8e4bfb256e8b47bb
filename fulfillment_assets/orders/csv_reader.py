"""Reading a file of orders, chunk by chunk.

Row numbers count data rows from 1: the header is not counted, blank lines are not counted, and
a row is one row however many lines its quoted cells span.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import chain
from pathlib import Path

import pyarrow as pa

from fulfillment_assets.orders.chunks import Chunk, even_chunks
from fulfillment_assets.orders.csv_layout import Layout, read_layout
from fulfillment_assets.orders.csv_rows import RaggedRow, parse_rows
from fulfillment_assets.orders.csv_source import OrderFileError, text_blocks
from fulfillment_assets.orders.formulas import restore, restore_column
from fulfillment_assets.orders.headers import SURPLUS
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


def read_orders(
    path: Path, *, chunk_rows: int = 50_000, on_read: Callable[[int], None] = lambda _: None
) -> Iterator[OrderBatch]:
    """Read and validate a CSV file of orders, with memory bounded by the chunk.

    Comma, semicolon, tab and `|` separate cells; UTF-8 and UTF-16, gzip, every line ending and
    quoted newlines are read. Headers are matched to the contract without regard to case and
    punctuation, and unknown columns are kept. The training label is dropped. The file may be a
    `.rejected.csv` that was mended. A file with a header and no rows gives no batches.

    Args:
        path: the file.
        chunk_rows: rows of each batch; the last has fewer, and so have batches of very wide rows.
        on_read: called with how many of the file's bytes, as it lies on disk, were read so far.

    Raises:
        OrderFileError: on the first or a later step, if the file cannot be scored at all.
    """
    with closing(text_blocks(path, on_read)) as blocks:
        head = next(blocks)
        layout, length = read_layout(head)
        rows = parse_rows(chain([head[length:]], blocks), layout)
        for chunk in even_chunks(rows, chunk_rows):
            yield _validate(chunk, layout)


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
