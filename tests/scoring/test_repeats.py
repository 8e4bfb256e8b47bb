"""The same content again, and the same orders again: everything counts once, the latest wins."""

from __future__ import annotations

from typing import Any

import pytest

from tests.orders.examples import csv_text, order_row
from tests.scoring.workplace import LATE, OPEN, Workplace, files_below

SHIPPED = OPEN | LATE | {"order_id": "O1", "order_status": "shipped"}
DELIVERED = {"order_id": "O1", "order_status": "delivered"}
"""The same order, three days later: its delivery is a later event."""


def the_order(workplace: Workplace) -> dict[str, Any]:
    (order,) = workplace.rows("SELECT * FROM orders WHERE order_id = 'O1'")
    return order


def open_deviations(workplace: Workplace) -> list[tuple[str, str]]:
    rows = workplace.rows(
        "SELECT kind, severity FROM deviations WHERE status = 'pending' ORDER BY kind"
    )
    return [(row["kind"], row["severity"]) for row in rows]


def test_content_that_was_scored_is_recognised_under_any_name(workplace: Workplace) -> None:
    path = workplace.simulated(100)
    first = workplace.score(path)
    before = workplace.counts()
    for name in ("orders.csv", "the same.csv"):
        again = workplace.claim(workplace.file(path.read_bytes(), name))
        assert (again.id, again.status) == (first.job.id, "completed")
    assert workplace.counts() == before
    assert workplace.value("SELECT count(*) FROM batch_jobs") == 1


def test_content_is_scored_again_on_request_and_its_orders_still_count_once(
    workplace: Workplace,
) -> None:
    path = workplace.simulated(100)
    first = workplace.score(path)
    counted = workplace.counted_orders()
    deviations = workplace.counts()["deviations"]
    second = workplace.score(path, again=True)
    assert second.job.id != first.job.id
    assert (second.job.submission, second.predictions) == (2, 100)
    counts = workplace.counts()
    assert (counts["predictions"], counts["orders"]) == (200, 100)
    assert workplace.counted_orders() == counted
    assert counts["deviations"] == counts["outbox"] == deviations
    assert workplace.rollup_differences() == 0
    latest = workplace.rows(
        "SELECT DISTINCT batch_job_id FROM predictions p "
        "JOIN orders o ON o.prediction_id = p.id AND o.prediction_created_at = p.created_at"
    )
    assert latest == [{"batch_job_id": second.job.id}]
    assert len(files_below(workplace.settings.processed)) == 2, "neither file was overwritten"


def test_asking_again_for_content_that_was_never_scored_scores_it_once(
    workplace: Workplace,
) -> None:
    result = workplace.score(workplace.simulated(10), again=True)
    assert (result.job.submission, result.predictions) == (1, 10)


def test_the_latest_event_of_an_order_wins_across_files(workplace: Workplace) -> None:
    workplace.score(workplace.orders(SHIPPED))
    assert the_order(workplace)["order_status"] == "shipped"
    assert open_deviations(workplace) == [
        ("delay_risk", "critical"),
        ("fulfillment_gap", "critical"),
    ]
    workplace.score(workplace.orders(DELIVERED))
    assert the_order(workplace)["order_status"] == "delivered"
    assert open_deviations(workplace) == []
    assert workplace.counted_orders() == 1
    assert workplace.rollup_differences() == 0


def test_an_older_event_does_not_override_a_newer_one(workplace: Workplace) -> None:
    workplace.score(workplace.orders(DELIVERED))
    newest = the_order(workplace)
    rollups = workplace.rows("SELECT * FROM kpi_rollups")
    result = workplace.score(workplace.orders(SHIPPED))
    assert result.predictions == 1, "what was received is predicted and kept"
    assert the_order(workplace) == newest
    assert workplace.rows("SELECT * FROM kpi_rollups") == rollups
    assert open_deviations(workplace) == []
    assert workplace.rollup_differences() == 0


def test_of_one_event_received_twice_the_later_receipt_wins(workplace: Workplace) -> None:
    workplace.score(workplace.orders(SHIPPED | {"carrier_name": "First"}))
    workplace.score(workplace.orders(SHIPPED | {"carrier_name": "Second"}))
    assert the_order(workplace)["carrier_name"] == "Second"
    assert workplace.counted_orders() == 1
    assert workplace.rollup_differences() == 0


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 2, 0]], ids=str)
def test_the_same_orders_in_several_files_count_once_in_whatever_order_they_come(
    order: list[int], workplace: Workplace
) -> None:
    shared = {f"S{number}" for number in range(20)}
    files = [
        [
            order_row(
                order_id=name,
                ship_date=f"2026-03-0{day}T10:00:00Z",
                delivery_date="",
                warehouse_block=block,
                **LATE,
            )
            for name in (*sorted(shared), f"only in {block}")
        ]
        for day, block in ((2, "A"), (3, "B"), (4, "C"))
    ]
    for index in order:
        workplace.score(workplace.file(csv_text(files[index]), f"{index}.csv"))
    counts = workplace.counts()
    assert (counts["predictions"], counts["orders"]) == (63, 23)
    assert workplace.rows(
        "SELECT warehouse_block, sum(orders)::int AS orders FROM kpi_rollups "
        "WHERE orders <> 0 GROUP BY 1 ORDER BY 1"
    ) == [
        {"warehouse_block": "A", "orders": 1},
        {"warehouse_block": "B", "orders": 1},
        {"warehouse_block": "C", "orders": 21},
    ]
    assert workplace.rollup_differences() == 0


def test_of_one_order_twice_in_a_file_the_later_event_wins_wherever_it_stands(
    workplace: Workplace,
) -> None:
    workplace.score(workplace.orders(DELIVERED, SHIPPED))
    assert the_order(workplace)["order_status"] == "delivered"
    assert workplace.counts()["predictions"] == 2
    assert workplace.counted_orders() == 1
    assert open_deviations(workplace) == []
    assert workplace.rollup_differences() == 0


def test_of_one_event_twice_in_a_file_the_later_row_wins(workplace: Workplace) -> None:
    rows = [SHIPPED | {"carrier_name": name} for name in ("First", "Second", "Third")]
    workplace.score(workplace.orders(*rows))
    assert the_order(workplace)["carrier_name"] == "Third"
    assert workplace.counted_orders() == 1
    assert len(open_deviations(workplace)) == workplace.counts()["outbox"] == 2
    assert workplace.rollup_differences() == 0


def test_a_cancelled_order_leaves_the_kpis_and_a_revived_one_returns(workplace: Workplace) -> None:
    workplace.score(workplace.orders(SHIPPED))
    workplace.score(workplace.orders(SHIPPED | {"order_status": "cancelled"}))
    assert workplace.counted_orders() == 0
    assert open_deviations(workplace) == []
    workplace.score(workplace.orders(SHIPPED | {"carrier_name": "Another"}))
    assert workplace.counted_orders() == 1
    assert len(open_deviations(workplace)) == 2
    assert workplace.rollup_differences() == 0
