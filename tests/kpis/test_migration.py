"""What the upgrade that brought days and squares makes of rollups and outcomes from before."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from fulfillment_assets.kpis import outcomes, rollups
from fulfillment_assets.scoring.retention import apply_retention
from fulfillment_assets.store import migrate
from tests.kpis.examples import DAY, HOUR, NOW, Event, commit, daily_rollups_of, rollups_of
from tests.kpis.known import know

BEFORE = "0003"


def test_rollups_and_outcomes_of_before_are_counted_after(
    engine: Engine, database_url: str
) -> None:
    commit(engine, Event("dropped"), received_at=NOW - 20 * DAY)
    commit(
        engine,
        Event("O1", 0.9, order_status="shipped"),
        Event("O2", 0.123456, at=NOW - DAY, warehouse_block="F"),
        Event("O3", order_status="cancelled"),
        Event("late", at=NOW - 20 * DAY),
    )
    commit(engine, Event("O1", 0.8, order_status="shipped"), received_at=NOW + HOUR)
    apply_retention(engine, 10, today=NOW.date())
    with engine.begin() as connection:
        know(connection, late=True)
        know(connection, late=False, known_at=NOW - DAY, block="F")
        before = rollups_of(connection), daily_rollups_of(connection)
    migrate.downgrade(database_url, BEFORE)
    with engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT sum(orders) FROM kpi_rollups")) == 2
    migrate.upgrade(database_url)
    with engine.connect() as connection:
        assert (rollups_of(connection), daily_rollups_of(connection)) == before
        assert rollups.differences(connection) == outcomes.differences(connection) == 0
