from __future__ import annotations

import uuid

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from sqlalchemy.engine import Engine

from fulfillment_assets.store.settings_table import write_setting
from tests.deviations.examples import announced, deviations, latest_prediction, rows, summary
from tests.kpis.examples import (
    CLOSED,
    DAY,
    HOUR,
    NOW,
    Batch,
    Event,
    NaivePlatform,
    commit,
    histories,
    wipe,
)

PENDING = "pending"


def set_least_severity(engine: Engine, severity: str) -> None:
    with engine.begin() as connection:
        write_setting(connection, "deviation_min_severity", severity, changed_by="test")


def test_orders_above_the_warning_threshold_are_at_risk(engine: Engine) -> None:
    commit(
        engine,
        *(
            Event(f"O{index}", probability)
            for index, probability in enumerate([0.2, 0.3, 0.4, 0.5, 0.500001, 0.7, 0.700001])
        ),
    )
    assert summary(engine) == [
        ("O4", "delay_risk", "warning", PENDING),
        ("O5", "delay_risk", "warning", PENDING),
        ("O6", "delay_risk", "critical", PENDING),
    ]


def test_a_shipped_order_that_is_not_expected_on_time_is_a_gap_as_well(engine: Engine) -> None:
    commit(
        engine,
        Event("O1", 0.9, order_status="shipped"),
        Event("O2", 0.5, order_status="shipped"),
    )
    assert summary(engine) == [
        ("O1", "delay_risk", "critical", PENDING),
        ("O1", "fulfillment_gap", "critical", PENDING),
    ]


def test_an_order_that_is_not_shipped_is_no_gap(engine: Engine) -> None:
    statuses = (None, "processing", "delayed")
    commit(engine, *(Event(f"O{s}", 0.9, order_status=s) for s in statuses))
    assert [kind for _, kind, _, _ in summary(engine)] == ["delay_risk"] * 3


def test_an_order_that_is_done_does_not_deviate(engine: Engine) -> None:
    commit(engine, *(Event(status, 0.9, order_status=status) for status in CLOSED))
    assert summary(engine) == []


def test_a_deviation_says_what_was_found_and_from_which_prediction(engine: Engine) -> None:
    job = uuid.uuid4()
    commit(engine, Event("O1", 0.876, order_status="shipped"), batch_job_id=job)
    risk, gap = deviations(engine)
    assert risk["reason"] == "The order is at risk of arriving late (delay probability 0.88)"
    assert gap["reason"] == (
        "The order is on its way and is not expected on time (delay probability 0.88)"
    )
    for deviation in (risk, gap):
        assert deviation["prediction_id"] == latest_prediction(engine, "O1")
        assert deviation["batch_job_id"] == job
        assert deviation["context"]["order"]["order_id"] == "O1"
        assert deviation["context"]["delay_probability"] == 0.876


def test_a_newer_prediction_updates_the_open_deviation(engine: Engine) -> None:
    job = uuid.uuid4()
    commit(engine, Event("O1", 0.9), batch_job_id=job)
    [before] = deviations(engine)
    commit(engine, Event("O1", 0.6, warehouse_block="F"), received_at=NOW + HOUR)
    [after] = deviations(engine)
    assert (after["id"], after["created_at"]) == (before["id"], before["created_at"])
    assert after["updated_at"] > before["updated_at"]
    assert after["severity"] == "warning"
    assert after["reason"].endswith("(delay probability 0.60)")
    assert after["context"]["order"]["warehouse_block"] == "F"
    assert after["prediction_id"] == latest_prediction(engine, "O1") != before["prediction_id"]
    assert after["batch_job_id"] == job


def test_a_deviation_is_resolved_once_the_order_is_expected_on_time(engine: Engine) -> None:
    commit(engine, Event("O1", 0.9))
    commit(engine, Event("O1", 0.5), received_at=NOW + HOUR)
    [deviation] = deviations(engine)
    assert (deviation["status"], deviation["severity"]) == ("resolved", "critical")
    assert deviation["reason"].endswith("; cleared: the order no longer meets the rule")


def test_deviations_are_resolved_once_the_order_is_done(engine: Engine) -> None:
    commit(engine, *(Event(status, 0.9, order_status="shipped") for status in CLOSED))
    assert len(deviations(engine)) == 2 * len(CLOSED)
    done = [Event(status, 0.9, order_status=status) for status in CLOSED]
    commit(engine, *done, received_at=NOW + HOUR)
    assert [status for _, _, _, status in summary(engine)] == ["resolved"] * 2 * len(CLOSED)


def test_each_kind_clears_by_itself(engine: Engine) -> None:
    commit(engine, Event("O1", 0.9, order_status="shipped"))
    commit(engine, Event("O1", 0.9, order_status="delayed"), received_at=NOW + HOUR)
    assert summary(engine) == [
        ("O1", "delay_risk", "critical", PENDING),
        ("O1", "fulfillment_gap", "critical", "resolved"),
    ]


def test_an_order_that_deviates_again_opens_a_new_deviation(engine: Engine) -> None:
    for step, probability in enumerate([0.9, 0.1, 0.8]):
        commit(engine, Event("O1", probability), received_at=NOW + step * HOUR)
    assert sorted(summary(engine)) == [
        ("O1", "delay_risk", "critical", PENDING),
        ("O1", "delay_risk", "critical", "resolved"),
    ]


def test_a_late_event_changes_no_deviation(engine: Engine) -> None:
    commit(engine, Event("O1", 0.9))
    before = deviations(engine)
    commit(engine, Event("O1", 0.1, at=NOW - DAY), received_at=NOW + HOUR)
    assert deviations(engine) == before


def test_of_two_events_in_one_batch_the_last_decides(engine: Engine) -> None:
    commit(engine, Event("O1", 0.9), Event("O1", 0.1), Event("O2", 0.1), Event("O2", 0.9))
    assert summary(engine) == [("O2", "delay_risk", "critical", PENDING)]


@pytest.mark.parametrize("status", ["agent_triggered", "awaiting_approval"])
def test_a_deviation_that_an_agent_works_on_stays_with_the_agent(
    engine: Engine, status: str
) -> None:
    commit(engine, Event("O1", 0.9))
    with engine.begin() as connection:
        for step in dict.fromkeys(["agent_triggered", status]):
            connection.execute(sa.text(f"UPDATE deviations SET status = '{step}'"))
    commit(engine, Event("O1", 0.8), received_at=NOW + HOUR)
    commit(engine, Event("O1", 0.1), received_at=NOW + 2 * HOUR)
    assert summary(engine) == [("O1", "delay_risk", "critical", status)]


def test_an_order_whose_deviation_was_closed_may_get_another(engine: Engine) -> None:
    closed = [Event(status, 0.9) for status in ("escalated", "failed")]
    commit(engine, *closed)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE deviations SET status = 'agent_triggered'"))
        connection.execute(sa.text("UPDATE deviations SET status = order_id"))
    commit(engine, *closed, received_at=NOW + HOUR)
    assert [(order_id, status) for order_id, _, _, status in summary(engine)] == [
        ("escalated", "escalated"),
        ("escalated", PENDING),
        ("failed", "failed"),
        ("failed", PENDING),
    ]


def test_the_least_severity_of_a_deviation_is_a_setting(engine: Engine) -> None:
    orders = [Event(f"O{p}", p) for p in (0.2, 0.4, 0.6, 0.8)]
    set_least_severity(engine, "info")
    commit(engine, *orders)
    assert [d[0] for d in summary(engine)] == ["O0.4", "O0.6", "O0.8"]
    set_least_severity(engine, "critical")
    commit(engine, *orders, received_at=NOW + HOUR)
    assert [d[0] for d in summary(engine) if d[3] == PENDING] == ["O0.8"]


def test_an_order_expected_on_time_is_no_gap_whatever_the_least_severity(engine: Engine) -> None:
    set_least_severity(engine, "info")
    commit(engine, Event("O1", 0.4, order_status="shipped"))
    assert summary(engine) == [("O1", "delay_risk", "info", PENDING)]
    assert rows(engine, "SELECT sum(gap) AS gap FROM kpi_rollups") == [{"gap": 0}]


def test_no_history_of_events_leaves_other_deviations_than_the_last_states_call_for(
    engine: Engine,
) -> None:
    @settings(max_examples=30, deadline=None)
    @given(histories())
    def holds(history: list[Batch]) -> None:
        wipe(engine)
        naive = NaivePlatform()
        for batch in history:
            commit(engine, *batch.events, received_at=batch.received_at)
            naive.take(batch)
            pending = [found for found in summary(engine) if found[3] == PENDING]
            assert {(order_id, kind): grade for order_id, kind, grade, _ in pending} == naive.open
            assert len(pending) == len(naive.open)
            assert announced(engine) == naive.announced

    holds()
