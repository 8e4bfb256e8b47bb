"""Deviations, filtered, in pages, and in full."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from tests.agents.examples import Office
from tests.api.examples import pages, problem


@pytest.mark.usefixtures("scored")
@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, {("O1", "delay_risk"), ("O1", "fulfillment_gap"), ("O2", "delay_risk")}),
        ({"severity": "warning"}, {("O2", "delay_risk")}),
        ({"kind": "fulfillment_gap"}, {("O1", "fulfillment_gap")}),
        ({"kind": ["fulfillment_gap", "segment_risk"]}, {("O1", "fulfillment_gap")}),
        ({"status": "resolved"}, set()),
        ({"order_id": "O2"}, {("O2", "delay_risk")}),
        ({"warehouse": "F"}, {("O1", "delay_risk"), ("O1", "fulfillment_gap")}),
        ({"warehouse": "F", "mode": "Road"}, set()),
        ({"since": "2100-01-01T00:00:00Z"}, None),
        ({"until": "1990-01-01"}, set()),
    ],
)
def test_deviations_are_filtered(
    api: TestClient, asked: dict[str, str], found: set[tuple[str, str]] | None
) -> None:
    response = api.get("/deviations", params=asked)
    if found is None:
        problem(response, 422)
        return
    assert {(d["order_id"], d["kind"]) for d in response.json()["items"]} == found


def test_a_segments_own_deviation_is_found_by_its_segment(api: TestClient, office: Office) -> None:
    own = office.segment()
    found = api.get("/deviations", params={"warehouse": "F"}).json()["items"]
    assert [(d["id"], d["segment_key"]) for d in found] == [(str(own), "F/*/*")]
    assert api.get("/deviations", params={"warehouse": "A"}).json()["items"] == []


def test_pages_hold_everything_once_though_more_comes(api: TestClient, office: Office) -> None:
    ids = [str(office.deviation(office.order(f"O-{number}"))) for number in range(5)]
    first = api.get("/deviations", params={"limit": 2}).json()
    assert [d["id"] for d in first["items"]] == ids[:2:-1]
    office.deviation(office.order("O-new"))
    rest = pages(api, "/deviations", limit=2, cursor=first["pagination"]["next"])
    assert [[d["id"] for d in page] for page in rest] == [ids[2:0:-1], ids[:1]]
    assert [len(page) for page in pages(api, "/deviations", limit=3)] == [3, 3]


@pytest.mark.usefixtures("scored")
def test_a_deviation_is_shown_with_its_context(api: TestClient) -> None:
    [listed] = api.get("/deviations", params={"order_id": "O2"}).json()["items"]
    shown = api.get(f"/deviations/{listed['id']}").json()
    assert {name: shown[name] for name in listed} == listed
    assert shown["context"]["order"]["order_id"] == "O2"
    assert shown["created_at"].endswith("Z")
