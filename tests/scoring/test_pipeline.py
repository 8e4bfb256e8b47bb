"""A file becomes rows in every table, and the tables tell the same story."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from fulfillment_assets.orders.contract import FEATURES
from fulfillment_assets.scoring import pipeline
from fulfillment_assets.scoring.pipeline import BatchResult
from tests.orders.examples import csv_text, order_row
from tests.scoring.workplace import LATE, NOTHING, OPEN, Workplace, files_below

KAGGLE = """ID,Warehouse_block,Mode_of_Shipment,Customer_care_calls,Customer_rating,\
Cost_of_the_Product,Prior_purchases,Product_importance,Gender,Discount_offered,Weight_in_gms,\
Reached.on.Time_Y.N
1,D,Flight,4,2,177,3,low,F,44,1233,1
2,F,Flight,4,5,216,2,low,M,59,3088,1
3,A,Ship,2,2,183,4,medium,M,4,4374,0
"""


def truth_of(path: Path) -> list[dict[str, str]]:
    with path.with_name(f"{path.stem}.truth.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def scored(workplace: Workplace) -> tuple[Path, BatchResult]:
    """A file of 3,000 orders, some of them broken, and what became of it."""
    path = workplace.simulated(3_000, fault_share=0.02)
    return path, workplace.score(path)


def test_every_table_tells_the_same_story(
    workplace: Workplace, scored: tuple[Path, BatchResult]
) -> None:
    path, result = scored
    faulty = sum(row["fault"] != "" for row in truth_of(path))
    job = result.job
    assert (job.status, job.row_count, job.rejected_count) == ("completed", 3_000, faulty)
    assert job.accepted_count + job.rejected_count == job.row_count
    assert result.predictions == job.accepted_count
    counts = workplace.counts()
    assert counts["predictions"] == counts["orders"] == job.accepted_count
    assert counts["rejected_records"] == job.rejected_count
    assert (
        counts["outbox"]
        == counts["deviations"]
        == sum(count for severities in result.deviations.values() for count in severities.values())
    )
    cancelled = workplace.value("SELECT count(*) FROM orders WHERE order_status = 'cancelled'")
    assert cancelled > 0
    assert workplace.counted_orders() == job.accepted_count - cancelled
    assert workplace.rollup_differences() == 0


def test_the_job_tells_when_by_which_run_and_with_which_model(
    workplace: Workplace, scored: tuple[Path, BatchResult]
) -> None:
    job = workplace.job(scored[1].job)
    assert job.run_id == "run-1"
    assert job.model_version == workplace.scorer.version
    assert job.started_at is not None
    assert job.completed_at is not None
    assert job.created_at < job.started_at < job.completed_at
    assert job.seconds == (job.completed_at - job.started_at).total_seconds() > 0
    assert job.path is None
    assert workplace.value("SELECT attempts FROM batch_jobs") == 1
    assert files_below(workplace.settings.inbox.parent) == [
        "processed/orders.csv",
        "processed/orders.rejected.csv",
    ]


def test_predictions_are_what_the_model_says_of_the_orders_in_the_file(
    workplace: Workplace, scored: tuple[Path, BatchResult]
) -> None:
    path, result = scored
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        in_file = dict(enumerate(csv.DictReader(file), start=1))
    predictions = workplace.rows("SELECT * FROM predictions ORDER BY id LIMIT 200")
    for prediction in predictions:
        features = prediction["features_json"]
        expected = workplace.scorer.score_one(features)
        assert prediction["delay_probability"] == expected.probability
        assert {reason["feature"]: reason["contribution"] for reason in prediction["reasons"]} == {
            reason.feature: reason.contribution for reason in expected.reasons
        }
        cells = in_file[prediction["row_number"]]
        assert prediction["order_id"] == cells["order_id"]
        for name in FEATURES:
            assert str(features[name]) == cells[name]
    numbers = [prediction["row_number"] for prediction in predictions]
    assert numbers == sorted(numbers)
    assert {prediction["created_at"] for prediction in predictions} == {result.job.created_at}
    assert {prediction["source"] for prediction in predictions} == {"batch"}
    assert {prediction["batch_job_id"] for prediction in predictions} == {result.job.id}


def test_orders_hold_the_state_in_the_file_and_their_prediction(workplace: Workplace) -> None:
    workplace.score(workplace.orders({"order_id": "Ordre nº 1"} | OPEN | LATE))
    (order,) = workplace.rows("SELECT * FROM orders")
    (prediction,) = workplace.rows("SELECT * FROM predictions")
    assert order["order_id"] == "Ordre nº 1"
    assert order["customer_id"] == "CUST-0042"
    assert order["carrier_name"] == "Northline"
    assert order["order_date"].isoformat() == "2026-03-01T09:30:00+00:00"
    assert order["delivery_date"] is None
    assert order["discount_offered"] == 60
    assert order["order_status"] == "processing"
    assert order["event_time"] == order["ship_date"] == prediction["event_time"]
    assert order["prediction_id"] == prediction["id"]
    assert order["prediction_created_at"] == prediction["created_at"]
    assert order["delay_probability"] == prediction["delay_probability"] > 0.9
    assert order["severity"] == prediction["severity"] == "critical"


def test_deviations_are_the_open_orders_that_are_not_expected_on_time(
    workplace: Workplace, scored: tuple[Path, BatchResult]
) -> None:
    orders = {
        row["order_id"]: row
        for row in workplace.rows("SELECT * FROM orders WHERE severity IN ('warning', 'critical')")
    }
    at_risk = {
        name
        for name, row in orders.items()
        if row["order_status"] not in ("delivered", "cancelled")
    }
    shipped = {name for name, row in orders.items() if row["order_status"] == "shipped"}
    deviations = workplace.rows("SELECT * FROM deviations")
    found: dict[str, set[str]] = {"delay_risk": set(), "fulfillment_gap": set()}
    for deviation in deviations:
        order = orders[deviation["order_id"]]
        found[deviation["kind"]].add(deviation["order_id"])
        assert deviation["prediction_id"] == order["prediction_id"]
        assert deviation["batch_job_id"] == scored[1].job.id
        assert (deviation["severity"], deviation["status"]) == (order["severity"], "pending")
        assert deviation["context"]["order"]["order_id"] == deviation["order_id"]
        assert deviation["context"]["delay_probability"] == order["delay_probability"]
    assert found == {"delay_risk": at_risk, "fulfillment_gap": shipped}
    assert at_risk > shipped > set()
    assert len(deviations) == len(at_risk) + len(shipped)


def test_each_deviation_leaves_one_event_in_the_outbox(
    workplace: Workplace, scored: tuple[Path, BatchResult]
) -> None:
    assert scored[1].job.status == "completed"
    deviations = {str(row["id"]): row for row in workplace.rows("SELECT * FROM deviations")}
    events = workplace.rows("SELECT * FROM outbox")
    assert len({event["event_id"] for event in events}) == len(events) == len(deviations)
    for event in events:
        payload: dict[str, Any] = event["payload"]
        deviation = deviations.pop(payload["deviation_id"])
        assert event["topic"] == "deviation-events"
        assert event["key"] == payload["order_id"] == deviation["order_id"]
        assert event["published_at"] is None
        assert payload["event_id"] == str(event["event_id"])
        assert payload["context"] == deviation["context"]
        assert {name: payload[name] for name in ("kind", "severity", "reason", "status")} == {
            name: deviation[name] for name in ("kind", "severity", "reason", "status")
        }
    assert deviations == {}


def test_a_file_with_a_header_and_no_rows_completes_with_nothing(workplace: Workplace) -> None:
    header = csv_text([order_row()]).splitlines()[0]
    result = workplace.score(workplace.file(header + "\r\n"))
    assert (result.job.status, result.job.row_count, result.predictions) == ("completed", 0, 0)
    assert result.severities == {"critical": 0, "warning": 0, "info": 0, "none": 0}
    assert result.deviations == {}
    assert workplace.counts() == NOTHING
    assert files_below(workplace.settings.processed) == ["orders.csv"]


def test_a_file_of_which_every_row_is_rejected_completes(workplace: Workplace) -> None:
    result = workplace.score(workplace.orders({"gender": "?"}, {"weight_in_gms": "-1"}))
    assert (result.job.status, result.job.accepted_count) == ("completed", 0)
    assert result.job.rejected_count == 2
    assert workplace.counts() == NOTHING | {"rejected_records": 2}


def test_a_file_with_the_headers_of_the_public_data_set_is_scored(workplace: Workplace) -> None:
    result = workplace.score(workplace.file(KAGGLE))
    assert (result.job.accepted_count, result.job.rejected_count) == (3, 0)
    first, _, third = workplace.rows("SELECT * FROM predictions ORDER BY row_number")
    assert first["order_id"] == "1"
    assert first["severity"] == "critical"
    assert first["features_json"]["cost_of_product"] == 177
    assert first["event_time"] == result.job.created_at
    assert third["severity"] == "info"
    assert first["extra"] is None, "the training label is an outcome and no part of the order"
    assert result.deviations == {"delay_risk": {"critical": 2}}
    assert workplace.rollup_differences() == 0


def test_a_gzipped_file_gives_the_rows_of_the_plain_one(workplace: Workplace) -> None:
    plain = workplace.simulated(50)
    zipped = workplace.file(gzip.compress(plain.read_bytes()), "orders-zipped.csv.gz")
    results = [workplace.score(path) for path in (plain, zipped)]
    assert rows_of_job(workplace, results[0]) == rows_of_job(workplace, results[1])
    assert files_below(workplace.settings.processed) == ["orders-zipped.csv.gz", "orders.csv"]


def test_unknown_columns_and_broken_descriptions_are_kept_beside_the_order(
    workplace: Workplace,
) -> None:
    row = order_row(payment_status="in kind") | {"Gift wrap": "ja, å", "source": ""}
    workplace.score(workplace.file(csv_text([row])))
    (prediction,) = workplace.rows("SELECT * FROM predictions")
    assert prediction["extra"] == {"payment_status": "in kind", "Gift wrap": "ja, å"}
    assert workplace.value("SELECT payment_status FROM orders") is None


@pytest.mark.parametrize("rows", [3, 100])
def test_the_size_of_a_chunk_does_not_show_in_the_rows(
    rows: int, workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = workplace.simulated(300, fault_share=0.1)
    whole = workplace.score(path)
    monkeypatch.setattr(pipeline, "CHUNK_ROWS", rows)
    in_chunks = workplace.score(path, again=True)
    assert in_chunks.job.submission == 2
    assert rows_of_job(workplace, whole) == rows_of_job(workplace, in_chunks)
    assert rejected_of_job(workplace, whole) == rejected_of_job(workplace, in_chunks)
    assert workplace.rollup_differences() == 0


def test_scoring_a_job_that_is_completed_changes_nothing(workplace: Workplace) -> None:
    result = workplace.score(workplace.simulated(50))
    before = workplace.counts()
    repeated = workplace.run(result.job, run_id="run-2")
    assert repeated.severities == result.severities
    assert repeated.job.run_id == "run-1"
    assert workplace.counts() == before


def rows_of_job(workplace: Workplace, result: BatchResult) -> list[dict[str, Any]]:
    """Everything about the predictions of a file that its content decides."""
    rows = workplace.rows(
        "SELECT row_number, order_id, event_time, order_status, delay_probability, severity, "
        "features_json, reasons, extra, model_version FROM predictions "
        "WHERE batch_job_id = :job ORDER BY row_number",
        job=result.job.id,
    )
    assert len(rows) == result.job.accepted_count > 0
    return [dict(row) for row in rows]


def rejected_of_job(workplace: Workplace, result: BatchResult) -> list[tuple[int, str, Any]]:
    rows = workplace.rows(
        "SELECT row_number, raw, errors FROM rejected_records "
        "WHERE batch_job_id = :job ORDER BY row_number",
        job=result.job.id,
    )
    assert len(rows) == result.job.rejected_count
    return [(row["row_number"], json.dumps(row["raw"]), row["errors"]) for row in rows]
