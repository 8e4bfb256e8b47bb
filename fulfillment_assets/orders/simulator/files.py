"""Writing simulated orders to CSV, and what became of them to a second file."""

from __future__ import annotations

import gzip
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from fulfillment_assets.orders.simulator.csv_text import with_iso_timestamps
from fulfillment_assets.orders.simulator.faults import LINE_FAULTS, Fault, break_line
from fulfillment_assets.orders.simulator.orders import BLOCK_ROWS, SimulatedChunk, simulate
from fulfillment_assets.orders.simulator.plan import SimulationPlan

_SLICES_PER_SECOND: Final = 20
_GZIP_LEVEL: Final = 4  # a third of the time of level 9 for a few percent more bytes

# No cell holds a quote, comma or line end. Quoting only where needed would quote all text.
_CELLS_ONLY = csv.WriteOptions(include_header=False, quoting_style="none")


@dataclass(frozen=True, slots=True)
class SimulationReport:
    """What was written.

    Attributes:
        rows: orders, the faulty ones included.
        faulty_rows: orders that break the contract.
        late_share: share of all orders that are truly late.
        seconds: time taken.
        out_path: the orders.
        truth_path: what became of them, row for row.
    """

    rows: int
    faulty_rows: int
    late_share: float
    seconds: float
    out_path: Path
    truth_path: Path


def write_csv(
    plan: SimulationPlan,
    out: Path,
    *,
    rate: float | None = None,
    progress: Callable[[int], None] | None = None,
) -> SimulationReport:
    """Write the orders to `out` and the true outcomes to `<stem>.truth.csv` beside it.

    Both are gzipped if the name ends in `.gz`. Each file appears under its name when it is
    complete, the truth first, and replaces what was there. With a `rate`, `out` grows in place
    instead, as the file of a live feed does.

    Args:
        plan: what to simulate.
        out: the file to write; missing folders are made.
        rate: rows per second, on average, as a live feed; None for as fast as possible.
        progress: called with the number of rows written so far, now and then.

    Raises:
        ValueError: `rate` is not a number above 0.
        OSError: a file cannot be written; with no `rate`, nothing is left behind.
    """
    chunk_rows = _chunk_rows(rate)
    started = time.monotonic()
    truth_path = _truth_path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    rows = faulty = late = 0
    with ExitStack() as files:
        orders_file = files.enter_context(_replaced(out) if rate is None else _opened(out, out))
        write_truth = files.enter_context(csv_file(truth_path))
        for chunk in simulate(plan, chunk_rows=chunk_rows):
            if rows == 0:
                orders_file.write(_header(chunk.orders))
            orders_file.write(_lines(chunk))
            write_truth(chunk.truth)
            rows += chunk.truth.num_rows
            faulty += pc.sum(pc.not_equal(chunk.truth["fault"], "")).as_py()
            late += pc.sum(chunk.truth["is_late"]).as_py()
            if rate is not None:
                orders_file.flush()
            if progress is not None:
                progress(rows)
            if rate is not None:
                time.sleep(max(0.0, started + rows / rate - time.monotonic()))
    return SimulationReport(
        rows=rows,
        faulty_rows=faulty,
        late_share=late / rows,
        seconds=time.monotonic() - started,
        out_path=out,
        truth_path=truth_path,
    )


@contextmanager
def csv_file(path: Path) -> Iterator[Callable[[pa.Table], None]]:
    """Write tables with the same columns into one CSV file, gzipped if its name ends in `.gz`.

    It appears under its name when the block ends, and not at all if the block fails.
    """
    with _replaced(path) as file:
        columns: list[str] = []

        def write(table: pa.Table) -> None:
            if not columns:
                columns.extend(table.column_names)
                file.write(_header(table))
            file.write(_text(table))

        yield write


def _chunk_rows(rate: float | None) -> int:
    """Rows to write at a time: whole blocks, or small slices if the writing is paced."""
    if rate is None:
        return BLOCK_ROWS
    if not (math.isfinite(rate) and rate > 0):
        raise ValueError(f"rate must be a number above 0 (rows per second), not {rate}")
    return max(1, min(BLOCK_ROWS, round(rate / _SLICES_PER_SECOND)))


def _truth_path(out: Path) -> Path:
    zipped = out.suffix == ".gz"
    stem = out.with_suffix("").stem if zipped else out.stem
    return out.with_name(f"{stem}.truth.csv{'.gz' if zipped else ''}")


@contextmanager
def _replaced(path: Path) -> Iterator[IO[bytes]]:
    """Write beside a file and move the result over it, or leave nothing."""
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; name a file to write to")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with _opened(temporary, path) as file:
            yield file
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _opened(path: Path, named: Path) -> Iterator[IO[bytes]]:
    """Open a file for writing, gzipped if the name it is to have ends in `.gz`."""
    with path.open("wb") as raw:
        if named.suffix != ".gz":
            yield raw
            return
        # No name and no time in the header, so that equal plans give equal bytes.
        with gzip.GzipFile("", "wb", _GZIP_LEVEL, raw, mtime=0) as zipped:
            yield zipped  # type: ignore[misc]


def _header(table: pa.Table) -> bytes:
    return ",".join(table.column_names).encode() + b"\n"


def _text(table: pa.Table) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    csv.write_csv(with_iso_timestamps(table), sink, _CELLS_ONLY)
    return sink.getvalue()


def _lines(chunk: SimulatedChunk) -> pa.Buffer | bytes:
    """Render a chunk's orders, the faults of whole lines included."""
    text = _text(chunk.orders)
    fault = chunk.truth["fault"]
    broken = pc.indices_nonzero(pc.is_in(fault, pa.array(sorted(LINE_FAULTS)))).to_pylist()
    if not broken:
        return text
    lines = text.to_pybytes().split(b"\n")
    for row in broken:
        lines[row] = break_line(lines[row], Fault(fault[row].as_py()))
    return b"\n".join(lines)
