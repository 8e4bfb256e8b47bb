"""What came true, counted by segment and by the day on which it became known."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from fulfillment_assets.kpis import outcomes
from tests.kpis.examples import DAY, NOW
from tests.kpis.known import know

TODAY = NOW.date()


def counted(engine: Engine) -> list[tuple[object, ...]]:
    with engine.connect() as connection:
        rows = connection.execute(
            sa.text(
                "SELECT day, warehouse_block, known, late, expected_late, probability_sum "
                "FROM kpi_outcomes WHERE known <> 0 ORDER BY day, warehouse_block"
            )
        )
        return [tuple(row) for row in rows]


@pytest.fixture
def known(engine: Engine) -> Engine:
    """A database with four outcomes of two days."""
    with engine.begin() as connection:
        know(connection, late=True, probability=0.9)
        know(connection, late=False, probability=0.5000004)
        know(connection, late=False, probability=0.4, block="F")
        know(connection, late=True, probability=0.6, known_at=NOW - DAY)
    return engine


def test_outcomes_are_counted_where_they_became_known(known: Engine) -> None:
    assert counted(known) == [
        (TODAY - DAY, "A", 1, 1, 1, Decimal("0.6")),
        (TODAY, "A", 2, 1, 2, Decimal("1.4")),
        (TODAY, "F", 1, 0, 0, Decimal("0.4")),
    ]


def test_days_are_those_of_utc(engine: Engine) -> None:
    nepal = dt.timezone(dt.timedelta(hours=5, minutes=45))
    with engine.begin() as connection:
        know(connection, late=True, known_at=dt.datetime(2024, 3, 10, 1, 10, tzinfo=nepal))
    assert counted(engine)[0][0] == dt.date(2024, 3, 9)


def test_a_rebuild_repairs_what_was_found_to_differ(known: Engine) -> None:
    right = counted(known)
    for damage in (
        "UPDATE kpi_outcomes SET late = late + 1",
        "UPDATE kpi_outcomes SET probability_sum = probability_sum - 0.000001",
        "UPDATE kpi_outcomes SET day = day + 7",
        "DELETE FROM kpi_outcomes WHERE warehouse_block = 'F'",
        "TRUNCATE kpi_outcomes",
    ):
        with known.begin() as connection:
            assert outcomes.differences(connection) == 0
            connection.execute(sa.text(damage))
            assert outcomes.differences(connection) > 0, damage
            assert outcomes.rebuild(connection) == 3
        assert counted(known) == right
