"""The `rejected_records` table: rows that broke the contract, kept to be read and replayed."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Iterator, Sequence

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from fulfillment_assets.orders.validation import FieldError, RejectedRow
from fulfillment_assets.scoring.rows import Arrival
from fulfillment_assets.store.copy import copy_into, encode

_COLUMNS = ("source", "batch_job_id", "row_number", "raw", "errors", "created_at")


def store(connection: Connection, rejected: Sequence[RejectedRow], arrival: Arrival) -> None:
    """Keep rejected rows with their errors, in the caller's transaction."""
    if not rejected:
        return
    job = None if arrival.batch_job_id is None else arrival.batch_job_id.hex
    received_at = arrival.received_at.isoformat()
    records = [
        (arrival.source, job, row.row_number, json.dumps(row.raw), _errors(row), received_at)
        for row in rejected
    ]
    columns = zip(*records, strict=True)
    table = pa.table({name: list(column) for name, column in zip(_COLUMNS, columns, strict=True)})
    copy_into(connection, "rejected_records", encode(table))


def _errors(row: RejectedRow) -> str:
    return json.dumps([{"field": e.field, "value": e.value, "rule": e.rule} for e in row.errors])


def of_batch(connection: Connection, batch_job_id: uuid.UUID) -> Iterator[RejectedRow]:
    """The rejected rows of a batch, in row order, read as they are needed."""
    rows = connection.execute(
        sa.text(
            "SELECT row_number, raw, errors FROM rejected_records "
            "WHERE batch_job_id = :id ORDER BY row_number"
        ),
        {"id": batch_job_id},
        execution_options={"stream_results": True},
    )
    for row in rows:
        yield RejectedRow(row.row_number, row.raw, tuple(_error(entry) for entry in row.errors))


def forget_before(connection: Connection, moment: dt.datetime) -> None:
    """Delete the rejected rows of files received before `moment`."""
    connection.execute(
        sa.text("DELETE FROM rejected_records WHERE created_at < :moment"), {"moment": moment}
    )


def _error(entry: dict[str, str | None]) -> FieldError:
    return FieldError(str(entry["field"]), entry["value"], str(entry["rule"]))
