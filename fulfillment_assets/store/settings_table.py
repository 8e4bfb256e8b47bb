"""The `settings` table: thresholds and windows that change while the platform runs."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from fulfillment_assets.store.setting_specs import (
    ASCENDING,
    SETTINGS,
    SettingError,
    SettingSpec,
    spec_of,
)

_UPDATE: Final = """
UPDATE settings SET value = CAST(:value AS jsonb), updated_at = now(), updated_by = :changed_by
WHERE key = :key
"""

_HISTORY: Final = """
SELECT key, old_value, new_value, changed_at, changed_by FROM settings_audit
WHERE key = ANY(:keys) ORDER BY id DESC LIMIT :limit
"""


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting with its value, and who gave it that value when."""

    spec: SettingSpec
    value: Any
    updated_at: dt.datetime
    updated_by: str


@dataclass(frozen=True, slots=True)
class SettingChange:
    """One line of the audit; without an old value it is how the setting began."""

    name: str
    old_value: Any
    new_value: Any
    changed_at: dt.datetime
    changed_by: str


def read_setting(connection: Connection, key: str) -> Any:
    """The value of a setting.

    Raises:
        SettingError: there is no such setting.
    """
    return read_settings(connection, [key])[key]


def read_settings(connection: Connection, keys: Iterable[str]) -> dict[str, Any]:
    """The values of several settings, in one statement.

    Raises:
        SettingError: there is no such setting.
    """
    wanted = list(keys)
    rows = connection.execute(
        sa.text("SELECT key, value FROM settings WHERE key = ANY(:keys)"), {"keys": wanted}
    )
    found = {row.key: row.value for row in rows}
    for key in wanted:
        if key not in found:
            raise SettingError(
                f"{spec_of(key).name} is not in the table settings; `fulfillment db upgrade` "
                "brings it there"
            )
    return found


def list_settings(connection: Connection) -> list[Setting]:
    """Every setting, in the order of their declaration."""
    rows = {
        row.key: row
        for row in connection.execute(
            sa.text("SELECT key, value, updated_at, updated_by FROM settings")
        )
    }
    return [
        Setting(spec, row.value, row.updated_at, row.updated_by)
        for name, spec in SETTINGS.items()
        if (row := rows.get(name)) is not None
    ]


def find_setting(connection: Connection, name: str) -> Setting:
    """One setting.

    Raises:
        SettingError: there is no such setting.
    """
    spec = spec_of(name)
    row = connection.execute(
        sa.text("SELECT value, updated_at, updated_by FROM settings WHERE key = :key"),
        {"key": name},
    ).one()
    return Setting(spec, row.value, row.updated_at, row.updated_by)


def setting_history(
    connection: Connection, name: str | None = None, *, limit: int = 100
) -> list[SettingChange]:
    """The changes of one setting, or of all, the latest first.

    Raises:
        SettingError: there is no such setting.
    """
    keys = list(SETTINGS) if name is None else [spec_of(name).name]
    rows = connection.execute(sa.text(_HISTORY), {"keys": keys, "limit": limit})
    return [SettingChange(*row) for row in rows]


def change_setting(
    connection: Connection, name: str, value: object, *, changed_by: str
) -> SettingChange:
    """Set a setting as a person asks for it; the next batch goes by it.

    Args:
        connection: in a transaction.
        name: which one.
        value: a number, its text, or a choice.
        changed_by: who asks for it; kept in the audit.

    Raises:
        SettingError: unknown, not for people to change, out of its range, in conflict with another
            setting, or nobody is named.
    """
    spec = spec_of(name)
    if not spec.by_hand:
        raise SettingError(f"{name} is kept by the platform and cannot be set by hand")
    if not changed_by.strip():
        raise SettingError("say who changes the setting: the audit keeps a name")
    return write_setting(connection, name, value, changed_by=changed_by.strip())


def write_setting(
    connection: Connection, key: str, value: object, *, changed_by: str
) -> SettingChange:
    """Set `key`; the table's trigger records the change in `settings_audit`.

    Raises:
        SettingError: there is no such setting, or it cannot have the value.
    """
    checked = spec_of(key).checked(value)
    locked = connection.execute(
        sa.text(
            "SELECT key, value, now() AS moment FROM settings WHERE key = ANY(:keys) "
            "ORDER BY key FOR UPDATE"
        ),
        {"keys": list(ASCENDING) if key in ASCENDING else [key]},
    ).all()
    before = {row.key: row.value for row in locked}
    _check_together({**before, key: checked})
    connection.execute(
        sa.text(_UPDATE), {"key": key, "value": json.dumps(checked), "changed_by": changed_by}
    )
    return SettingChange(key, before[key], checked, locked[0].moment, changed_by)


def _check_together(values: Mapping[str, Any]) -> None:
    """Refuse thresholds that do not ascend."""
    for lower, upper in pairwise(ASCENDING):
        if lower in values and upper in values and values[lower] > values[upper]:
            raise SettingError(
                f"{lower} ({values[lower]:g}) must not be above {upper} ({values[upper]:g}); "
                "change the other one first"
            )
