"""Settings through the API, with their audit."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from tests.agents.examples import Office
from tests.api.examples import problem


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
