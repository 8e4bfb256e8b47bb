"""Even chunks of rows, in file order, out of the uneven blocks that a parser gives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fulfillment_assets.orders.ragged import RaggedRow, RaggedRows

MAX_CHUNK_BYTES: Final = 64 << 20
"""A chunk ends early once its cells take this many bytes, so that wide rows stay in bounds."""


@dataclass(slots=True)
class Chunk:
    """Consecutive rows of a file.

    Attributes:
        ragged: the rows with the wrong number of cells.
        received: how many rows there are, sound and ragged.
        weight: bytes of their cells, roughly.
    """

    ragged: list[RaggedRow] = field(default_factory=list)
    received: int = 0
    weight: int = 0
    _parts: list[tuple[Any, int, int]] = field(default_factory=list)
    _numbers: list[npt.NDArray[np.int64]] = field(default_factory=list)

    def add(self, batch: Any, start: int, count: int, number: int) -> None:
        """Append `count` sound rows of a record batch, the first of which has `number`."""
        if self._parts and self._parts[-1][0] is batch:
            self._parts[-1] = (batch, self._parts[-1][1], start + count)
        else:
            self._parts.append((batch, start, start + count))
        self._numbers.append(np.arange(number, number + count))
        self.received += count

    def add_ragged(self, row: RaggedRow) -> None:
        """Append a ragged row."""
        self.ragged.append(row)
        self.received += 1
        self.weight += len(row.text)

    def columns(self) -> list[Any]:
        """Give the columns of the sound rows; none where all rows are ragged."""
        slices = [batch.slice(start, stop - start) for batch, start, stop in self._parts]
        return list(pa.Table.from_batches(slices).columns) if slices else []

    def row_numbers(self) -> Any:
        """Give the numbers of the sound rows."""
        return pa.array(np.concatenate([np.empty(0, np.int64), *self._numbers]))


def even_chunks(batches: Iterable[Any], ragged: RaggedRows, chunk_rows: int) -> Iterator[Chunk]:
    """Gather rows into chunks of `chunk_rows`, the last one shorter.

    Args:
        batches: record batches of the sound rows, in file order.
        ragged: the ragged rows. When a batch is given, all that come before its last row must
            be in the queue; at the end, all must be.
        chunk_rows: rows of each chunk; very wide rows make smaller ones.
    """
    chunk = Chunk()
    number = 1
    for batch in batches:
        chunk.weight += batch.nbytes
        start = 0
        while start < batch.num_rows:
            if chunk.received >= chunk_rows or chunk.weight >= MAX_CHUNK_BYTES:
                yield chunk
                chunk = Chunk()
            ragged_number = ragged.next_number()
            if ragged_number == number:
                chunk.add_ragged(ragged.pop())
                number += 1
                continue
            count = min(batch.num_rows - start, chunk_rows - chunk.received)
            if ragged_number is not None:
                count = min(count, ragged_number - number)
            chunk.add(batch, start, count, number)
            start += count
            number += count
    while ragged.next_number() is not None:
        if chunk.received >= chunk_rows or chunk.weight >= MAX_CHUNK_BYTES:
            yield chunk
            chunk = Chunk()
        chunk.add_ragged(ragged.pop())
    if chunk.received:
        yield chunk
