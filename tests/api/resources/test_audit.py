"""The audit of changes through the API."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from tests.agents.examples import Office
from tests.api.conftest import Start
from tests.api.examples import new_key, pages, problem, url_of


@pytest.fixture
def changed(office: Office, start: Start) -> TestClient:
    """The API in an admin's hands, through which two people changed three settings."""
    for name in ("ada", "bob"):
        api = start(url_of(office.engine), key=new_key(office.engine, "admin", name))
        api.put("/settings/kpi_window_days", json={"value": 7})
    api.put("/settings/segment_min_orders", json={"value": 50})
    return api


def test_changes_are_listed_the_newest_first_and_in_pages(changed: TestClient) -> None:
    found = pages(changed, "/audit", limit=2)
    assert [[one["actor"] for one in page] for page in found] == [["bob", "bob"], ["ada"]]
    newest = found[0][0]
    assert (newest["action"], newest["target"], newest["details"], newest["role"]) == (
        "settings.set",
        "segment_min_orders",
        {"value": 50},
        "admin",
    )


def test_changes_are_found_by_who_what_and_when(changed: TestClient, office: Office) -> None:
    office.execute("UPDATE api_audit SET created_at = '2026-01-01T00:00:00Z' WHERE actor = 'ada'")

    def actors(**asked: str) -> list[str]:
        return [one["actor"] for one in changed.get("/audit", params=asked).json()["items"]]

    assert actors(actor="ada") == ["ada"]
    assert actors(action="settings.set", target="kpi_window_days") == ["bob", "ada"]
    assert actors(action="knowledge.ingest") == []
    assert actors(since="2026-01-02T00:00:00Z") == ["bob", "bob"]
    assert actors(until="2026-01-02T00:00:00Z", since="2026-01-01T00:00:00Z") == ["ada"]


@pytest.mark.parametrize("cursor", ["x", "WyJhdWRpdCIsICIwIl0", "WyJhdWRpdCIsICJ4Il0"])
def test_a_cursor_that_is_none_is_refused(api: TestClient, cursor: str) -> None:
    problem(api.get("/audit", params={"cursor": cursor}), 422)
