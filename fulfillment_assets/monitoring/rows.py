"""Reading many rows into Arrow, block by block."""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import Connection

BLOCK_ROWS: Final = 50_000
"""Rows that stand in Python's own, bulky, objects at a time."""


def read_table(
    connection: Connection, query: str, parameters: dict[str, Any], schema: pa.Schema
) -> pa.Table:
    """The rows of a query whose columns are those of the schema, in its order."""
    result = connection.execute(
        sa.text(query), parameters, execution_options={"yield_per": BLOCK_ROWS}
    )
    blocks = [
        pa.record_batch([*map(pa.array, zip(*rows, strict=True), schema.types)], schema=schema)
        for rows in result.partitions()
    ]
    return pa.Table.from_batches(blocks, schema)
