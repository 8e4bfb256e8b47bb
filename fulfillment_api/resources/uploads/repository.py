"""The table `idempotency_keys`: what was answered to an upload that was named by its client."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

_KEPT: Final = "created_at > now() - interval '24 hours'"
_FIND: Final = f"""
SELECT sha256, batch_job_id, known, to_score FROM idempotency_keys
WHERE api_key_id IS NOT DISTINCT FROM CAST(:api_key_id AS uuid) AND key = :key AND {_KEPT}
"""
_SWEEP: Final = f"DELETE FROM idempotency_keys WHERE NOT ({_KEPT})"
_REMEMBER: Final = """
INSERT INTO idempotency_keys (api_key_id, key, sha256, batch_job_id, known, to_score)
VALUES (:api_key_id, :key, :sha256, :batch_job_id, :known, :to_score)
"""


@dataclass(frozen=True, slots=True)
class Answered:
    """What was answered before.

    Attributes:
        sha256: of the content.
        known: whether the content was known then.
        to_score: whether it was then to be scored.
    """

    sha256: str
    batch_job_id: uuid.UUID
    known: bool
    to_score: bool


def find_answered(
    connection: Connection, api_key_id: uuid.UUID | None, key: str
) -> Answered | None:
    """What was answered to this key in the last 24 hours; None: nothing."""
    row = connection.execute(sa.text(_FIND), {"api_key_id": api_key_id, "key": key}).one_or_none()
    return None if row is None else Answered(*row)


def remember(
    connection: Connection, api_key_id: uuid.UUID | None, key: str, answered: Answered
) -> None:
    """Remember an answer for 24 hours, and forget those that are older."""
    connection.execute(sa.text(_SWEEP))
    connection.execute(
        sa.text(_REMEMBER),
        {
            "api_key_id": api_key_id,
            "key": key,
            "sha256": answered.sha256,
            "batch_job_id": answered.batch_job_id,
            "known": answered.known,
            "to_score": answered.to_score,
        },
    )
