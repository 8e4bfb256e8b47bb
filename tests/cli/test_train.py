"""`fulfillment train`: a model from a file, or from simulated orders if there is none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fulfillment_assets.delay_model import training_data
from fulfillment_assets.delay_model.scorer import DelayScorer
from fulfillment_assets.orders.simulator import training_frame
from tests.cli.commands import Fulfillment
from tests.orders.examples import csv_text, saved


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "models"
    monkeypatch.setenv("FULFILLMENT_MODELS_DIR", str(folder))
    monkeypatch.delenv("FULFILLMENT_TRAINING_FILE", raising=False)
    return folder


def test_a_file_of_outcomes_is_trained_on(
    fulfillment: Fulfillment, models: Path, tmp_path: Path
) -> None:
    features, late = training_frame(600, seed=3)
    rows = [
        {"ID": "1", "Reached.on.Time_Y.N": str(label)}
        | {name: str(value) for name, value in row.items()}
        for row, label in zip(features.to_pylist(), late.tolist(), strict=True)
    ]
    outcome = fulfillment("train", "--data", saved(tmp_path, csv_text(rows)), "--json")
    assert outcome.status == 0, outcome.err
    told = json.loads(outcome.out)
    assert told["version"] == DelayScorer.load(models).version
    assert (told["training_data"]["kind"], told["training_data"]["rows"]) == ("file", 600)
    assert 0 < told["metrics"]["brier"]["mean"] < 0.3
    assert "golden_rows" not in told


def test_without_a_file_it_trains_on_simulated_orders_and_says_so(
    fulfillment: Fulfillment, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_data, "SIMULATED_ROWS", 600)
    outcome = fulfillment("train")
    assert outcome.status == 0, outcome.err
    assert "No file of real orders was given: training on simulated orders." in outcome.err
    assert "roc_auc" in outcome.out
    assert f"Stored in {models}" in outcome.out
    assert DelayScorer.load(models).metadata.training_data.kind == "simulator"


def test_a_file_that_cannot_be_trained_on_is_refused_with_the_reason(
    fulfillment: Fulfillment, models: Path, tmp_path: Path
) -> None:
    outcome = fulfillment("train", "--data", saved(tmp_path, "a,b\n1,2\n"))
    assert outcome.status == 1
    assert outcome.err.splitlines()[-1].startswith("error: orders.csv cannot be trained on")
    assert "Traceback" not in outcome.err
    assert not models.exists()
