"""Reads of the settings' changes, by keys that do not shift."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from fulfillment_api.pagination import Slice, slice_of
from fulfillment_api.resources.settings.schemas import SettingChange

_HISTORY: Final = """
SELECT id, old_value, new_value, changed_at, changed_by FROM settings_audit
WHERE key = :name AND (CAST(:after AS bigint) IS NULL OR id < :after)
ORDER BY id DESC LIMIT :limit
"""


def read_history(
    connection: Connection, name: str, *, after: int | None, limit: int
) -> Slice[SettingChange, int]:
    """The changes of a setting, the latest first."""
    values = {"name": name, "after": after, "limit": limit + 1}
    rows = connection.execute(sa.text(_HISTORY), values).all()
    return slice_of([SettingChange.model_validate(row) for row in rows], limit, lambda one: one.id)
