from __future__ import annotations

import uuid

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from fulfillment_assets.deviations.reads import deviation_counts, gravest_open
from tests.kpis.examples import HOUR, NOW, Event, commit

FIRST, SECOND = uuid.uuid4(), uuid.uuid4()


@pytest.fixture
def two_batches(engine: Engine) -> Engine:
    """A first batch of three orders, of which a second one updates one and adds one."""
    commit(
        engine,
        Event("O1", 0.9, order_status="shipped"),
        Event("O2", 0.6),
        Event("O3", 0.8),
        batch_job_id=FIRST,
    )
    commit(engine, Event("O2", 0.9), Event("O4", 0.55), received_at=NOW + HOUR, batch_job_id=SECOND)
    return engine


def test_a_database_without_orders_has_no_deviations(engine: Engine) -> None:
    with engine.connect() as connection:
        assert deviation_counts(connection) == {}
        assert gravest_open(connection) == []


def test_deviations_are_counted_by_kind_and_severity(two_batches: Engine) -> None:
    with two_batches.connect() as connection:
        assert deviation_counts(connection) == {
            "delay_risk": {"critical": 3, "warning": 1},
            "fulfillment_gap": {"critical": 1},
        }


def test_a_batch_has_the_deviations_that_it_touched_last(two_batches: Engine) -> None:
    with two_batches.connect() as connection:
        assert deviation_counts(connection, SECOND) == {"delay_risk": {"critical": 1, "warning": 1}}
        assert deviation_counts(connection, FIRST)["delay_risk"] == {"critical": 2}
        assert deviation_counts(connection, uuid.uuid4()) == {}


def test_the_gravest_come_first_and_of_those_the_newest(two_batches: Engine) -> None:
    with two_batches.connect() as connection:
        found = gravest_open(connection)
    assert [deviation.severity for deviation in found] == ["critical"] * 4 + ["warning"]
    graver = [deviation.id for deviation in found[:4]]
    assert graver == sorted(graver, reverse=True)
    assert found[4].order_id == "O4"


def test_no_more_are_read_than_asked_for(two_batches: Engine) -> None:
    with two_batches.connect() as connection:
        assert len(gravest_open(connection, limit=2)) == 2
        assert [d.order_id for d in gravest_open(connection, SECOND, limit=1)] == ["O2"]


def test_only_open_deviations_are_listed(two_batches: Engine) -> None:
    with two_batches.begin() as connection:
        for order_id, status in (("O1", "resolved"), ("O2", "agent_triggered"), ("O3", "failed")):
            connection.execute(
                sa.text("UPDATE deviations SET status = :status WHERE order_id = :order_id"),
                {"status": status, "order_id": order_id},
            )
    with two_batches.connect() as connection:
        assert [d.order_id for d in gravest_open(connection)] == ["O2", "O4"]
