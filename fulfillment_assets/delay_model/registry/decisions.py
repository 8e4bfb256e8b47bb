"""The `model_decisions` table: who became champion or was refused, when, and on what evidence."""

from __future__ import annotations

import datetime as dt
from typing import Any, Literal, TypeAlias

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict
from sqlalchemy.engine import Connection

Action: TypeAlias = Literal["first", "promoted", "refused", "rolled_back"]


class Decision(BaseModel):
    """A decision about who scores.

    Attributes:
        id: ascending in the order in which decisions took effect.
        action: what was decided.
        version: the version that became champion, or was refused.
        champion: the version that was champion before; None for the first.
        forced: it was promoted without comparison.
        reason: in words.
        evidence: the verdict of the comparison (see `evidence.Verdict`), if there was one.
        decided_by: who asked for it.
        decided_at: when.
    """

    model_config = ConfigDict(frozen=True)

    id: int
    action: Action
    version: str
    champion: str | None
    forced: bool
    reason: str
    evidence: dict[str, Any] | None
    decided_by: str
    decided_at: dt.datetime


def record(
    connection: Connection,
    action: Action,
    version: str,
    *,
    champion: str | None,
    reason: str,
    forced: bool = False,
    evidence: BaseModel | None = None,
    by: str | None = None,
) -> Decision:
    """Note a decision; `by` is the database's user if not given.

    A decision that moves the pointer is recorded after the pointer's row was locked: so ids
    ascend in the order of what happened.
    """
    row = connection.execute(
        sa.text(
            "INSERT INTO model_decisions "
            "(action, version, champion, forced, reason, evidence, decided_by) "
            "VALUES (:action, :version, :champion, :forced, :reason, CAST(:evidence AS jsonb), "
            "coalesce(:by, current_user)) RETURNING *"
        ),
        {
            "action": action,
            "version": version,
            "champion": champion,
            "forced": forced,
            "reason": reason,
            "evidence": None if evidence is None else evidence.model_dump_json(),
            "by": by,
        },
    )
    return Decision.model_validate(dict(row.mappings().one()))


def decisions(connection: Connection) -> list[Decision]:
    """Every decision, the oldest first."""
    rows = connection.execute(sa.text("SELECT * FROM model_decisions ORDER BY id"))
    return [Decision.model_validate(dict(row)) for row in rows.mappings()]


def champions(connection: Connection) -> list[str]:
    """The versions that led to the present champion, which is the last one.

    A promotion puts a version on top, a rollback takes the top away.
    """
    line: list[str] = []
    for decision in decisions(connection):
        if decision.action == "rolled_back":
            line.pop()
        elif decision.action != "refused":
            line.append(decision.version)
    return line
