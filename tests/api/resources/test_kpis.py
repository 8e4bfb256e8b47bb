"""KPIs through the API."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.engine import Engine

from tests.api.examples import THEN
from tests.kpis.examples import Event, commit


@pytest.mark.usefixtures("scored")
def test_the_dashboard_counts_each_order_once(api: TestClient) -> None:
    found = api.get("/kpi/dashboard").json()
    assert found["overall"]["orders"] == 3
    assert found["overall"]["high_risk"] == 1
    assert found["overall"]["gaps"] == 1
    assert found["start"].endswith("Z")
    blocks = {s["segment"]["warehouse_block"]: s for s in found["segments"]["warehouse_block"]}
    assert (blocks["F"]["orders"], blocks["A"]["orders"]) == (1, 2)
    assert len(found["hourly"]) == 48


@pytest.mark.usefixtures("scored")
def test_the_dashboard_is_of_the_segment_that_was_asked_for(api: TestClient) -> None:
    found = api.get("/kpi/dashboard", params={"warehouse": "F", "days": 3}).json()
    assert found["overall"]["orders"] == 1


def test_the_dashboard_is_a_second_old_at_most(
    engine: Engine, api: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = api.app.state.services  # type: ignore[attr-defined]
    now = 0.0
    monkeypatch.setattr(services.dashboards, "_clock", lambda: now)
    assert api.get("/kpi/dashboard").json()["overall"]["orders"] == 0
    commit(engine, Event("O1", 0.9, at=THEN), received_at=THEN)
    assert api.get("/kpi/dashboard").json()["overall"]["orders"] == 0
    now = 1.1
    assert api.get("/kpi/dashboard").json()["overall"]["orders"] == 1


@pytest.mark.usefixtures("scored")
def test_segments_come_riskiest_first(api: TestClient) -> None:
    found = api.get("/kpi/segments", params={"by": ["warehouse", "mode"]}).json()
    assert found["by"] == ["warehouse_block", "mode_of_shipment"]
    assert [s["segment"] for s in found["segments"]] == [
        {"warehouse_block": "F", "mode_of_shipment": "Ship"},
        {"warehouse_block": "A", "mode_of_shipment": "Ship"},
        {"warehouse_block": "A", "mode_of_shipment": "Road"},
    ]
    assert len(api.get("/kpi/segments").json()["by"]) == 3


@pytest.mark.usefixtures("scored")
@pytest.mark.parametrize(("grain", "points"), [("day", 3), ("hour", 49)])
def test_a_series_has_a_point_for_each_hour_or_day(
    api: TestClient, grain: str, points: int
) -> None:
    found = api.get("/kpi/timeseries", params={"grain": grain, "days": 2}).json()
    assert found["grain"] == grain
    assert len(found["points"]) == points
    assert sum(point["orders"] for point in found["points"]) == 3
