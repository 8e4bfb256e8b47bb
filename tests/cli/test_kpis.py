"""`fulfillment kpis`: what it shows is what is read, and damaged rollups are mended."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from fulfillment_assets.kpis.dashboard import read_dashboard
from tests.cli.commands import Fulfillment
from tests.scoring.workplace import Workplace

pytestmark = pytest.mark.usefixtures("on_workplace")


@pytest.fixture
def orders(workplace: Workplace) -> Workplace:
    """A platform that has scored some orders."""
    workplace.score(workplace.simulated(600))
    return workplace


def last_event(orders: Workplace) -> str:
    moment = orders.value("SELECT max(event_time) FROM orders")
    return str(moment.isoformat())


def shown(fulfillment: Fulfillment, *options: str) -> Mapping[str, Any]:
    outcome = fulfillment("kpis", "show", *options, "--json")
    assert outcome.status == 0, outcome.err
    told: Mapping[str, Any] = json.loads(outcome.out)
    return told


def test_json_has_the_dashboard(orders: Workplace, fulfillment: Fulfillment) -> None:
    told = shown(fulfillment, "--window", "60d", "--until", last_event(orders))
    assert set(told) == {
        "start",
        "end",
        "by",
        "overall",
        "segments",
        "riskiest_segments",
        "daily",
        "hourly",
    }
    counted = orders.value("SELECT count(*) FROM orders WHERE order_status <> 'cancelled'")
    assert told["overall"]["orders"] == counted
    assert told["by"] is None
    assert {tuple(one["segment"]) for one in told["segments"]} == {
        ("warehouse_block",),
        ("mode_of_shipment",),
        ("product_importance",),
    }
    assert len(told["daily"]) == 61
    assert told["riskiest_segments"][0]["low"] > 0


def test_it_breaks_down_by_what_is_asked_for(orders: Workplace, fulfillment: Fulfillment) -> None:
    until = last_event(orders)
    told = shown(fulfillment, "--window", "60d", "--until", until, "--by", "mode,Warehouse_block")
    assert told["by"] == ["mode_of_shipment", "warehouse_block"]
    assert {tuple(one["segment"]) for one in told["segments"]} == {
        ("warehouse_block", "mode_of_shipment")
    }
    assert sum(one["orders"] for one in told["segments"]) == told["overall"]["orders"]


def test_it_counts_only_the_chosen_orders(orders: Workplace, fulfillment: Fulfillment) -> None:
    until = last_event(orders)
    chosen = ("--where", "warehouse=f", "--where", "mode=Road")
    told = shown(fulfillment, "--window", "60d", "--until", until, *chosen)
    counted = orders.value(
        "SELECT count(*) FROM orders WHERE order_status <> 'cancelled' "
        "AND warehouse_block = 'F' AND mode_of_shipment = 'Road'"
    )
    assert told["overall"]["orders"] == counted > 0


def test_a_window_of_hours(orders: Workplace, fulfillment: Fulfillment) -> None:
    until = last_event(orders)
    told = shown(fulfillment, "--window", "12h", "--until", until)
    counted = orders.value(
        "SELECT count(*) FROM orders WHERE order_status <> 'cancelled' AND event_time >= "
        "date_trunc('hour', CAST(:until AS timestamptz) - interval '12 hours')",
        until=until,
    )
    assert told["overall"]["orders"] == counted > 0


def test_people_get_tables(orders: Workplace, fulfillment: Fulfillment) -> None:
    until = last_event(orders)
    outcome = fulfillment("kpis", "show", "--window", "60d", "--until", until)
    assert outcome.status == 0
    with orders.engine.connect() as connection:
        moment = orders.value("SELECT max(event_time) FROM orders")
        found = read_dashboard(connection, until=moment)
    for text in (
        f"{found.overall.orders:,}",
        "By warehouse block",
        "By mode of shipment",
        "By product importance",
        "Riskiest segments of 30 orders and more",
        "outcomes known",
        " UTC",
    ):
        assert text in outcome.out
    assert outcome.err == ""


def test_without_any_order_there_are_no_rates(
    workplace: Workplace, fulfillment: Fulfillment
) -> None:
    assert workplace.value("SELECT count(*) FROM orders") == 0
    assert shown(fulfillment)["overall"]["on_time_rate"] is None
    outcome = fulfillment("kpis", "show")
    assert outcome.status == 0
    assert "By warehouse" not in outcome.out


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--window", "30"), "'30' is no length of time: write 30d for days"),
        (("--window", "0.5w"), "'0.5w' is no length of time"),
        (("--window", "9999999999999d"), "is too long: 3650d at most"),
        (("--until", "yesterday"), "'yesterday' is no moment: write an age such as 24h"),
        (("--by", "colour"), "unknown dimension 'colour': choose from warehouse_block"),
        (("--by", "mode,mode_of_shipment"), "'mode_of_shipment' is named twice"),
        (("--where", "mode=Rail"), "mode_of_shipment is one of Ship, Flight, Road, not 'Rail'"),
        (("--where", "Road"), "'Road' chooses nothing: write warehouse=A"),
    ],
)
def test_what_cannot_be_meant_is_explained(
    fulfillment: Fulfillment, options: tuple[str, str], told: str
) -> None:
    outcome = fulfillment("kpis", "show", *options)
    assert outcome.status in (1, 2)
    assert told in " ".join(outcome.err.replace("│", " ").split())
    assert outcome.out == ""


def test_a_rebuild_mends_damage_and_tells_how_much_there_was(
    workplace: Workplace, fulfillment: Fulfillment
) -> None:
    workplace.score(workplace.simulated(200))
    sound = workplace.rows("SELECT * FROM kpi_rollups ORDER BY 1, 2, 3, 4")
    workplace.execute("UPDATE kpi_rollups SET gap = gap + 1 WHERE ctid = '(0,1)'")
    outcome = fulfillment("kpis", "rebuild")
    assert outcome.status == 0
    assert outcome.out == f"{len(sound):,} rollup rows rebuilt; 2 had differed.\n"
    assert workplace.rows("SELECT * FROM kpi_rollups ORDER BY 1, 2, 3, 4") == sound
    assert "; 0 had differed." in fulfillment("kpis", "rebuild").out


def test_a_rebuild_mends_days_and_outcomes_too(
    workplace: Workplace, fulfillment: Fulfillment
) -> None:
    workplace.score(workplace.simulated(200))
    workplace.execute("UPDATE kpi_daily_rollups SET orders = orders + 1 WHERE ctid = '(0,1)'")
    workplace.execute(
        "INSERT INTO kpi_outcomes VALUES ('2026-03-01', 'A', 'Ship', 'low', 1, 1, 1, 1)"
    )
    assert "; 3 had differed." in fulfillment("kpis", "rebuild").out
    assert "; 0 had differed." in fulfillment("kpis", "rebuild").out
