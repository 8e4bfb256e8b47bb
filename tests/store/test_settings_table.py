from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from fulfillment_assets.store.settings_table import read_setting, write_setting

DEFAULTS = {
    "severity_critical_above": 0.7,
    "severity_warning_above": 0.5,
    "severity_info_above": 0.3,
    "deviation_min_severity": "warning",
    "kpi_window_days": 30,
    "history_starts_at": "2000-01-01T00:00:00+00:00",
}


def audit(connection: Connection) -> list[tuple[Any, ...]]:
    """Key, old value, new value and author of every change since the schema was made."""
    rows = connection.execute(
        sa.text("SELECT key, old_value, new_value, changed_by FROM settings_audit ORDER BY id")
    )
    return [tuple(row) for row in rows][len(DEFAULTS) :]


def test_a_new_database_has_every_setting_with_its_description(engine: Engine) -> None:
    with engine.connect() as connection:
        rows = connection.execute(sa.text("SELECT key, value, description FROM settings")).all()
    assert {row.key: row.value for row in rows} == DEFAULTS
    assert all(row.description for row in rows)


def test_the_defaults_stand_in_the_audit_too(engine: Engine) -> None:
    with engine.connect() as connection:
        rows = connection.execute(
            sa.text("SELECT key, new_value FROM settings_audit WHERE old_value IS NULL")
        )
        assert {row.key: row.new_value for row in rows} == DEFAULTS


def test_a_setting_is_read_as_it_was_written(engine: Engine) -> None:
    for value in (0.1, 7, "info", 'a "b"', True, None, [1, "ä"], {"a": [None]}):
        with engine.begin() as connection:
            write_setting(connection, "kpi_window_days", value, changed_by="ada")
        with engine.connect() as connection:
            assert read_setting(connection, "kpi_window_days") == value


def test_a_change_is_recorded_with_the_old_value_the_new_one_and_who(engine: Engine) -> None:
    with engine.begin() as connection:
        write_setting(connection, "kpi_window_days", 7, changed_by="ada")
        write_setting(connection, "kpi_window_days", 14, changed_by="grace")
        assert audit(connection) == [
            ("kpi_window_days", 30, 7, "ada"),
            ("kpi_window_days", 7, 14, "grace"),
        ]


def test_a_setting_says_who_changed_it_last_and_when(engine: Engine) -> None:
    query = sa.text(
        "SELECT updated_by, updated_at >= transaction_timestamp() AS now FROM settings "
        "WHERE key = 'kpi_window_days'"
    )
    with engine.begin() as connection:
        assert not connection.execute(query).one().now
        write_setting(connection, "kpi_window_days", 7, changed_by="ada")
        assert connection.execute(query).one() == ("ada", True)


def test_a_write_of_the_same_value_is_no_change(engine: Engine) -> None:
    with engine.begin() as connection:
        write_setting(connection, "kpi_window_days", 30, changed_by="ada")
        write_setting(connection, "severity_info_above", 0.30, changed_by="ada")
        assert audit(connection) == []


def test_changes_by_hand_are_recorded_as_well(engine: Engine) -> None:
    with engine.begin() as connection:
        user = connection.scalar(sa.text("SELECT current_user"))
        for statement in (
            "INSERT INTO settings (key, value, description) VALUES ('extra', '1', 'by hand')",
            "UPDATE settings SET value = '2' WHERE key = 'extra'",
            "DELETE FROM settings WHERE key = 'extra'",
        ):
            connection.execute(sa.text(statement))
        assert audit(connection) == [
            ("extra", None, 1, user),
            ("extra", 1, 2, user),
            ("extra", 2, None, user),
        ]


def test_a_change_that_is_rolled_back_leaves_no_trace(engine: Engine) -> None:
    with engine.connect() as connection:
        write_setting(connection, "kpi_window_days", 7, changed_by="ada")
        connection.rollback()
        assert read_setting(connection, "kpi_window_days") == 30
        assert audit(connection) == []


def test_an_unknown_setting_is_named(engine: Engine) -> None:
    with engine.begin() as connection:
        with pytest.raises(KeyError, match="no setting 'kpi_window'"):
            read_setting(connection, "kpi_window")
        with pytest.raises(KeyError, match="no setting 'kpi_window'"):
            write_setting(connection, "kpi_window", 7, changed_by="ada")
        assert audit(connection) == []
