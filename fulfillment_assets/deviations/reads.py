"""Reads of the deviations."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from fulfillment_assets.deviations.rules import OPEN_STATUSES

_OF_BATCH: Final = "(CAST(:job AS uuid) IS NULL OR batch_job_id = :job)"


@dataclass(frozen=True, slots=True)
class Deviation:
    """One deviation, without its context."""

    id: uuid.UUID
    order_id: str | None
    kind: str
    severity: str
    reason: str
    status: str
    created_at: dt.datetime


def deviation_counts(
    connection: Connection, batch_job_id: uuid.UUID | None = None
) -> dict[str, dict[str, int]]:
    """Deviations by kind and severity: those that a batch opened or updated last, or all."""
    rows = connection.execute(
        sa.text(
            f"SELECT kind, severity, count(*) AS n FROM deviations WHERE {_OF_BATCH} "
            "GROUP BY kind, severity ORDER BY kind, severity"
        ),
        {"job": batch_job_id},
    )
    counts: dict[str, dict[str, int]] = {}
    for row in rows:
        counts.setdefault(row.kind, {})[row.severity] = int(row.n)
    return counts


def gravest_open(
    connection: Connection, batch_job_id: uuid.UUID | None = None, *, limit: int = 10
) -> list[Deviation]:
    """Open deviations of a batch, or of all, the gravest and then the newest first."""
    rows = connection.execute(
        sa.text(
            f"SELECT {', '.join(Deviation.__slots__)} FROM deviations "
            f"WHERE status IN {OPEN_STATUSES} AND {_OF_BATCH} "
            "ORDER BY array_position(ARRAY['critical', 'warning', 'info'], severity), id DESC "
            "LIMIT :limit"
        ),
        {"job": batch_job_id, "limit": limit},
    )
    return [Deviation(*row) for row in rows]
