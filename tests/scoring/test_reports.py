"""What was scored, read back; and the faults that the checks are there to find."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy.engine import Connection

from fulfillment_assets.delay_model.artifacts import read_files
from fulfillment_assets.delay_model.registry.champion import ensure_champion
from fulfillment_assets.delay_model.registry.versions import register
from fulfillment_assets.deviations.severity import Thresholds
from fulfillment_assets.scoring.pipeline import BatchResult
from fulfillment_assets.scoring.reports import (
    Scope,
    implausible_predictions,
    orphan_deviations,
    riskiest,
    severity_counts,
    unbalanced_jobs,
)
from tests.scoring.fixtures import MODELS
from tests.scoring.workplace import LATE, OPEN, Workplace


@pytest.fixture
def result(workplace: Workplace) -> BatchResult:
    """What became of a file with 300 orders, some of them broken."""
    ensure_champion(workplace.engine, MODELS)
    return workplace.score(workplace.simulated(300, fault_share=0.1))


@pytest.fixture
def scope(result: BatchResult) -> Scope:
    return Scope(result.job.day, result.job.day, result.job.id)


def implausible(connection: Connection, scope: Scope) -> int:
    return implausible_predictions(connection, scope, Thresholds())


CHECKS: list[Callable[[Connection, Scope], int]] = [
    unbalanced_jobs,
    implausible,
    orphan_deviations,
]


def found(workplace: Workplace, scope: Scope) -> list[int]:
    """How many faults each check finds."""
    with workplace.engine.connect() as connection:
        return [check(connection, scope) for check in CHECKS]


def widened(scope: Scope) -> Scope:
    """The same days, of all jobs."""
    return Scope(scope.first, scope.last)


def test_a_sound_batch_has_no_faults(workplace: Workplace, scope: Scope) -> None:
    assert found(workplace, scope) == found(workplace, widened(scope)) == [0, 0, 0]


@pytest.mark.parametrize(
    ("damage", "faults"),
    [
        ("DELETE FROM predictions WHERE row_number = (SELECT min(row_number) FROM predictions)", 0),
        ("DELETE FROM rejected_records WHERE id = (SELECT min(id) FROM rejected_records)", 0),
        ("UPDATE batch_jobs SET row_count = row_count + 1, accepted_count = accepted_count + 1", 0),
    ],
    ids=["a prediction is missing", "a rejected row is missing", "a row too many was counted"],
)
def test_rows_that_went_missing_unbalance_their_job(
    damage: str, faults: int, workplace: Workplace, scope: Scope
) -> None:
    workplace.execute(damage)
    assert found(workplace, scope)[0] == found(workplace, widened(scope))[0] == 1
    assert found(workplace, scope)[1] == faults


@pytest.mark.parametrize(
    "damage",
    [
        "delay_probability = 0.9995",
        "delay_probability = 0.0005, severity = 'none'",
        "severity = 'none'",
        "severity = 'warning', delay_probability = 0.7001",
        "severity = 'critical', delay_probability = 0.7",
        "severity = 'info', delay_probability = 0.3",
    ],
)
def test_a_probability_out_of_range_or_at_odds_with_its_severity_is_found(
    damage: str, workplace: Workplace, scope: Scope
) -> None:
    workplace.execute(
        f"UPDATE predictions SET {damage} "
        "WHERE row_number = (SELECT min(row_number) FROM predictions)"
    )
    assert found(workplace, scope) == found(workplace, widened(scope)) == [0, 1, 0]


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE deviations SET prediction_id = uuidv7() WHERE id = (SELECT min(id::text)::uuid "
        "FROM deviations)",
        "DELETE FROM orders WHERE order_id = (SELECT min(order_id) FROM deviations "
        "WHERE kind = 'delay_risk' AND order_id NOT IN "
        "(SELECT order_id FROM deviations WHERE kind = 'fulfillment_gap'))",
    ],
    ids=["without its prediction", "without its order"],
)
def test_an_open_deviation_that_lost_what_it_is_about_is_an_orphan(
    damage: str, workplace: Workplace, scope: Scope
) -> None:
    workplace.execute(damage)
    assert found(workplace, scope) == [0, 0, 1]
    workplace.execute("UPDATE deviations SET status = 'resolved'")
    assert found(workplace, scope) == [0, 0, 0], "one that is over needs nothing"


def test_faults_of_other_jobs_and_days_are_not_counted(workplace: Workplace, scope: Scope) -> None:
    other = workplace.score(workplace.orders({"order_id": "other"} | OPEN | LATE, name="b.csv"))
    workplace.execute(
        "UPDATE predictions SET severity = 'none' WHERE batch_job_id = :job", job=other.job.id
    )
    assert found(workplace, scope) == [0, 0, 0]
    assert found(workplace, widened(scope)) == [0, 1, 0]
    the_day_before = scope.first - dt.timedelta(days=1)
    assert found(workplace, Scope(the_day_before, the_day_before))[1] == 0


def test_the_riskiest_orders_still_to_be_delivered_come_first_with_their_reasons(
    workplace: Workplace, scope: Scope
) -> None:
    with workplace.engine.connect() as connection:
        orders = riskiest(connection, scope, limit=20)
    highest = workplace.rows(
        "SELECT order_id FROM predictions WHERE order_status NOT IN ('delivered', 'cancelled') "
        "ORDER BY delay_probability DESC, order_id LIMIT 20"
    )
    assert [order.order_id for order in orders] == [row["order_id"] for row in highest]
    for order in orders:
        assert order.severity == "critical"
        contributions = [reason["contribution"] for reason in order.reasons]
        assert contributions == sorted(contributions, reverse=True)
    first = orders[0]
    discount = first.features["discount_offered"]
    assert first.reasons_in_words.startswith(f"discount {discount} % (far above usual), ")


def test_what_is_usual_is_told_by_the_model_that_made_the_prediction(
    workplace: Workplace, scope: Scope, second_models_dir: Path
) -> None:
    files = read_files(second_models_dir)
    with workplace.engine.begin() as connection:
        other = register(connection, files).version
    workplace.execute("UPDATE predictions SET model_version = :other", other=other)
    with workplace.engine.connect() as connection:
        assert {order.model.version for order in riskiest(connection, scope)} == {other}


def test_the_champion_tells_what_is_usual_where_the_model_is_not_at_hand(
    workplace: Workplace, scope: Scope
) -> None:
    workplace.execute("UPDATE predictions SET model_version = 'of-old'")
    with workplace.engine.connect() as connection:
        (order,) = riskiest(connection, scope, limit=1)
    assert order.model == workplace.scorer.metadata


def test_severities_are_counted_the_gravest_first(workplace: Workplace, scope: Scope) -> None:
    with workplace.engine.connect() as connection:
        counts = severity_counts(connection, scope)
    assert list(counts) == ["critical", "warning", "info", "none"]
    for severity, count in counts.items():
        assert count == workplace.value(
            "SELECT count(*) FROM predictions WHERE severity = :severity", severity=severity
        )
    assert sum(counts.values()) == workplace.counts()["predictions"]
