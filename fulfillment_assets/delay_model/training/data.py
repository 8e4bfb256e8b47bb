"""Training data: orders with known outcomes, and where they came from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from fulfillment_assets.delay_model import label
from fulfillment_assets.delay_model.errors import TrainingDataError
from fulfillment_assets.delay_model.metadata import TrainingSource
from fulfillment_assets.orders.cells import as_cells
from fulfillment_assets.orders.columns import Column, read_column
from fulfillment_assets.orders.contract import (
    BY_NAME,
    FEATURES,
    LATE_HEADER,
    Field,
    Kind,
    normalise_header,
)
from fulfillment_assets.orders.csv_layout import Layout, read_layout
from fulfillment_assets.orders.csv_reader import sha256_of
from fulfillment_assets.orders.csv_rows import parse_rows
from fulfillment_assets.orders.csv_source import OrderFileError, text_blocks
from fulfillment_assets.orders.simulator import training_frame
from fulfillment_assets.orders.validation import FieldError, RejectedRow

_LABEL: Final = Field(
    LATE_HEADER, Kind.INTEGER, label.MEANING, "1", required=True, minimum=0, maximum=1
)
_BAD_ROWS_SHOWN: Final = 5

SIMULATED_ROWS: Final = 11_000
"""About the size of the public data set."""


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Orders with known outcomes.

    Attributes:
        features: the ten features of the contract, canonical; n rows.
        late: labels, shape (n,).
        source: provenance.
    """

    features: pa.Table
    late: label.Labels
    source: TrainingSource


def load_training_data(path: Path | None, *, seed: int = 17) -> TrainingData:
    """Training data from a file of real orders, or from the simulator when there is none.

    Args:
        path: see `read_training_file`; None for simulated orders.
        seed: of the simulator; a file ignores it.

    Raises:
        TrainingDataError: see `read_training_file`.
    """
    if path is None:
        return simulated_training_data(rows=SIMULATED_ROWS, seed=seed)
    return read_training_file(path)


def simulated_training_data(*, rows: int, seed: int) -> TrainingData:
    """Simulated orders with their outcomes; equal arguments give equal data."""
    features, late = training_frame(rows, seed)
    source = TrainingSource(
        kind="simulator",
        name=f"{rows} simulated orders, seed {seed}",
        sha256=content_sha256(features, late),
    )
    return TrainingData(features, late, source)


def content_sha256(features: pa.Table, late: label.Labels) -> str:
    """Hex digest of orders and labels that are in no file; types and row order count."""
    digest = hashlib.sha256(late.tobytes())
    for name in FEATURES:
        digest.update("\n".join(map(str, features[name].to_pylist())).encode())
    return digest.hexdigest()


def read_training_file(path: Path) -> TrainingData:
    """Read orders with known outcomes from a file in the format of the public data set.

    It is read as any file of orders, but only for the ten features and the label: the order's
    identifier, which leaks the label through the order of the rows, never gets near the model.

    Args:
        path: a CSV file of orders with a column `Reached.on.Time_Y.N`, where 1 means late.

    Raises:
        TrainingDataError: the file cannot be read, lacks a column or any order, or has a bad
            row. Nothing is left out: whoever trains should know what is in the data.
    """
    try:
        cells = _read_cells(path)
    except (OrderFileError, OSError) as error:
        raise TrainingDataError(f"{path.name} cannot be trained on: {error}.") from error
    if cells.num_rows == 0:
        raise TrainingDataError(f"{path.name} holds a header and no orders.")
    columns = {
        name: read_column(_LABEL if name == LATE_HEADER else BY_NAME[name], as_cells(column))
        for name, column in zip(cells.column_names, cells.itercolumns(), strict=True)
    }
    _refuse_bad_rows(path, columns, cells)
    return TrainingData(
        features=pa.table({name: columns[name].values for name in FEATURES}),
        late=columns[LATE_HEADER].values.to_numpy().astype(np.int8),
        source=TrainingSource(kind="file", name=path.name, sha256=sha256_of(path)),
    )


def _read_cells(path: Path) -> Any:
    """The features and the label as they came, as a table of binary columns."""
    with closing(text_blocks(path)) as blocks:
        head = next(blocks)
        found, length = read_layout(head)
        layout, names = _only_what_is_learnt_from(path, found)
        rows = list(parse_rows(chain([head[length:]], blocks), layout))
    ragged = [row for block in rows for row in block.ragged]
    if ragged:
        raise OrderFileError(
            f"row {ragged[0].number} has {ragged[0].count} cells and the header "
            f"{len(layout.headers)} ({len(ragged)} such rows in all)"
        )
    return pa.concat_tables([block.sound for block in rows]).rename_columns(names)


def _only_what_is_learnt_from(path: Path, layout: Layout) -> tuple[Layout, list[str]]:
    """The layout with every other column ignored, and the names of those that are left."""
    names = [
        LATE_HEADER if normalise_header(header.text) == LATE_HEADER else header.name
        for header in layout.headers
    ]
    labels = names.count(LATE_HEADER)
    if labels != 1:
        raise TrainingDataError(
            f"{path.name} has {labels or 'no'} columns Reached.on.Time_Y.N; training needs "
            "exactly one, where 1 means that the order was late."
        )
    wanted = [name for name in names if name in (*FEATURES, LATE_HEADER)]
    headers = tuple(
        replace(header, ignored=name not in wanted)
        for header, name in zip(layout.headers, names, strict=True)
    )
    return replace(layout, headers=headers), [str(name) for name in wanted]


def _refuse_bad_rows(path: Path, columns: dict[str, Column], cells: Any) -> None:
    broken = sorted({row for column in columns.values() for row in column.broken})
    if not broken:
        return
    shown = "\n".join(
        RejectedRow(row + 1, {}, tuple(_errors(row, columns, cells))).message
        for row in broken[:_BAD_ROWS_SHOWN]
    )
    more = len(broken) - _BAD_ROWS_SHOWN
    raise TrainingDataError(
        f"{path.name} has {len(broken)} bad rows of {cells.num_rows}; mend or remove them:\n{shown}"
        + (f"\nand {more} more" if more > 0 else "")
    )


def _errors(row: int, columns: dict[str, Column], cells: Any) -> Iterator[FieldError]:
    for name, column in columns.items():
        if row in column.broken:
            cell = cells.column(name)[row].as_py()
            text = None if cell is None else cell.decode("utf-8", "replace")
            yield FieldError(name, text, column.broken[row])
