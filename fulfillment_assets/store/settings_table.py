"""The `settings` table: thresholds and windows that change while the platform runs."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection


def read_setting(connection: Connection, key: str) -> Any:
    """The value of `key`.

    Raises:
        KeyError: there is no such setting.
    """
    row = connection.execute(
        sa.text("SELECT value FROM settings WHERE key = :key"), {"key": key}
    ).one_or_none()
    if row is None:
        raise KeyError(f"no setting {key!r}")
    return row.value


def write_setting(connection: Connection, key: str, value: Any, *, changed_by: str) -> None:
    """Set `key`; the table's trigger records the change in `settings_audit`.

    Raises:
        KeyError: there is no such setting.
    """
    result = connection.execute(
        sa.text(
            "UPDATE settings SET value = CAST(:value AS jsonb), updated_at = now(), "
            "updated_by = :changed_by WHERE key = :key"
        ),
        {"key": key, "value": json.dumps(value), "changed_by": changed_by},
    )
    if result.rowcount == 0:
        raise KeyError(f"no setting {key!r}")
