"""Claims: each deviation has one worker at a time, and none is forgotten."""

from __future__ import annotations

import datetime as dt
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from fulfillment_assets.agents import claims
from fulfillment_assets.agents.claims import ClaimError
from fulfillment_assets.agents.requests import ask

OVER = dt.timedelta(seconds=-1)


def opened(engine: Engine, count: int, severity: str = "critical") -> list[uuid.UUID]:
    """New deviations of as many orders, the oldest first."""
    with engine.begin() as connection:
        return [
            connection.execute(
                sa.text(
                    "INSERT INTO deviations (order_id, prediction_id, kind, severity, reason, "
                    "context) VALUES (:order, uuidv7(), 'delay_risk', :severity, 'late', '{}') "
                    "RETURNING id"
                ),
                {"order": f"{severity}-{number}", "severity": severity},
            ).scalar_one()
            for number in range(count)
        ]


def status(engine: Engine, deviation_id: uuid.UUID) -> str:
    with engine.connect() as connection:
        return str(
            connection.scalar(
                sa.text("SELECT status FROM deviations WHERE id = :id"), {"id": deviation_id}
            )
        )


def claimed(engine: Engine, worker: str, limit: int = 50) -> list[uuid.UUID]:
    with engine.begin() as connection:
        return claims.claim(connection, worker, limit=limit)


def test_the_oldest_critical_ones_are_taken_first(engine: Engine) -> None:
    opened(engine, 1, "warning")
    made = opened(engine, 3)
    assert claimed(engine, "one", limit=2) == made[:2]
    assert claimed(engine, "two") == made[2:]
    assert claimed(engine, "three") == []
    with engine.connect() as connection:
        pending = (
            "SELECT count(*) FROM deviations WHERE status = 'pending' AND severity = 'critical'"
        )
        assert connection.scalar(sa.text(pending)) == 0
        assert claims.held(connection, "one") == made[:2]
        assert claims.attempts(connection, made) == dict.fromkeys(made, 1)


def test_what_a_person_asked_for_is_taken_before_the_others(engine: Engine) -> None:
    critical = opened(engine, 3)
    (note,) = opened(engine, 1, "info")
    (warning,) = opened(engine, 1, "warning")
    with engine.begin() as connection:
        ask(connection, warning, by="erin")
        ask(connection, note, by="erin")
    assert claimed(engine, "one", limit=1) == [warning]
    assert claimed(engine, "two", limit=2) == sorted([note, critical[0]])
    with engine.connect() as connection:
        assert claims.held(connection, "two") == [note, critical[0]]
    assert claimed(engine, "three") == critical[1:]


def test_workers_that_claim_at_once_take_different_ones(engine: Engine) -> None:
    made = opened(engine, 40)
    with ThreadPoolExecutor(5) as threads:
        taken = list(threads.map(lambda name: claimed(engine, f"w{name}", 10), range(5)))
    everything = [one for group in taken for one in group]
    assert sorted(everything) == made
    assert len(set(everything)) == len(made)


def test_a_claim_that_is_not_committed_was_none(engine: Engine) -> None:
    made = opened(engine, 1)
    with engine.connect() as connection:
        claims.claim(connection, "one")
        connection.rollback()
    assert claimed(engine, "two") == made


def test_what_a_dead_worker_had_goes_back_and_is_taken_again(engine: Engine) -> None:
    made = opened(engine, 2)
    with engine.begin() as connection:
        claims.claim(connection, "dead", lease=OVER)
    with engine.begin() as connection:
        assert claims.release_expired(connection) == 2
        assert claims.release_expired(connection) == 0
    assert claimed(engine, "alive") == made
    with engine.connect() as connection:
        assert claims.attempts(connection, made) == dict.fromkeys(made, 2)


def test_a_worker_that_renews_its_lease_keeps_it(engine: Engine) -> None:
    opened(engine, 1)
    with engine.begin() as connection:
        claims.claim(connection, "one", lease=OVER)
        assert claims.renew(connection, "one") == 1
        assert claims.release_expired(connection) == 0


def test_only_who_has_a_deviation_settles_it_and_once(engine: Engine) -> None:
    (made,) = opened(engine, 1)
    claimed(engine, "one")
    with engine.begin() as connection, pytest.raises(ClaimError, match="two has lost its lease"):
        claims.settle(connection, made, "two", "resolved")
    with engine.begin() as connection:
        claims.settle(connection, made, "one", "resolved")
    assert status(engine, made) == "resolved"
    with engine.begin() as connection, pytest.raises(ClaimError):
        claims.settle(connection, made, "one", "escalated")


def test_a_person_may_have_any_pending_one_worked_on(engine: Engine) -> None:
    (made,) = opened(engine, 1, "warning")
    with engine.begin() as connection:
        claims.claim_one(connection, made, "me")
    assert status(engine, made) == "agent_triggered"
    with engine.begin() as connection, pytest.raises(ClaimError, match="is agent_triggered"):
        claims.claim_one(connection, made, "you")
    with engine.begin() as connection, pytest.raises(ClaimError, match="there is no deviation"):
        claims.claim_one(connection, uuid.uuid4(), "you")
