"""Deviations survive the way to the schema before segments had any, and back."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from fulfillment_assets.store import migrate
from tests.deviations.examples import rows
from tests.deviations.traffic import (
    HOUR,
    MINUTE,
    NOON,
    add,
    segment_deviations,
    usual_week,
    watch,
)
from tests.kpis.examples import Event, commit


def test_deviations_of_segments_go_down_and_up_again(engine: Engine, database_url: str) -> None:
    commit(engine, Event("O1", 0.9))
    usual_week(engine, hours=48)
    for number, key in enumerate(("F/Road/*", "A/*/*")):
        add(engine, NOON + number * HOUR, 400, {key: 0.8})
        watch(engine, NOON + number * HOUR + 59 * MINUTE)
    with engine.begin() as connection:
        connection.execute(
            sa.text("UPDATE deviations SET status = 'resolved' WHERE segment_key = 'F/Road/*'")
        )
        for status in ("agent_triggered", "awaiting_approval"):
            connection.execute(
                sa.text("UPDATE deviations SET status = :status WHERE order_id = 'O1'"),
                {"status": status},
            )
    before = segment_deviations(engine)
    assert {key for _, key, _, _ in before} == {"F/Road/*", "A/*/*"}
    engine.dispose()
    migrate.downgrade(database_url, "0004")
    statuses = rows(engine, "SELECT status FROM deviations WHERE order_id = 'O1'")
    assert statuses == [{"status": "agent_triggered"}]
    migrate.upgrade(database_url)
    assert segment_deviations(engine) == before
    ended = rows(engine, "SELECT ended_at IS NOT NULL AS over FROM deviations ORDER BY id")
    assert [row["over"] for row in ended] == [False, True, False]
