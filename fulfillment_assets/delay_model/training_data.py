"""Training data: orders with known outcomes, and where they came from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

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
from fulfillment_assets.orders.csv_source import OrderFileError, Utf8Stream
from fulfillment_assets.orders.simulator import training_frame
from fulfillment_assets.orders.validation import FieldError, RejectedRow

_LABEL: Final = Field(
    LATE_HEADER, Kind.INTEGER, label.MEANING, "1", required=True, minimum=0, maximum=1
)
_BAD_ROWS_SHOWN: Final = 5
_END: Final = "end of the training file"
"""A row of one cell after the last: where the parser misses it, an open quote has swallowed it."""

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
    digest = hashlib.sha256(late.tobytes())
    for name in FEATURES:
        digest.update("\n".join(map(str, features[name].to_pylist())).encode())
    source = TrainingSource(
        kind="simulator",
        name=f"{rows} simulated orders, seed {seed}",
        sha256=digest.hexdigest(),
    )
    return TrainingData(features, late, source)


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
        with Utf8Stream(path, f"\n{_END}\n".encode()) as stream:
            layout = read_layout(stream)
            cells = _read_cells(stream, layout, _wanted_columns(path, layout))
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


def _wanted_columns(path: Path, layout: Layout) -> dict[str, int]:
    """Position of each feature and of the label."""
    labels = [
        position
        for position, header in enumerate(layout.headers)
        if normalise_header(header.text) == LATE_HEADER
    ]
    if len(labels) != 1:
        raise TrainingDataError(
            f"{path.name} has {len(labels) or 'no'} columns Reached.on.Time_Y.N; training needs "
            "exactly one, where 1 means that the order was late."
        )
    names = [header.name for header in layout.headers]
    return {name: names.index(name) for name in FEATURES} | {LATE_HEADER: labels[0]}


def _read_cells(stream: Utf8Stream, layout: Layout, wanted: dict[str, int]) -> Any:
    """The wanted columns as they came, as a table of binary columns."""
    positions = [str(position) for position in range(len(layout.headers))]
    ragged: list[Any] = []

    def on_ragged_row(row: Any) -> str:
        ragged.append(row)
        return "skip"

    try:
        table = pa_csv.read_csv(
            stream,
            # Arrow numbers ragged rows only when it parses in one thread.
            read_options=pa_csv.ReadOptions(use_threads=False, column_names=positions),
            parse_options=pa_csv.ParseOptions(
                delimiter=layout.delimiter,
                newlines_in_values=True,
                invalid_row_handler=on_ragged_row,
            ),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(positions, pa.binary()),
                include_columns=[str(position) for position in wanted.values()],
                null_values=[""],
                strings_can_be_null=True,
            ),
        )
    except pa.ArrowInvalid as error:
        raise OrderFileError(str(error)) from None
    if not ragged or ragged.pop().text != _END:
        raise OrderFileError('a quote (") is opened and never closed')
    if ragged:
        raise OrderFileError(
            f"row {ragged[0].number} has {ragged[0].actual_columns} cells and the header "
            f"{len(positions)} ({len(ragged)} such rows in all)"
        )
    return table.rename_columns(list(wanted))


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
