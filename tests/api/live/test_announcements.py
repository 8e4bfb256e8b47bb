"""What the triggers write, whoever makes the change."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from tests.agents.examples import Office
from tests.api.conftest import scored
from tests.api.live.listening import deviate, new_batch

__all__ = ["scored"]


def announced(engine: Engine) -> list[dict[str, Any]]:
    """The payloads so far, which are forgotten then."""
    with engine.begin() as connection:
        rows = connection.execute(sa.text("DELETE FROM live_events RETURNING id, payload")).all()
    return [row.payload for row in sorted(rows, key=lambda row: int(row.id))]


def execute(engine: Engine, statement: str, **values: Any) -> None:
    with engine.begin() as connection:
        connection.execute(sa.text(statement), values)


def many(connection: Connection, count: int, severity: str) -> None:
    deviate(connection, *(f"{severity}-{n}" for n in range(count)), severity=severity)


def test_fifty_rows_are_events_of_their_own_and_more_are_counted_in_one(engine: Engine) -> None:
    with engine.begin() as connection:
        many(connection, 50, "critical")
    assert [one["count"] for one in announced(engine)] == [1] * 50
    with engine.begin() as connection:
        many(connection, 51, "info")
    grades = {"kind": "delay_risk", "severity": "info", "status": "pending", "count": 51}
    expected: dict[str, Any] = {
        "subject": "deviation",
        "action": "created",
        "count": 51,
        "by": [grades],
    }
    assert announced(engine) == [expected]
    execute(
        engine,
        "UPDATE deviations SET severity = CASE WHEN order_id LIKE '%1' THEN 'warning' "
        "ELSE 'critical' END WHERE severity = 'info'",
    )
    [summary] = announced(engine)
    assert [(one["severity"], one["count"]) for one in summary["by"]] == [
        ("critical", 46),
        ("warning", 5),
    ]


def test_a_deviation_changes_when_its_severity_or_status_does(engine: Engine) -> None:
    with engine.begin() as connection:
        many(connection, 60, "warning")
    announced(engine)
    execute(engine, "UPDATE deviations SET claimed_by = 'w', claimed_until = now()")
    execute(engine, "UPDATE deviations SET status = status, reason = 'other'")
    assert announced(engine) == []
    execute(
        engine,
        "UPDATE deviations SET reason = repeat('x', 500), "
        "status = CASE order_id WHEN 'warning-7' THEN 'resolved' ELSE status END",
    )
    [one] = announced(engine)
    assert (one["order_id"], one["status"], one["action"]) == ("warning-7", "resolved", "updated")
    assert one["reason"] == "x" * 200


def test_a_change_that_is_taken_back_is_no_event(engine: Engine) -> None:
    with engine.connect() as connection:
        deviate(connection, "O1")
        connection.rollback()
        deviate(connection, "O2")
        with connection.begin_nested() as savepoint:
            deviate(connection, "O3")
            savepoint.rollback()
        connection.commit()
    assert [one["order_id"] for one in announced(engine)] == ["O2"]


def test_a_batch_job_tells_how_far_it_is(engine: Engine) -> None:
    with engine.begin() as connection:
        job = new_batch(connection)
    for change in (
        "status = 'processing', started_at = now()",
        "rows_done = 10, bytes_done = 250",
        "run_id = 'r'",
        "rows_done = 40, bytes_done = 1000, row_count = 40, accepted_count = 38, "
        "rejected_count = 2, status = 'completed'",
    ):
        execute(engine, f"UPDATE batch_jobs SET {change} WHERE id = :id", id=job)
    told = announced(engine)
    assert [(one["status"], one["rows_done"], one["progress"]) for one in told] == [
        ("pending", 0, 0),
        ("processing", 0, 0),
        ("processing", 10, 0.25),
        ("completed", 40, 1),
    ]
    assert {one["id"] for one in told} == {str(job)}
    assert (told[-1]["accepted_count"], told[-1]["rejected_count"]) == (38, 2)


def test_scored_orders_are_announced_as_they_deviate(scored: Engine) -> None:
    told = announced(scored)
    assert sorted((one["order_id"], one["kind"]) for one in told) == [
        ("O1", "delay_risk"),
        ("O1", "fulfillment_gap"),
        ("O2", "delay_risk"),
    ]


def test_the_steps_of_agents_are_announced_with_their_order(office: Office) -> None:
    office.order("O-1")
    engine = office.engine
    with engine.begin() as connection:
        deviate(connection, "O-1", severity="critical")
    announced(engine)
    one = "SELECT id FROM deviations"
    execute(
        engine,
        "INSERT INTO agent_responses (deviation_id, agent_type, action, details_json, "
        f"conversation_history, model, usage) SELECT id, 'shipment', 'rerouted', '{{}}', '[]', "
        f"'m', '{{}}' FROM ({one}) AS d",
    )
    execute(
        engine,
        "INSERT INTO tool_actions (idempotency_key, deviation_id, order_id, agent_type, tool, "
        f"arguments, result) SELECT 'k', id, 'O-1', 'payment', 'issue_refund', '{{}}', '{{}}' "
        f"FROM ({one}) AS d",
    )
    execute(
        engine,
        "INSERT INTO agent_approvals (deviation_id, agent_type, tool, arguments, reason, "
        "expires_at) SELECT id, 'payment', 'issue_refund', '{}', 'much', now() "
        f"FROM ({one}) AS d",
    )
    execute(
        engine,
        "UPDATE agent_approvals SET status = 'approved', decided_by = 'ada', decided_at = now()",
    )
    told = announced(engine)
    assert [(step["subject"], step["action"], step["step"]) for step in told] == [
        ("response", "created", "rerouted"),
        ("tool_action", "created", "issue_refund"),
        ("approval", "created", "issue_refund"),
        ("approval", "updated", "issue_refund"),
    ]
    assert [step.get("status") for step in told[2:]] == ["pending", "approved"]
    assert {step["order_id"] for step in told} == {"O-1"}
    assert "ada" not in str(told)
