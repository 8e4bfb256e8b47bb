"""Reads of the deviations."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass, fields
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from fulfillment_assets.delay_model.bands import SEVERITIES
from fulfillment_assets.deviations.status import OPEN_STATUSES, STATUSES

_OF_BATCH: Final = "(CAST(:job AS uuid) IS NULL OR batch_job_id = :job)"

DEVIATION_SEVERITIES: Final = SEVERITIES[1:]
KINDS: Final = ("delay_risk", "fulfillment_gap", "segment_risk", "on_time_rate")
MAX_LIMIT: Final = 1_000


@dataclass(frozen=True, slots=True)
class Deviation:
    """One deviation, without its context; it is of an order or of a segment."""

    id: uuid.UUID
    order_id: str | None
    segment_key: str | None
    kind: str
    severity: str
    reason: str
    status: str
    created_at: dt.datetime
    updated_at: dt.datetime


@dataclass(frozen=True, slots=True)
class DeviationDetails:
    """One deviation with all that is known of it.

    Attributes:
        ended_at: when the breach of a segment was over; None before, and for orders.
        context: what the deviation was found from, as its event tells it.
    """

    deviation: Deviation
    prediction_id: uuid.UUID | None
    batch_job_id: uuid.UUID | None
    ended_at: dt.datetime | None
    context: dict[str, Any]


@dataclass(frozen=True, slots=True)
class DeviationFilters:
    """Which deviations are wanted; what is empty or None does not restrict.

    Raises:
        ValueError: a severity, kind or status that there is not.
    """

    severities: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    since: dt.datetime | None = None
    order_id: str | None = None

    def __post_init__(self) -> None:
        """Refuse names that there are not."""
        for what, given, known in (
            ("severity", self.severities, DEVIATION_SEVERITIES),
            ("kind", self.kinds, KINDS),
            ("status", self.statuses, STATUSES),
        ):
            for name in given:
                if name not in known:
                    raise ValueError(f"unknown {what} {name!r}: choose from {', '.join(known)}")


@dataclass(frozen=True, slots=True)
class DeviationPage:
    """Some deviations, the newest first.

    Attributes:
        after: the id after which the next page begins; None if there is no more.
    """

    deviations: list[Deviation]
    after: uuid.UUID | None


_COLUMNS: Final = ", ".join(field.name for field in fields(Deviation))


def list_deviations(
    connection: Connection,
    filters: DeviationFilters | None = None,
    *,
    limit: int = 50,
    after: uuid.UUID | None = None,
) -> DeviationPage:
    """The deviations that pass the filters, newest first by id; a page does not shift.

    Args:
        connection: any connection.
        filters: which are wanted; all if not given.
        limit: how many, 1 to `MAX_LIMIT`.
        after: the last id of the page before.

    Raises:
        ValueError: the limit is out of range.
    """
    if not 1 <= limit <= MAX_LIMIT:
        raise ValueError(f"limit must be from 1 to {MAX_LIMIT:,}, not {limit:,}")
    wanted = filters or DeviationFilters()
    conditions, values = _conditions(wanted, after)
    rows = connection.execute(
        sa.text(
            f"SELECT {_COLUMNS} FROM deviations WHERE {' AND '.join(conditions)} "
            "ORDER BY id DESC LIMIT :limit"
        ),
        values | {"limit": limit + 1},
    ).all()
    found = [Deviation(*row) for row in rows[:limit]]
    return DeviationPage(found, found[-1].id if len(rows) > limit else None)


def _conditions(
    wanted: DeviationFilters, after: uuid.UUID | None
) -> tuple[list[str], dict[str, Any]]:
    lists = {
        "severity": wanted.severities,
        "kind": wanted.kinds,
        "status": wanted.statuses,
    }
    conditions = ["true", *(f"{name} = ANY (:{name})" for name, given in lists.items() if given)]
    values: dict[str, Any] = {name: list(given) for name, given in lists.items() if given}
    if wanted.order_id is not None:
        conditions.append("order_id = :order_id")
        values["order_id"] = wanted.order_id
    if wanted.since is not None:
        conditions.append("created_at >= :since AND id >= :first_id")
        values |= {"since": wanted.since, "first_id": _first_id(wanted.since)}
    if after is not None:
        conditions.append("id < :after")
        values["after"] = after
    return conditions, values


def _first_id(moment: dt.datetime) -> uuid.UUID:
    """The least version-7 id that a row made at a moment can have (RFC 9562, section 5.7).

    It ends a search by id there: an id is made after its transaction has begun.
    """
    milliseconds = max(0, int(moment.timestamp() * 1_000) - 1)
    return uuid.UUID(int=milliseconds << 80)


def find_deviation(connection: Connection, deviation_id: uuid.UUID) -> DeviationDetails | None:
    """One deviation with its context; None if there is none of that id."""
    row = connection.execute(
        sa.text(
            f"SELECT {_COLUMNS}, prediction_id, batch_job_id, ended_at, context "
            "FROM deviations WHERE id = :id"
        ),
        {"id": deviation_id},
    ).one_or_none()
    if row is None:
        return None
    count = len(fields(Deviation))
    return DeviationDetails(Deviation(*row[:count]), *row[count:])


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
            f"SELECT {_COLUMNS} FROM deviations "
            f"WHERE status IN {OPEN_STATUSES} AND {_OF_BATCH} "
            "ORDER BY array_position(ARRAY['critical', 'warning', 'info'], severity), id DESC "
            "LIMIT :limit"
        ),
        {"job": batch_job_id, "limit": limit},
    )
    return [Deviation(*row) for row in rows]
