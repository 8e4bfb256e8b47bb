from __future__ import annotations

import re
import threading
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from fulfillment_assets.delay_model.bands import DEFAULT_THRESHOLDS
from fulfillment_assets.store.setting_specs import SETTINGS, SettingError
from fulfillment_assets.store.settings_table import (
    change_setting,
    find_setting,
    list_settings,
    read_setting,
    setting_history,
    write_setting,
)

DEFAULTS = {name: spec.default for name, spec in SETTINGS.items()}


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
    assert {row.key: row.description for row in rows} == {
        name: spec.description for name, spec in SETTINGS.items()
    }


def test_the_defaults_stand_in_the_audit_too(engine: Engine) -> None:
    with engine.connect() as connection:
        rows = connection.execute(
            sa.text("SELECT key, new_value FROM settings_audit WHERE old_value IS NULL")
        )
        assert {row.key: row.new_value for row in rows} == DEFAULTS


def test_a_setting_is_read_as_it_was_written(engine: Engine) -> None:
    for key, value in (
        ("kpi_window_days", 7),
        ("on_time_rate_target", 0.85),
        ("deviation_min_severity", "info"),
        ("history_starts_at", "2026-01-01T00:00:00+00:00"),
    ):
        with engine.begin() as connection:
            write_setting(connection, key, value, changed_by="ada")
        with engine.connect() as connection:
            assert read_setting(connection, key) == value


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


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("kpi_window", "did you mean kpi_window_days?"),
        ("on_time_target", "did you mean on_time_rate_target?"),
        ("xyz", "`fulfillment settings list` shows them all"),
    ],
)
def test_an_unknown_setting_is_named_with_the_nearest(engine: Engine, name: str, hint: str) -> None:
    wanted = f"there is no setting '{name}'.*{re.escape(hint)}"
    with engine.begin() as connection:
        for use in (
            lambda: read_setting(connection, name),
            lambda: find_setting(connection, name),
            lambda: setting_history(connection, name),
            lambda: write_setting(connection, name, 7, changed_by="ada"),
            lambda: change_setting(connection, name, 7, changed_by="ada"),
        ):
            with pytest.raises(SettingError, match=wanted):
                use()
        assert audit(connection) == []


def test_a_setting_that_the_table_lacks_is_named(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM settings WHERE key = 'kpi_window_days'"))
        with pytest.raises(SettingError, match="kpi_window_days is not in the table settings"):
            read_setting(connection, "kpi_window_days")


@pytest.mark.parametrize(
    ("name", "given", "stored"),
    [
        ("on_time_rate_target", "0.85", 0.85),
        ("on_time_rate_target", 1, 1),
        ("kpi_window_days", " 7 ", 7),
        ("kpi_window_days", "7.0", 7),
        ("deviation_min_severity", "critical", "critical"),
    ],
)
def test_a_value_may_come_as_text(engine: Engine, name: str, given: object, stored: object) -> None:
    with engine.begin() as connection:
        change = change_setting(connection, name, given, changed_by=" ada ")
        assert read_setting(connection, name) == stored
        assert audit(connection) == [(name, DEFAULTS[name], stored, "ada")]
    assert (change.name, change.old_value, change.new_value) == (name, DEFAULTS[name], stored)


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("on_time_rate_target", "1.1", "a number from 0 to 1, not '1.1'"),
        ("on_time_rate_target", -0.1, "a number from 0 to 1, not -0.1"),
        ("on_time_rate_target", "nan", "a number from 0 to 1, not 'nan'"),
        ("on_time_rate_target", "much", "a number from 0 to 1, not 'much'"),
        ("on_time_rate_target", True, "a number from 0 to 1, not True"),
        ("on_time_rate_target", None, "a number from 0 to 1, not None"),
        ("kpi_window_days", 7.5, "a whole number from 1 to 3650, not 7.5"),
        ("kpi_window_days", 0, "a whole number from 1 to 3650, not 0"),
        ("segment_baseline_hours", 23, "a whole number from 24 to 2160, not 23"),
        ("segment_false_alarms_per_day", 0, "a number from 1e-06 to 0.5, not 0"),
        ("deviation_min_severity", "none", "one of info, warning, critical, not 'none'"),
        ("deviation_min_severity", ["info"], "one of info, warning, critical"),
    ],
)
def test_a_value_that_breaks_its_rule_is_refused(
    engine: Engine, name: str, value: object, rule: str
) -> None:
    with engine.begin() as connection:
        with pytest.raises(SettingError, match=re.escape(f"{name} must be {rule}")):
            change_setting(connection, name, value, changed_by="ada")
        assert audit(connection) == []


@pytest.mark.parametrize("moment", ["yesterday", "2026-01-01T00:00:00", 7])
def test_a_moment_must_be_one_with_its_zone(engine: Engine, moment: object) -> None:
    with (
        engine.begin() as connection,
        pytest.raises(SettingError, match="history_starts_at must be an ISO 8601 date-time"),
    ):
        write_setting(connection, "history_starts_at", moment, changed_by="retention")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("severity_info_above", 0.6, "severity_info_above (0.6) must not be above severity_warn"),
        ("severity_warning_above", 0.2, "severity_info_above (0.3) must not be above severity_w"),
        ("severity_warning_above", 0.8, "severity_warning_above (0.8) must not be above severit"),
        ("severity_critical_above", 0.4, "severity_warning_above (0.5) must not be above severi"),
    ],
)
def test_thresholds_must_ascend(engine: Engine, name: str, value: float, message: str) -> None:
    with engine.begin() as connection:
        with pytest.raises(SettingError, match=re.escape(message)):
            change_setting(connection, name, value, changed_by="ada")
        change_setting(connection, "severity_info_above", 0.5, changed_by="ada")  # equal will do


def test_two_who_change_thresholds_at_once_cannot_cross_them(engine: Engine) -> None:
    refused = []

    def raise_info() -> None:
        try:
            with engine.begin() as connection:
                change_setting(connection, "severity_info_above", 0.45, changed_by="grace")
        except SettingError as error:
            refused.append(str(error))

    with engine.begin() as connection:
        change_setting(connection, "severity_warning_above", 0.4, changed_by="ada")
        other = threading.Thread(target=raise_info)
        other.start()
        other.join(timeout=0.5)
        assert other.is_alive()  # it waits for this change
    other.join(timeout=20)
    assert len(refused) == 1


def test_what_the_platform_keeps_cannot_be_set_by_hand(engine: Engine) -> None:
    with engine.begin() as connection:
        with pytest.raises(SettingError, match="cannot be set by hand"):
            change_setting(
                connection, "history_starts_at", "2026-01-01T00:00:00Z", changed_by="ada"
            )
        with pytest.raises(SettingError, match="say who changes the setting"):
            change_setting(connection, "kpi_window_days", 7, changed_by=" ")


def test_all_settings_are_listed_with_who_set_them(engine: Engine) -> None:
    with engine.begin() as connection:
        change_setting(connection, "kpi_window_days", 7, changed_by="ada")
        listed = list_settings(connection)
        assert [setting.spec for setting in listed] == list(SETTINGS.values())
        [window] = [s for s in listed if s.spec.name == "kpi_window_days"]
        assert (window.value, window.updated_by) == (7, "ada")
        assert find_setting(connection, "kpi_window_days") == window


def test_the_history_has_the_latest_change_first(engine: Engine) -> None:
    with engine.begin() as connection:
        for days in (7, 14):
            change_setting(connection, "kpi_window_days", days, changed_by="ada")
        change_setting(connection, "segment_min_orders", 50, changed_by="grace")
        history = setting_history(connection, "kpi_window_days")
        assert [(c.old_value, c.new_value) for c in history] == [(7, 14), (30, 7), (None, 30)]
        assert [c.name for c in setting_history(connection, limit=2)] == [
            "segment_min_orders",
            "kpi_window_days",
        ]


def test_the_thresholds_of_the_model_are_the_defaults() -> None:
    for severity, bound in DEFAULT_THRESHOLDS.items():
        assert SETTINGS[f"severity_{severity}_above"].default == bound
