"""Columns of cells as bytes, looked at without a Python object per cell."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Rows = npt.NDArray[np.intp]
"""Row indices, ascending."""

_SPACE = _FIRST_PRINTABLE = 0x20
_LAST_PRINTABLE = 0x7E


def as_cells(column: Any) -> Any:
    """Give a column of text or bytes as one contiguous `pa.BinaryArray`."""
    cells = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return cells.view(pa.binary()) if pa.types.is_string(cells.type) else cells.cast(pa.binary())


def rows_with_bytes(cells: Any, wanted: npt.NDArray[np.bool_]) -> Rows:
    """Find the rows of a binary or string array that hold any of some bytes.

    Args:
        cells: the array.
        wanted: for each of the 256 byte values, whether it counts.
    """
    offsets, data = _parts(cells)
    positions = np.flatnonzero(wanted[data]) + offsets[0]
    rows = np.unique(np.searchsorted(offsets, positions, side="right") - 1)
    return without_nulls(rows, cells)


def printable_ascii(cells: Any) -> Any:
    """Give the rows that hold only printable ASCII, as a string array; others become null."""
    _, data = _parts(cells)
    if not data.size or (data.min() >= _FIRST_PRINTABLE and data.max() <= _LAST_PRINTABLE):
        return cells.view(pa.string())
    other = rows_with_bytes(cells, _OTHER)
    return pc.if_else(row_mask(other, len(cells)), None, cells).cast(pa.string())


def holds_space(plain: Any) -> bool:
    """Tell whether any cell may hold a space, given that the cells are printable ASCII."""
    _, data = _parts(plain)
    return bool(data.size) and bool(data.min() <= _SPACE)  # null cells may hold any bytes


def row_mask(rows: Rows, length: int) -> Any:
    """Give a boolean array that is true in some rows."""
    mask = np.zeros(length, dtype=np.bool_)
    mask[rows] = True
    return pa.array(mask)


def true_rows(mask: Any) -> Rows:
    """Give the rows where a boolean array is true; null counts as false."""
    if not pc.any(mask).as_py():
        return np.empty(0, np.intp)
    return np.flatnonzero(np.asarray(mask.fill_null(False)))


def without_nulls(rows: Rows, cells: Any) -> Rows:
    """Leave out the rows that are null."""
    return rows[np.asarray(cells.is_valid())[rows]] if cells.null_count else rows


def _parts(cells: Any) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]:
    """Give the offsets of the cells, and the bytes from the first offset to the last."""
    _, offset_buffer, data_buffer = cells.buffers()
    if not len(cells) or data_buffer is None:
        return np.zeros(len(cells) + 1, np.int32), np.empty(0, np.uint8)
    offsets = np.frombuffer(offset_buffer, np.int32)[cells.offset : cells.offset + len(cells) + 1]
    return offsets, np.frombuffer(data_buffer, np.uint8)[offsets[0] : offsets[-1]]


_OTHER = np.ones(256, dtype=np.bool_)
_OTHER[_FIRST_PRINTABLE : _LAST_PRINTABLE + 1] = False
