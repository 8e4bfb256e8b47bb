"""Orders as they stand in a file, to change one thing at a time."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from fulfillment_assets.orders.contract import FIELDS
from fulfillment_assets.orders.csv_reader import OrderFileError, read_orders
from fulfillment_assets.orders.validation import OrderBatch, RejectedRow, validate_batch

Row = dict[str, str]


def order_row(**changes: str) -> Row:
    """A sound order, every field of it given, but for the changes."""
    return {field.name: field.example for field in FIELDS} | changes


def csv_text(rows: Sequence[Mapping[str, str]], delimiter: str = ",", end: str = "\r\n") -> str:
    """The rows as CSV with a header, cells quoted where they must be."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter, lineterminator=end)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def raw_table(rows: Iterable[Mapping[str, str | bytes | None]]) -> pa.Table:
    """The rows as the reader hands them to the validation; a key that a row lacks is null."""
    listed = [
        {
            name: cell.encode("utf-8", "surrogatepass") if isinstance(cell, str) else cell
            for name, cell in row.items()
        }
        for row in rows
    ]
    names = dict.fromkeys(name for row in listed for name in row)
    return pa.table(
        {name: pa.array([row.get(name) for row in listed], pa.binary()) for name in names}
    )


def validated(*rows: Mapping[str, str | bytes | None]) -> OrderBatch:
    """The rows after validation, numbered from 1."""
    return validate_batch(raw_table(rows), pa.array(range(1, len(rows) + 1), pa.int64()))


def accepted(row: Mapping[str, str | bytes | None]) -> dict[str, Any]:
    """The canonical values of a row that must be accepted."""
    batch = validated(row)
    assert batch.rejected == ()
    values: dict[str, Any] = batch.orders.to_pylist()[0]
    return values


def errors(row: Mapping[str, str | bytes | None]) -> dict[str, str]:
    """The broken rules of a row that must be rejected, by field."""
    batch = validated(row)
    assert batch.orders.num_rows == 0
    (rejected,) = batch.rejected
    return {error.field: error.rule for error in rejected.errors}


def saved(directory: Path, content: str | bytes, name: str = "orders.csv") -> Path:
    """A file with that content."""
    path = directory / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def numbered_rows(count: int) -> list[Row]:
    """Sound orders O1, O2 and so on."""
    return [order_row(order_id=f"O{number}") for number in range(1, count + 1)]


def read_file(
    path: Path, *, chunk_rows: int = 50_000
) -> tuple[list[dict[str, Any]], list[RejectedRow]]:
    """All accepted and all rejected rows of a file."""
    batches = list(read_orders(path, chunk_rows=chunk_rows))
    assert all(batch.received == batch.orders.num_rows + len(batch.rejected) for batch in batches)
    accepted = [row for batch in batches for row in batch.orders.to_pylist()]
    return accepted, [row for batch in batches for row in batch.rejected]


def failure(path: Path) -> str:
    """Why a file cannot be scored at all."""
    with pytest.raises(OrderFileError) as caught:
        list(read_orders(path))
    return str(caught.value)
