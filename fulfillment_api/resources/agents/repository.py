"""Reads of the agents' responses and of the approvals, by keys that do not shift."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from fulfillment_api.pagination import Slice, slice_of
from fulfillment_api.resources.agents.schemas import Approval, ResponseSummary

_RESPONSES: Final = """
SELECT r.id, r.deviation_id, d.order_id, r.agent_type, r.action,
       r.details_json ->> 'summary' AS summary, r.model, r.created_at
FROM agent_responses r JOIN deviations d ON d.id = r.deviation_id
"""
_APPROVALS: Final = f"SELECT {', '.join(Approval.model_fields)} FROM agent_approvals"
_PATTERN_SIGNS: Final = str.maketrans({"\\": "\\\\", "%": "\\%", "_": "\\_"})


@dataclass(frozen=True, slots=True)
class ResponseFilters:
    """Which responses are wanted; what is None does not restrict.

    Attributes:
        search: a text that action or summary holds, in any case, or the order's id.
    """

    agent_type: str | None = None
    deviation_id: uuid.UUID | None = None
    order_id: str | None = None
    batch_id: uuid.UUID | None = None
    search: str | None = None


def read_responses(
    connection: Connection, filters: ResponseFilters, *, after: uuid.UUID | None, limit: int
) -> Slice[ResponseSummary, uuid.UUID]:
    """The responses that pass the filters, the newest first."""
    columns = {
        "agent_type": "r.agent_type",
        "deviation_id": "r.deviation_id",
        "order_id": "d.order_id",
        "batch_id": "d.batch_job_id",
    }
    values: dict[str, Any] = {
        name: value for name in columns if (value := getattr(filters, name)) is not None
    }
    conditions = [f"{columns[name]} = :{name}" for name in values]
    if filters.search is not None:
        conditions.append(
            "(r.action ILIKE :pattern OR r.details_json ->> 'summary' ILIKE :pattern "
            "OR d.order_id = :search)"
        )
        pattern = f"%{filters.search.translate(_PATTERN_SIGNS)}%"
        values |= {"search": filters.search, "pattern": pattern}
    rows = _newest(connection, _RESPONSES, "r.id", conditions, values, after, limit)
    found = [ResponseSummary.model_validate(row) for row in rows]
    return slice_of(found, limit, lambda one: one.id)


def read_approvals(
    connection: Connection, status: str | None, *, after: uuid.UUID | None, limit: int
) -> Slice[Approval, uuid.UUID]:
    """Approvals of a status, or all, the newest first."""
    conditions = [] if status is None else ["status = :status"]
    values = {} if status is None else {"status": status}
    rows = _newest(connection, _APPROVALS, "id", conditions, values, after, limit)
    return slice_of([Approval.model_validate(row) for row in rows], limit, lambda one: one.id)


def _newest(
    connection: Connection,
    select: str,
    key: str,
    conditions: Sequence[str],
    values: dict[str, Any],
    after: uuid.UUID | None,
    limit: int,
) -> Sequence[sa.Row[Any]]:
    beyond = [] if after is None else [f"{key} < :after"]
    where = " AND ".join(["true", *conditions, *beyond])
    return connection.execute(
        sa.text(f"{select} WHERE {where} ORDER BY {key} DESC LIMIT :limit"),
        values | {"after": after, "limit": limit + 1} if beyond else values | {"limit": limit + 1},
    ).all()
