"""Settings through the API, with their audit."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from tests.agents.examples import Office
from tests.api.examples import pages, problem


def test_settings_are_listed_and_changed_with_an_audit(api: TestClient, office: Office) -> None:
    assert {s["name"]: s["value"] for s in api.get("/settings").json()["settings"]}[
        "kpi_window_days"
    ] == 30
    response = api.put(
        "/settings/kpi_window_days", json={"value": 7}, headers={"X-Request-ID": "r-1"}
    )
    assert response.status_code == 200, response.text
    assert (response.json()["value"], response.json()["updated_by"]) == (7, "local")
    [line] = office.rows("SELECT * FROM api_audit")
    assert (line["actor"], line["role"], line["action"], line["target"], line["request_id"]) == (
        "local",
        "admin",
        "settings.set",
        "kpi_window_days",
        "r-1",
    )
    assert line["details"] == {"value": 7}


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        ("nothing", 1, 404),
        ("kpi_window_days", 0, 422),
        ("history_starts_at", "2026-01-01T00:00:00Z", 422),
    ],
)
def test_a_change_that_is_refused_leaves_no_trace(
    api: TestClient, office: Office, name: str, value: object, status: int
) -> None:
    problem(api.put(f"/settings/{name}", json={"value": value}), status)
    assert office.rows("SELECT * FROM api_audit") == []


def test_one_setting_is_shown_with_its_changes(api: TestClient) -> None:
    for value in (7, 14):
        api.put("/settings/kpi_window_days", json={"value": value})
    shown = api.get("/settings/kpi_window_days").json()
    assert (shown["value"], shown["default"], shown["updated_by"]) == (14, 30, "local")
    found = [
        one for page in pages(api, "/settings/kpi_window_days/history", limit=1) for one in page
    ]
    assert [(one["old_value"], one["new_value"]) for one in found] == [
        (7, 14),
        (30, 7),
        (None, 30),
    ]
    problem(api.get("/settings/nothing"), 404)
    problem(api.get("/settings/nothing/history"), 404)


def test_a_cursor_belongs_to_one_setting(api: TestClient) -> None:
    api.put("/settings/kpi_window_days", json={"value": 7})
    first = api.get("/settings/kpi_window_days/history", params={"limit": 1}).json()
    cursor = first["pagination"]["next"]
    problem(api.get("/settings/segment_min_orders/history", params={"cursor": cursor}), 422)
