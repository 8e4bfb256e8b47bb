"""Turning numbers into the text of CSV cells, a column at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fulfillment_assets.orders.simulator.sampling import IntArray

TIMESTAMP = pa.timestamp("s", tz="UTC")

_DATE = len("2026-03-01")
_DATE_TIME = len("2026-03-01 09:30:00")


def numbered(prefix: str, numbers: IntArray, digits: int) -> pa.Array:
    """Make identifiers: an ASCII prefix, then the number with leading zeros.

    Args:
        prefix: what every identifier begins with.
        numbers: from 0 to below 2**32.
        digits: at least as many as the largest number has.
    """
    width = len(prefix) + digits
    text = np.empty((len(numbers), width), dtype=np.uint8)
    text[:, : len(prefix)] = np.frombuffer(prefix.encode("ascii"), dtype=np.uint8)
    rest = numbers.astype(np.uint32)
    for column in range(width - 1, len(prefix) - 1, -1):
        tens = rest // 10
        text[:, column] = rest - tens * 10 + ord("0")
        rest = tens
    offsets = np.arange(len(numbers) + 1, dtype=np.int32) * width
    return pa.StringArray.from_buffers(
        len(numbers), pa.py_buffer(offsets), pa.py_buffer(text.reshape(-1))
    )


def named(names: Sequence[str], codes: IntArray) -> pa.Array:
    """Replace each code by the name at that index."""
    return pa.array(names, pa.string()).take(pa.array(codes.astype(np.int8)))


def timestamps(seconds: IntArray, known: npt.NDArray[np.bool_] | None = None) -> pa.Array:
    """Make UTC timestamps from seconds since 1970; null where `known` is False."""
    mask = None if known is None else ~known
    return pa.array(seconds, pa.int64(), mask=mask).cast(TIMESTAMP)


def with_iso_timestamps(table: pa.Table) -> pa.Table:
    """Replace every timestamp column by its text, like `2026-03-01T09:30:00Z`."""
    columns = [
        _iso_text(column.combine_chunks()) if pa.types.is_timestamp(column.type) else column
        for column in table.columns
    ]
    return pa.table(columns, names=table.column_names)


def _iso_text(column: pa.Array) -> pa.Array:
    # Arrow is slow with a time zone and writes a blank between date and time. Without the zone
    # it is fast, and as a null has no text, its data buffer holds cells of one width, which are
    # copied into wider ones.
    plain = column.cast(pa.timestamp("s")).cast(pa.string())
    validity, offsets, data = plain.buffers()
    known = len(plain) - plain.null_count
    text = np.empty((known, _DATE_TIME + 1), dtype=np.uint8)
    if known:
        cells = np.frombuffer(data, np.uint8, known * _DATE_TIME).reshape(known, _DATE_TIME)
        text[:, :_DATE_TIME] = cells
    text[:, _DATE] = ord("T")
    text[:, _DATE_TIME] = ord("Z")
    ends = np.frombuffer(offsets, np.int32, len(plain) + 1) // _DATE_TIME * (_DATE_TIME + 1)
    return pa.StringArray.from_buffers(
        len(plain),
        pa.py_buffer(ends),
        pa.py_buffer(text.reshape(-1)),
        validity,
        plain.null_count,
    )
