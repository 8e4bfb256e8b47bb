"""Reads of the audit, by keys that do not shift."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from fulfillment_api.pagination import Slice, slice_of
from fulfillment_api.resources.audit.schemas import AuditLine

_SELECT: Final = f"SELECT {', '.join(AuditLine.model_fields)} FROM api_audit"
_CONDITIONS: Final = {
    "actor": "actor = :actor",
    "action": "action = :action",
    "target": "target = :target",
    "since": "created_at >= :since",
    "until": "created_at < :until",
    "after": "id < :after",
}


@dataclass(frozen=True, slots=True)
class AuditFilters:
    """Which lines are wanted; what is None does not restrict."""

    actor: str | None
    action: str | None
    target: str | None
    since: dt.datetime | None
    until: dt.datetime | None


def read_audit(
    connection: Connection, filters: AuditFilters, *, after: int | None, limit: int
) -> Slice[AuditLine, int]:
    """The lines that pass the filters, the newest first."""
    asked = asdict(filters) | {"after": after}
    values = {name: value for name, value in asked.items() if value is not None}
    where = " AND ".join(["true", *(_CONDITIONS[name] for name in values)])
    rows = connection.execute(
        sa.text(f"{_SELECT} WHERE {where} ORDER BY id DESC LIMIT :limit"),
        values | {"limit": limit + 1},
    )
    return slice_of([AuditLine.model_validate(row) for row in rows], limit, lambda one: one.id)
