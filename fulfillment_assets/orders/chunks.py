"""Even chunks of rows, in file order, out of the uneven blocks that the parser gives."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fulfillment_assets.orders.csv_rows import RaggedRow, RowBlock

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

    def add(self, sound: Any, start: int, count: int, number: int) -> None:
        """Append `count` sound rows of a block, the first of which has `number`."""
        if self._parts and self._parts[-1][0] is sound:
            self._parts[-1] = (sound, self._parts[-1][1], start + count)
        else:
            self._parts.append((sound, start, start + count))
        self._numbers.append(np.arange(number, number + count))
        self.received += count

    def add_ragged(self, row: RaggedRow) -> None:
        """Append a ragged row."""
        self.ragged.append(row)
        self.received += 1
        self.weight += len(row.text)

    def columns(self) -> list[Any]:
        """Give the columns of the sound rows; none where all rows are ragged."""
        parts = [sound.slice(start, stop - start) for sound, start, stop in self._parts]
        return list(pa.concat_tables(parts).columns) if parts else []

    def row_numbers(self) -> Any:
        """Give the numbers of the sound rows."""
        return pa.array(np.concatenate([np.empty(0, np.int64), *self._numbers]))


def even_chunks(blocks: Iterable[RowBlock], chunk_rows: int) -> Iterator[Chunk]:
    """Gather rows into chunks of `chunk_rows`, numbered from 1.

    The last chunk is shorter, and so are chunks of very wide rows.
    """
    chunk = Chunk()
    number = 1
    for block in blocks:
        chunk.weight += block.sound.nbytes
        ragged = deque(block.ragged)
        end = number + block.count
        start = 0
        while number < end:
            if chunk.received >= chunk_rows or chunk.weight >= MAX_CHUNK_BYTES:
                yield chunk
                chunk = Chunk()
            if ragged and ragged[0].number == number:
                chunk.add_ragged(ragged.popleft())
                number += 1
                continue
            following = ragged[0].number if ragged else end
            count = min(following - number, chunk_rows - chunk.received)
            chunk.add(block.sound, start, count, number)
            start += count
            number += count
    if chunk.received:
        yield chunk
