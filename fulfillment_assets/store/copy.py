"""COPY Arrow tables into PostgreSQL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import psycopg2
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
from sqlalchemy.engine import Connection

from fulfillment_assets.store.connection import DatabaseUnavailableError

_WRITE: Final = pacsv.WriteOptions(include_header=False, quoting_style="needed")
_READ_SIZE: Final = 1 << 20
_INSTANT: Final = pa.timestamp("us", "UTC")


@dataclass(frozen=True, slots=True)
class CopyData:
    """Rows in COPY's CSV format, and the columns that they fill."""

    columns: tuple[str, ...]
    data: pa.Buffer


def encode(rows: pa.Table) -> CopyData:
    """Encode rows for COPY: Arrow nulls become NULL; text must hold no NUL character."""
    sink = pa.BufferOutputStream()
    plain = {
        name: without_zone(column) if pa.types.is_timestamp(column.type) else column
        for name, column in zip(rows.column_names, rows.columns, strict=True)
    }
    table = pa.table(plain).combine_chunks()  # an empty first chunk would be written as garbage
    if table.num_rows:
        pacsv.write_csv(table, sink, _WRITE)
    return CopyData(tuple(rows.column_names), sink.getvalue())


def copy_into(connection: Connection, table: str, rows: CopyData) -> None:
    """COPY encoded rows into `table`, inside the connection's transaction.

    Raises:
        DatabaseUnavailableError: the connection was lost.
    """
    columns = ", ".join(f'"{name}"' for name in rows.columns)
    cursor = connection.connection.cursor()
    try:
        cursor.copy_expert(
            f"COPY {table} ({columns}) FROM STDIN (FORMAT csv)",
            pa.BufferReader(rows.data),
            _READ_SIZE,
        )
    except psycopg2.OperationalError as error:
        if not cursor.connection.closed:
            raise
        connection.invalidate(error)  # else the rollback would fail, and hide what happened
        raise DatabaseUnavailableError(
            f"the connection to PostgreSQL was lost while rows were written into {table}; "
            "nothing of them is kept, try again"
        ) from error
    finally:
        cursor.close()


def without_zone(column: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """A timestamp column as plain timestamps in UTC, which Arrow writes 25 times faster.

    Sessions run in UTC, so PostgreSQL reads them as what they were.

    Raises:
        pyarrow.ArrowInvalid: a timestamp is finer than PostgreSQL's microseconds.
    """
    return pc.cast(pc.cast(pc.cast(column, _INSTANT), pa.int64()), pa.timestamp("us"))
