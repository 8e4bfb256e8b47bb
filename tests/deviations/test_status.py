"""The status machine: the database lets a deviation move as the table says, and not otherwise."""

from __future__ import annotations

import uuid
from itertools import permutations

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from fulfillment_assets.deviations.status import MOVES, OPEN_STATUSES, STATUSES

WAYS = {
    "pending": (),
    "agent_triggered": ("agent_triggered",),
    "awaiting_approval": ("agent_triggered", "awaiting_approval"),
    "resolved": ("resolved",),
    "escalated": ("agent_triggered", "escalated"),
    "failed": ("agent_triggered", "failed"),
}
"""How a new deviation comes to each status."""

INSERT = sa.text(
    "INSERT INTO deviations (kind, order_id, prediction_id, severity, reason, context, status) "
    "VALUES ('delay_risk', :order_id, uuidv7(), 'warning', 'r', '{}', :status) RETURNING id"
)


def opened(connection: Connection, status: str = "pending", order_id: str = "O1") -> uuid.UUID:
    found: uuid.UUID = connection.execute(
        INSERT, {"status": status, "order_id": order_id}
    ).scalar_one()
    return found


def move(connection: Connection, deviation: uuid.UUID, status: str) -> None:
    connection.execute(
        sa.text("UPDATE deviations SET status = :status WHERE id = :id"),
        {"status": status, "id": deviation},
    )


def test_every_status_has_its_moves_and_a_way_to_it() -> None:
    assert set(MOVES) == set(STATUSES) == set(WAYS)
    assert set(OPEN_STATUSES) == {"pending", "agent_triggered", "awaiting_approval"}


def test_the_database_allows_the_moves_of_the_table_and_no_other(engine: Engine) -> None:
    allowed = set()
    for start, end in permutations(STATUSES, 2):
        with engine.connect() as connection:
            deviation = opened(connection)
            for status in WAYS[start]:
                move(connection, deviation, status)
            try:
                move(connection, deviation, end)
                allowed.add((start, end))
            except sa.exc.IntegrityError as error:
                message = f"deviation {deviation} is {start}: it cannot become {end}\n"
                assert str(error.orig).startswith(message)
    assert allowed == {(start, end) for start, ends in MOVES.items() for end in ends}


@pytest.mark.parametrize("status", STATUSES)
def test_a_status_may_be_written_again(engine: Engine, status: str) -> None:
    with engine.connect() as connection:
        deviation = opened(connection)
        for step in (*WAYS[status], status):
            move(connection, deviation, step)
        assert connection.scalar(sa.text("SELECT status FROM deviations")) == status


@pytest.mark.parametrize("status", [status for status in STATUSES if status != "pending"])
def test_a_new_deviation_is_pending(engine: Engine, status: str) -> None:
    with (
        pytest.raises(sa.exc.IntegrityError, match=f"a new deviation is pending, not {status}"),
        engine.begin() as connection,
    ):
        opened(connection, status)


def test_a_status_that_there_is_not_is_refused(engine: Engine) -> None:
    with pytest.raises(sa.exc.IntegrityError), engine.begin() as connection:
        move(connection, opened(connection), "done")


def test_updated_at_moves_with_each_change_even_within_a_transaction(engine: Engine) -> None:
    with engine.begin() as connection:
        deviation = opened(connection)
        moments = [connection.scalar(sa.text("SELECT updated_at FROM deviations"))]
        for status in ("agent_triggered", "awaiting_approval", "resolved"):
            move(connection, deviation, status)
            moments.append(connection.scalar(sa.text("SELECT updated_at FROM deviations")))
    assert moments == sorted(set(moments))


@pytest.mark.parametrize("status", OPEN_STATUSES)
def test_an_order_has_one_open_deviation_of_a_kind(engine: Engine, status: str) -> None:
    with engine.connect() as connection:
        deviation = opened(connection)
        for step in WAYS[status]:
            move(connection, deviation, step)
        with pytest.raises(sa.exc.IntegrityError, match="deviations_open_order"):
            opened(connection)


def test_a_segment_deviation_has_its_segment_and_an_order_deviation_has_none(
    engine: Engine,
) -> None:
    for kind, key in (("segment_risk", None), ("delay_risk", "'F/*/*'")):
        statement = sa.text(
            "INSERT INTO deviations (kind, order_id, prediction_id, severity, reason, context, "
            f"segment_key) VALUES ('{kind}', 'O1', uuidv7(), 'info', 'r', '{{}}', {key or 'NULL'})"
        )
        with (
            pytest.raises(sa.exc.IntegrityError, match="deviations_segment_check"),
            engine.begin() as connection,
        ):
            connection.execute(statement)
