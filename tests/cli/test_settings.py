"""`fulfillment settings`: what holds, what it may be, and who changed it."""

from __future__ import annotations

import json

import pytest

from fulfillment_assets.store.setting_specs import SETTINGS
from tests.cli.commands import Fulfillment

pytestmark = pytest.mark.usefixtures("on_workplace")


def test_all_settings_are_listed(fulfillment: Fulfillment) -> None:
    outcome = fulfillment("settings", "list", "--json")
    assert outcome.status == 0
    listed = json.loads(outcome.out)["settings"]
    assert {s["name"]: s["value"] for s in listed} == {n: s.default for n, s in SETTINGS.items()}
    table = fulfillment("settings", "list").out
    assert all(name in table for name in SETTINGS)


def test_a_change_holds_and_is_kept_with_who_made_it(fulfillment: Fulfillment) -> None:
    outcome = fulfillment("settings", "set", "on_time_rate_target", "0.8", "--by", "ada")
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out == "on_time_rate_target: 0.6 -> 0.8; the next batch goes by it.\n"
    got = json.loads(fulfillment("settings", "get", "on_time_rate_target", "--json").out)
    assert (got["value"], got["default"], got["updated_by"]) == (0.8, 0.6, "ada")
    assert got["rule"] == "a number from 0 to 1"
    shown = fulfillment("settings", "get", "on_time_rate_target").out
    assert shown.startswith("on_time_rate_target = 0.8\n")
    assert "set by ada" in shown
    history = json.loads(fulfillment("settings", "history", "on_time_rate_target", "--json").out)
    [change, _] = history["changes"]
    assert (change["old_value"], change["new_value"], change["changed_by"]) == (0.6, 0.8, "ada")
    assert "ada" in fulfillment("settings", "history").out


def test_a_change_is_told_as_json(fulfillment: Fulfillment) -> None:
    outcome = fulfillment("settings", "set", "kpi_window_days", "7", "--by", "ada", "--json")
    change = json.loads(outcome.out)
    assert (change["name"], change["old_value"], change["new_value"]) == ("kpi_window_days", 30, 7)


def test_the_same_value_is_no_change(fulfillment: Fulfillment) -> None:
    outcome = fulfillment("settings", "set", "kpi_window_days", "30", "--by", "ada")
    assert outcome.out.startswith("kpi_window_days is 30, as it was;")
    assert len(json.loads(fulfillment("settings", "history", "--json").out)["changes"]) == len(
        SETTINGS
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("get", "on_time_target"), "did you mean on_time_rate_target?"),
        (("set", "on_time_target", "0.8"), "did you mean on_time_rate_target?"),
        (("history", "on_time_target"), "did you mean on_time_rate_target?"),
        (("set", "on_time_rate_target", "80"), "must be a number from 0 to 1, not '80'"),
        (("set", "severity_info_above", "0.9"), "must not be above severity_warning_above"),
        (("set", "history_starts_at", "2026-01-01T00:00:00Z"), "cannot be set by hand"),
        (("set", "kpi_window_days", "7", "--by", ""), "say who changes the setting"),
    ],
)
def test_a_mistake_is_explained(
    fulfillment: Fulfillment, arguments: tuple[str, ...], message: str
) -> None:
    outcome = fulfillment("settings", *arguments)
    assert (outcome.status, outcome.out) == (1, "")
    assert outcome.err.startswith("error: ")
    assert message in outcome.err.replace("\n", " ")
