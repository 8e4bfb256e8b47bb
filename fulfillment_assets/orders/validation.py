"""Validation of a batch of orders, a column at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fulfillment_assets.orders.cells import (
    Rows,
    as_cells,
    printable_ascii,
    row_mask,
    true_rows,
)
from fulfillment_assets.orders.columns import Column, absent_column, read_column
from fulfillment_assets.orders.contract import BY_NAME, FIELDS, Field
from fulfillment_assets.orders.extra import extra_column
from fulfillment_assets.orders.rules import clean_text, decode, order_rule, predecessor, shown
from fulfillment_assets.orders.schema import ORDER_SCHEMA

MAX_RAW_CHARACTERS: Final = 10_000
"""Longest text that a rejected row keeps of one cell; a longer one ends in an ellipsis."""

HEADER_KEY: Final = b"header"
"""Key of a raw column's Arrow field metadata that holds its original header, in UTF-8."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """One broken rule of one row.

    Attributes:
        field: canonical name of the field.
        value: the text of the cell as it came; None where it is empty.
        rule: what the value breaks, in plain words.
    """

    field: str
    value: str | None
    rule: str


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row that cannot be scored.

    Attributes:
        row_number: number of the data row, from 1; the header is not counted.
        raw: the row's cells as they came, by original header. Each text is at most
            `MAX_RAW_CHARACTERS` long; what PostgreSQL cannot store is U+FFFD.
        errors: every broken rule, in the order of the contract.
    """

    row_number: int
    raw: dict[str, str | None]
    errors: tuple[FieldError, ...]

    @property
    def reasons(self) -> str:
        """One line that names each field, value and rule."""
        return "; ".join(map(_describe, self.errors))

    @property
    def message(self) -> str:
        """The reasons, with the row's number."""
        return f"row {self.row_number}: {self.reasons}"


@dataclass(frozen=True, slots=True)
class OrderBatch:
    """A validated batch.

    Attributes:
        orders: the accepted rows, as `ORDER_SCHEMA`.
        rejected: the other rows, by row number.
        received: how many rows came in; always `orders.num_rows + len(rejected)`.
    """

    orders: Any
    rejected: tuple[RejectedRow, ...]
    received: int


def validate_batch(raw: Any, row_numbers: Any) -> OrderBatch:
    """Hold a batch of raw rows against the order contract.

    Args:
        raw: table of binary or string columns. A column with the name of a field holds that
            field; any other is unknown, and its texts are kept in `extra`. Where a column's
            metadata has `HEADER_KEY`, rejected rows name it by that header.
        row_numbers: number of each row, as an integer array.
    """
    cells = {name: as_cells(raw.column(name)) for name in raw.column_names}
    columns: dict[str, Column] = {}
    errors: dict[int, list[tuple[Field, str]]] = {}
    for field in FIELDS:
        given = cells.get(field.name)
        column = absent_column(field, raw.num_rows) if given is None else read_column(field, given)
        columns[field.name] = column = _without_too_early(field, column, columns)
        if field.rejects:
            for row, rule in column.broken.items():
                errors.setdefault(row, []).append((field, rule))
    orders = pa.table(
        [
            row_numbers,
            *(columns[field.name].values for field in FIELDS),
            extra_column(_extra_cells(cells, columns), raw.num_rows),
        ],
        schema=ORDER_SCHEMA,
    )
    if not errors:
        return OrderBatch(orders, (), raw.num_rows)
    rows = np.array(sorted(errors), dtype=np.intp)
    rejected = _rejected_rows(raw, row_numbers, rows, [errors[row] for row in rows.tolist()])
    return OrderBatch(
        orders.filter(pc.invert(row_mask(rows, raw.num_rows))), rejected, raw.num_rows
    )


def raw_text(text: str | None) -> str | None:
    """Give a cell's text as a rejected row keeps it."""
    return None if text is None else clean_text(text, MAX_RAW_CHARACTERS)


def _describe(error: FieldError) -> str:
    if error.value is None or not error.value.strip():
        return f"{error.field} {error.rule}"
    return f'{error.field} "{shown(error.value)}": {error.rule}'


def _without_too_early(field: Field, column: Column, columns: Mapping[str, Column]) -> Column:
    """Break the timestamps that precede one that they may not precede."""
    earlier = []
    name = field.not_before
    while name is not None:
        earlier.append(name)
        name = BY_NAME[name].not_before
    if not earlier:
        return column
    limit = pc.coalesce(*(columns[name].values for name in earlier))
    rows = true_rows(pc.less(column.values, limit))
    if not rows.size:
        return column
    broken = dict(column.broken)
    for row in rows.tolist():
        other = predecessor(field, {name: columns[name].values[row].as_py() for name in earlier})
        broken[row] = order_rule(other or "")
    return Column(pc.if_else(row_mask(rows, len(column.values)), None, column.values), broken)


def _extra_cells(cells: Mapping[str, Any], columns: Mapping[str, Column]) -> dict[str, Any]:
    """Give the cells that go into `extra`: broken descriptive fields, and unknown columns."""
    kept = {}
    for field in FIELDS:
        broken = columns[field.name].broken
        if broken and not field.rejects:
            given = cells[field.name]
            rows = np.fromiter(broken, dtype=np.intp)
            kept[field.name] = pc.if_else(row_mask(rows, len(given)), given, None)
    return kept | {name: given for name, given in cells.items() if name not in BY_NAME}


def _rejected_rows(
    raw: Any, row_numbers: Any, rows: Rows, errors: list[list[tuple[Field, str]]]
) -> tuple[RejectedRow, ...]:
    taken = pa.array(rows)
    headers = [_header(field) for field in raw.schema]
    texts = [_raw_texts(as_cells(column.take(taken))) for column in raw.itercolumns()]
    header_of = dict(zip(raw.column_names, headers, strict=True))
    rejected = []
    for number, row, broken in zip(
        row_numbers.take(taken).to_pylist(), zip(*texts, strict=True), errors, strict=True
    ):
        cells = dict(zip(headers, row, strict=True))
        details = tuple(
            FieldError(field.name, cells.get(header_of.get(field.name, "")), rule)
            for field, rule in broken
        )
        rejected.append(RejectedRow(number, cells, details))
    return tuple(rejected)


def _raw_texts(cells: Any) -> list[str | None]:
    plain = printable_ascii(cells)
    plain = pc.if_else(pc.greater(pc.binary_length(plain), MAX_RAW_CHARACTERS), None, plain)
    texts: list[str | None] = plain.to_pylist()
    for row in true_rows(pc.and_(plain.is_null(), cells.is_valid())).tolist():
        texts[row] = raw_text(decode(cells[row].as_py()))
    return texts


def _header(field: Any) -> str:
    header: bytes | None = (field.metadata or {}).get(HEADER_KEY)
    return str(field.name) if header is None else header.decode()
