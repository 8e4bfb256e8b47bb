"""`fulfillment bench`: it measures, and its JSON has what is compared over time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fulfillment_assets.orders.simulator import training_frame
from tests.cli.commands import Fulfillment
from tests.orders.examples import csv_text, saved


def test_the_batch_path_is_timed_against_a_bare_copy(start_fulfillment: Fulfillment) -> None:
    outcome = start_fulfillment(
        "bench", "batch", "--rows", 2000, "--repeats", 1, "--json", environment={}
    )
    assert outcome.status == 0, outcome.err
    told = json.loads(outcome.out)
    assert set(told) >= {
        "rows",
        "seconds",
        "rows_per_second",
        "cpu_seconds_client",
        "cpu_seconds_postgres",
        "rows_per_cpu_second",
        "copy_floor_seconds",
        "ratio_to_floor",
        "peak_rss_mb",
    }
    assert told["rows"] == 2000
    assert all(told[name] > 0 for name in told if name != "history")
    assert told["seconds"] > told["copy_floor_seconds"]


def test_the_model_is_timed_against_bare_lightgbm(
    start_fulfillment: Fulfillment, tmp_path: Path
) -> None:
    features, late = training_frame(600, seed=3)
    rows = [
        {"ID": "1", "Reached.on.Time_Y.N": str(label)}
        | {name: str(value) for name, value in row.items()}
        for row, label in zip(features.to_pylist(), late.tolist(), strict=True)
    ]
    orders = saved(tmp_path, csv_text(rows))
    outcome = start_fulfillment("bench", "model", "--data", orders, "--json", environment={})
    assert outcome.status == 0, outcome.err
    told = json.loads(outcome.out)
    assert set(told) == {
        "one_row_us_median",
        "one_row_us_p99",
        "floor_us_median",
        "floor_us_p99",
        "ratio_to_floor",
        "rows_per_cpu_second",
        "load_seconds",
        "training_rows",
        "training_seconds",
        "search_seconds",
        "transfer_roc_auc",
    }
    assert all(value > 0 for value in told.values())
    assert told["training_rows"] == 600
    assert told["one_row_us_median"] < told["one_row_us_p99"]
    ratio = told["one_row_us_median"] / told["floor_us_median"]
    assert told["ratio_to_floor"] == pytest.approx(ratio, abs=0.01)
    assert 0.65 < told["transfer_roc_auc"] < 0.8
