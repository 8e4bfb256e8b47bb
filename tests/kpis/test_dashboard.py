"""The dashboard tells in one statement what its parts tell one by one."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from pydantic import TypeAdapter
from sqlalchemy.engine import Connection, Engine

from fulfillment_assets.kpis.cells import COMBINATIONS
from fulfillment_assets.kpis.dashboard import RECENT_HOURS, Dashboard, read_dashboard
from fulfillment_assets.kpis.ranking import riskiest_segments
from fulfillment_assets.kpis.reads import read_kpis
from fulfillment_assets.kpis.series import read_series
from tests.kpis.examples import DAY, HOUR, NOW, Event, commit
from tests.kpis.known import know

WINDOW = 5 * DAY


def some_orders() -> Iterator[Event]:
    chance = random.Random(3)
    for number in range(400):
        yield Event(
            f"O{number}",
            round(chance.uniform(0.001, 0.999), 6),
            at=NOW - chance.randrange(7 * 24) * HOUR,
            order_status=chance.choice(["processing", "shipped", "delivered", "cancelled"]),
            warehouse_block=chance.choice("ABF"),
            mode_of_shipment=chance.choice(["Ship", "Road"]),
            product_importance=chance.choice(["low", "high"]),
        )


@pytest.fixture
def filled(engine: Engine) -> Engine:
    """A database with orders and outcomes of a week."""
    commit(engine, *some_orders())
    chance = random.Random(4)
    with engine.begin() as connection:
        for number in range(60):
            know(
                connection,
                late=chance.random() < 0.5,
                probability=chance.random(),
                known_at=NOW - number * 3 * HOUR,
                block=chance.choice("ABF"),
                mode=chance.choice(["Ship", "Road"]),
            )
    return engine


def read(connection: Connection, **where: str) -> Dashboard:
    return read_dashboard(connection, window=WINDOW, until=NOW, where=where)


@pytest.mark.parametrize("where", [{}, {"warehouse": "F"}, {"mode": "Road", "importance": "high"}])
def test_each_part_is_what_it_is_alone(filled: Engine, where: dict[str, str]) -> None:
    chosen: dict[str, Any] = {"window": WINDOW, "until": NOW, "where": where}
    with filled.connect() as connection:
        found = read(connection, **where)
        assert [found.overall] == read_kpis(connection, **chosen)
        assert set(found.segments) == {",".join(by) for by in COMBINATIONS if by}
        for by in COMBINATIONS:
            assert found.by(*by) == read_kpis(connection, by=by, **chosen)
        assert found.riskiest == riskiest_segments(connection, **chosen)
        assert found.daily == read_series(connection, "day", **chosen)
        recent = chosen | {"window": (RECENT_HOURS - 1) * HOUR}
        assert found.hourly == read_series(connection, "hour", **recent)
    assert 0 < found.overall.orders < 400


def test_it_is_one_statement(filled: Engine) -> None:
    statements = []
    with filled.connect() as connection:
        sa.event.listen(connection, "before_cursor_execute", lambda *a: statements.append(a[2]))
        read(connection)
    assert len(statements) == 1


def test_parts_add_up(filled: Engine) -> None:
    with filled.connect() as connection:
        found = read(connection)
    for name in ("orders", "gaps", "high_risk", "known", "late"):
        total = getattr(found.overall, name)
        for segments in found.segments.values():
            assert sum(getattr(kpis, name) for kpis in segments) == total
    assert sum(point.orders for point in found.daily) == found.overall.orders
    assert sum(point.known or 0 for point in found.daily) == found.overall.known


def test_what_came_true_stands_beside_what_was_predicted(engine: Engine) -> None:
    with engine.begin() as connection:
        for late, probability in ((True, 0.9), (True, 0.4), (False, 0.2), (False, 0.6)):
            know(connection, late=late, probability=probability)
        know(connection, late=False, probability=0.1, known_at=NOW - 6 * DAY)
        know(connection, late=True, probability=0.1, block="B")
        found = read(connection)
    assert (found.overall.orders, found.overall.known, found.overall.late) == (0, 5, 3)
    [a] = [kpis for kpis in found.by("warehouse") if kpis.segment["warehouse_block"] == "A"]
    assert (a.known, a.late, a.actual_on_time_rate, a.predicted_on_time_rate) == (4, 2, 0.5, 0.5)
    assert a.expected_on_time_rate == pytest.approx(1 - (0.9 + 0.4 + 0.2 + 0.6) / 4)
    assert a.mean_probability is None


def test_an_empty_database_has_a_dashboard(engine: Engine) -> None:
    with engine.connect() as connection:
        found = read_dashboard(connection, until=NOW)
    assert found.overall.orders == 0
    assert not any(found.segments.values())
    assert found.riskiest == []
    assert (len(found.daily), len(found.hourly)) == (31, RECENT_HOURS)


def test_it_is_plain_json(filled: Engine) -> None:
    with filled.connect() as connection:
        found = read(connection)
    told = json.loads(TypeAdapter(Dashboard).dump_json(found))
    assert told["end"] == "2024-03-10T13:00:00Z"
    assert told["overall"]["orders"] == found.overall.orders
    assert len(told["segments"]["warehouse_block,mode_of_shipment"]) == 6


def test_dimensions_in_any_order_and_for_short(filled: Engine) -> None:
    with filled.connect() as connection:
        found = read(connection)
    assert found.by("mode", "warehouse") == found.segments["warehouse_block,mode_of_shipment"]
    with pytest.raises(ValueError, match="unknown dimension 'colour'"):
        found.by("colour")
