"""Training as a Dagster run: data are gathered, the model is trained, stored and registered."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from fulfillment_assets.delay_model.scorer import DelayScorer
from fulfillment_assets.delay_model.training_store import FILE
from fulfillment_assets.orders.simulator import training_frame
from tests.defs.runs import checks, execute, failures, metadata, records
from tests.orders.examples import csv_text
from tests.scoring.workplace import Workplace

LABEL = "Reached.on.Time_Y.N"


@pytest.fixture
def training_file(workplace: Workplace) -> Path:
    """600 simulated orders with their outcomes, in the format of the public data set."""
    features, late = training_frame(600, seed=3)
    rows = [
        {"ID": str(number)}
        | {name: str(value) for name, value in row.items()}
        | {LABEL: str(label)}
        for number, (row, label) in enumerate(
            zip(features.to_pylist(), late.tolist(), strict=True), start=1
        )
    ]
    return workplace.file(csv_text(rows), "outcomes.csv")


def test_a_file_of_outcomes_becomes_a_registered_model(
    instance: dg.DagsterInstance,
    workplace: Workplace,
    training_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    models = tmp_path / "models"
    monkeypatch.setenv("FULFILLMENT_MODELS_DIR", str(models))
    monkeypatch.setenv("FULFILLMENT_TRAINING_FILE", str(training_file))
    run = execute(instance, "train_model")
    assert run.success, failures(run)
    assert checks(run) == {"label_polarity": True}

    data = metadata(run, "training_data")
    assert (data["dagster/row_count"], data["source"]) == (600, "file")
    assert data["source_name"] == "outcomes.csv"
    assert 0.4 < data["late_share"] < 0.8
    assert data["path"] == str(workplace.settings.training_dir / FILE)
    preview = records(data["preview"])
    assert len(preview) == 10
    assert "ID" not in preview[0], "the identifier leaks the label"

    version = DelayScorer.load(models).version
    model = metadata(run, "delay_classifier")
    assert (model["model_version"], model["rows"]) == (version, 600)
    assert model["trained_on"] == "file: outcomes.csv"
    assert model["data_sha256"] == data["sha256"]
    assert {row["metric"] for row in records(model["metrics"])} >= {"roc_auc", "brier"}
    assert len(records(model["bands"])) == 4
    assert workplace.rows("SELECT version, training_data ->> 'rows' AS n FROM model_versions") == [
        {"version": version, "n": "600"}
    ]


def test_without_a_file_the_training_data_are_simulated_and_say_so(
    instance: dg.DagsterInstance, workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FULFILLMENT_TRAINING_FILE", raising=False)
    from dagster import materialize

    from fulfillment_assets.defs.delay_model.assets import training_data
    from fulfillment_assets.defs.resources import RESOURCES

    run = materialize([training_data], instance=instance, resources=RESOURCES)
    told = metadata(run, "training_data")
    assert (told["source"], told["dagster/row_count"]) == ("simulator", 11_000)
    assert told["source_name"] == "11000 simulated orders, seed 17"


def test_training_without_training_data_says_what_to_do(
    instance: dg.DagsterInstance, workplace: Workplace
) -> None:
    from dagster import materialize

    from fulfillment_assets.defs.delay_model.assets import delay_classifier
    from fulfillment_assets.defs.resources import RESOURCES

    run = materialize(
        [delay_classifier], instance=instance, resources=RESOURCES, raise_on_error=False
    )
    (failure,) = failures(run)
    assert "materialise the asset training_data first" in failure.error.cause.message
