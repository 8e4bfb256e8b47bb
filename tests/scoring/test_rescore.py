"""Scoring a day again with another model: the verdicts change, what happened does not."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from fulfillment_assets.delay_model.scorer import DelayScorer
from fulfillment_assets.orders.contract import FEATURES
from fulfillment_assets.scoring import rescore
from fulfillment_assets.scoring.rescore import RescoreResult, rescore_day
from fulfillment_assets.store.partitions import ensure_partition
from tests.scoring.workplace import LATE, OPEN, Workplace

FACTS = (
    "id, created_at, source, batch_job_id, row_number, order_id, event_time, order_status, "
    "features_json, extra"
)
VERDICT = "id, delay_probability, severity, reasons, model_version"

NOON = dt.datetime.now(dt.UTC).replace(hour=12, minute=0, second=0, microsecond=0)
"""Received today."""

DAY_BEFORE = NOON - dt.timedelta(days=1)

AT_RISK = OPEN | LATE
"""An open order that the model calls critical."""

SAFE = OPEN
"""The same order with a small discount and a heavier parcel."""


@pytest.fixture(scope="session")
def second_model(second_models_dir: Path) -> DelayScorer:
    return DelayScorer.load(second_models_dir)


class Contrary(DelayScorer):
    """The committed model turned around, so that whoever deviated clears, and the reverse."""

    def score(self, orders: pa.Table) -> Any:
        scores = super().score(orders)
        return replace(scores, probability=1 - scores.probability)


@pytest.fixture
def contrary(scorer: DelayScorer) -> DelayScorer:
    turned = Contrary.__new__(Contrary)
    metadata = scorer.metadata.model_copy(update={"version": "contrary"})
    turned.__dict__.update(scorer.__dict__, version="contrary", metadata=metadata)
    return turned


def rescored(workplace: Workplace, scorer: DelayScorer, day: dt.datetime = NOON) -> RescoreResult:
    return rescore_day(workplace.engine, scorer, day.date())


def predictions(workplace: Workplace, columns: str) -> list[dict[str, Any]]:
    return workplace.rows(f"SELECT {columns} FROM predictions ORDER BY id")


def deviations(workplace: Workplace) -> dict[tuple[str, str], str]:
    rows = workplace.rows("SELECT order_id, kind, status FROM deviations ORDER BY created_at")
    return {(row["order_id"], row["kind"]): row["status"] for row in rows}


def received(workplace: Workplace, when: dt.datetime, *changes: dict[str, str], name: str) -> None:
    with workplace.engine.begin() as connection:
        ensure_partition(connection, when.date())
    workplace.score(workplace.orders(*changes, name=name), received=when)


def test_another_model_gives_every_prediction_of_the_day_its_verdict(
    workplace: Workplace, second_model: DelayScorer
) -> None:
    workplace.score(workplace.simulated(500))
    facts = predictions(workplace, FACTS)
    before = predictions(workplace, VERDICT)
    assert rescored(workplace, second_model) == RescoreResult(
        NOON.date(), 500, second_model.version
    )
    assert predictions(workplace, FACTS) == facts
    after = predictions(workplace, VERDICT)
    assert {row["model_version"] for row in after} == {second_model.version}
    assert {row["model_version"] for row in before} == {workplace.scorer.version}
    changed = [
        name for name in ("delay_probability", "reasons") if before[0][name] != after[0][name]
    ]
    assert changed == ["delay_probability", "reasons"]
    for fact, verdict in zip(facts, after, strict=True):
        expected = second_model.score_one(fact["features_json"])
        assert verdict["delay_probability"] == expected.probability
        assert [reason["feature"] for reason in verdict["reasons"]] == [
            reason.feature for reason in expected.reasons
        ]


def test_orders_and_rollups_follow_the_new_verdicts(
    workplace: Workplace, second_model: DelayScorer
) -> None:
    workplace.score(workplace.simulated(500))
    state = "order_id, customer_id, ship_date, carrier_name, event_time, prediction_id"
    before = workplace.rows(f"SELECT {state} FROM orders ORDER BY order_id")
    sums = workplace.rows("SELECT sum(orders) AS n, sum(probability_sum) AS p FROM kpi_rollups")
    rescored(workplace, second_model)
    assert workplace.rows(f"SELECT {state} FROM orders ORDER BY order_id") == before
    assert (
        workplace.value(
            "SELECT count(*) FROM orders o JOIN predictions p ON p.id = o.prediction_id "
            "WHERE o.delay_probability = p.delay_probability AND o.severity = p.severity"
        )
        == 500
    )
    assert workplace.rollup_differences() == 0
    (now,) = workplace.rows("SELECT sum(orders) AS n, sum(probability_sum) AS p FROM kpi_rollups")
    assert now["n"] == sums[0]["n"]
    assert now["p"] != sums[0]["p"]


def test_deviations_open_and_clear_with_the_new_verdicts(
    workplace: Workplace, contrary: DelayScorer
) -> None:
    workplace.score(
        workplace.orders(
            AT_RISK | {"order_id": "risky", "order_status": "shipped"},
            SAFE | {"order_id": "safe"},
            SAFE | {"order_id": "delivered", "order_status": "delivered"},
        )
    )
    assert deviations(workplace) == {
        ("risky", "delay_risk"): "pending",
        ("risky", "fulfillment_gap"): "pending",
    }
    rescored(workplace, contrary)
    assert deviations(workplace) == {
        ("risky", "delay_risk"): "resolved",
        ("risky", "fulfillment_gap"): "resolved",
        ("safe", "delay_risk"): "pending",
    }
    (opened,) = workplace.rows("SELECT * FROM deviations WHERE status = 'pending'")
    assert opened["context"]["order"]["customer_id"] == "CUST-0042"
    assert opened["context"]["model_version"] == "contrary"
    newest = "SELECT payload ->> 'order_id' FROM outbox ORDER BY id DESC LIMIT 1"
    assert workplace.value(newest) == "safe"
    assert workplace.rollup_differences() == 0


def test_scoring_a_day_again_twice_changes_nothing_more(
    workplace: Workplace, second_model: DelayScorer
) -> None:
    workplace.score(workplace.simulated(300))
    tables = {
        "predictions": "SELECT * FROM predictions ORDER BY id",
        "rollups": "SELECT * FROM kpi_rollups ORDER BY 1, 2, 3, 4",
        "orders": "SELECT order_id, severity, delay_probability FROM orders ORDER BY order_id",
        "deviations": "SELECT id, order_id, severity, status FROM deviations ORDER BY id",
        "outbox": "SELECT id FROM outbox ORDER BY id",
    }
    results = []
    for _ in range(2):
        rescored(workplace, second_model)
        results.append({name: workplace.rows(query) for name, query in tables.items()})
    assert results[0] == results[1]


def test_the_same_model_changes_nothing_at_all(workplace: Workplace) -> None:
    workplace.score(workplace.simulated(300))
    before = predictions(workplace, "*")
    counts = workplace.counts()
    rescored(workplace, workplace.scorer)
    assert predictions(workplace, "*") == before
    assert workplace.counts() == counts


def test_only_the_predictions_of_that_day_change(
    workplace: Workplace, contrary: DelayScorer
) -> None:
    received(workplace, DAY_BEFORE, {"order_id": "old"} | SAFE, name="old.csv")
    received(workplace, NOON, {"order_id": "new"} | SAFE, name="new.csv")
    assert rescored(workplace, contrary, DAY_BEFORE).predictions == 1
    versions = {
        row["order_id"]: row["model_version"]
        for row in predictions(workplace, "order_id, model_version")
    }
    assert versions == {"old": "contrary", "new": workplace.scorer.version}
    assert deviations(workplace) == {("old", "delay_risk"): "pending"}
    assert workplace.rollup_differences() == 0


def test_an_order_whose_latest_prediction_is_of_another_day_stays(
    workplace: Workplace, contrary: DelayScorer
) -> None:
    received(workplace, DAY_BEFORE, {"order_id": "O1"} | SAFE, name="old.csv")
    newer = {"order_id": "O1", "carrier_name": "Another"}
    received(workplace, NOON, newer | SAFE, name="new.csv")
    workplace.execute("UPDATE orders SET updated_at = '2026-01-01'")
    before = workplace.rows("SELECT * FROM orders")
    assert rescored(workplace, contrary, DAY_BEFORE).predictions == 1
    assert workplace.rows("SELECT * FROM orders") == before
    assert deviations(workplace) == {}
    assert workplace.rollup_differences() == 0


def test_a_day_without_predictions_is_no_error(workplace: Workplace) -> None:
    assert rescored(workplace, workplace.scorer, DAY_BEFORE).predictions == 0


def test_the_size_of_a_chunk_does_not_show(
    workplace: Workplace, second_model: DelayScorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    workplace.score(workplace.simulated(100))
    monkeypatch.setattr(rescore, "CHUNK_ROWS", 7)
    assert rescored(workplace, second_model).predictions == 100
    scores = [
        second_model.score_one({name: row["features_json"][name] for name in FEATURES}).probability
        for row in predictions(workplace, "features_json")
    ]
    assert [
        row["delay_probability"] for row in predictions(workplace, "delay_probability")
    ] == scores
    assert workplace.rollup_differences() == 0
