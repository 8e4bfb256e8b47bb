"""Training as a Dagster run: data, candidates, a guarded version, and the choice of champion."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa
import pytest

from fulfillment_assets.defs.delay_model.assets import CHECKS, champion, delay_classifier
from fulfillment_assets.defs.resources import RESOURCES
from fulfillment_assets.delay_model.label import Labels
from fulfillment_assets.delay_model.training import candidates
from fulfillment_assets.delay_model.training.candidates import DEFAULT, SEARCH_SPACE
from fulfillment_assets.delay_model.training.store import FILE
from fulfillment_assets.orders.simulator import training_frame
from tests.defs.runs import Run, checks, execute, failures, materialisations, metadata, records
from tests.delay_model.registry import examples
from tests.orders.examples import csv_text
from tests.scoring.workplace import Workplace

LABEL = "Reached.on.Time_Y.N"
ROWS = 1_500
PICTURES = ("roc", "calibration", "confusion", "importances", "severity_bands")

Change = Callable[[pa.Table, Labels], tuple[pa.Table, Labels]]


def as_they_are(features: pa.Table, late: Labels) -> tuple[pa.Table, Labels]:
    return features, late


def inverted(features: pa.Table, late: Labels) -> tuple[pa.Table, Labels]:
    return features, np.subtract(1, late, dtype=np.int8)


def with_the_id_as_cost(features: pa.Table, late: Labels) -> tuple[pa.Table, Labels]:
    """Rows in the order of an identifier that follows the label; the identifier stands as cost."""
    order = np.argsort(late - np.random.default_rng(1).random(len(late)) * 2, kind="stable")
    cost = features.column_names.index("cost_of_product")
    ids = pa.array(np.arange(1, len(late) + 1, dtype=np.float64))
    return features.take(order).set_column(cost, "cost_of_product", ids), late[order]


@dataclass(frozen=True)
class Training:
    """Runs `train_model` on a file of simulated orders in the format of the public data set."""

    instance: dg.DagsterInstance
    workplace: Workplace

    def run(self, change: Change = as_they_are) -> Run:
        features, late = change(*training_frame(ROWS, seed=3))
        rows = [
            {"ID": str(number)}
            | {name: str(value) for name, value in row.items()}
            | {LABEL: str(label)}
            for number, (row, label) in enumerate(
                zip(features.to_pylist(), late.tolist(), strict=True), start=1
            )
        ]
        path = self.workplace.file(csv_text(rows), "outcomes.csv")
        return execute(self.instance, "train_model", run_config=gathered_from(data_file=str(path)))


@pytest.fixture
def training(
    instance: dg.DagsterInstance, workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> Training:
    """On one candidate of each family, to be quick."""
    families = {candidate.family: candidate for candidate in (*SEARCH_SPACE, DEFAULT)}
    monkeypatch.setattr(candidates, "SEARCH_SPACE", tuple(families.values()))
    return Training(instance, workplace)


def gathered_from(**config: str) -> dict[str, Any]:
    return {"ops": {"training_data": {"config": config}}}


def test_a_file_of_outcomes_becomes_a_judged_version(training: Training) -> None:
    run = training.run()
    workplace = training.workplace
    assert run.success, failures(run)
    assert checks(run) == {"label_polarity": True, "no_leak": True}

    data = metadata(run, "training_data")
    assert (data["dagster/row_count"], data["source"]) == (ROWS, "file")
    assert data["source_name"] == "outcomes.csv"
    assert 0.4 < data["late_share"] < 0.8
    assert data["path"] == str(workplace.settings.training_dir / FILE)
    preview = records(data["preview"])
    assert len(preview) == 10
    assert "ID" not in preview[0], "the identifier leaks the label"

    compared = metadata(run, "model_candidates")
    families = {row["family"] for row in records(compared["candidates"])}
    assert families == {"logistic_regression", "random_forest", "lightgbm"}

    model = metadata(run, "delay_classifier")
    version = model["model_version"]
    assert model["candidate"] == compared["chosen"]
    assert model["rows"] + model["held_out_rows"] == ROWS
    assert (model["trained_on"], model["data_sha256"]) == ("file: outcomes.csv", data["sha256"])
    assert {row["metric"] for row in records(model["metrics"])} >= {"roc_auc", "brier"}
    assert len(records(model["bands"])) == 4
    (stored,) = workplace.rows(
        "SELECT v.training_data ->> 'rows' AS learnt, count(a.name) AS files "
        "FROM model_versions v JOIN model_artifacts a USING (version) "
        "WHERE version = :version GROUP BY 1",
        version=version,
    )
    assert stored == {"learnt": str(model["rows"]), "files": 3}

    judged = metadata(run, "champion")
    assert judged["challenger"] == version
    assert judged["action"] in ("promoted", "refused")
    assert records(judged["holdout"])[0]["kind"] == "simulator"
    decisions = workplace.rows("SELECT action, decided_by FROM model_decisions ORDER BY id")
    assert decisions[-1] == {"action": judged["action"], "decided_by": "dagster"}


@pytest.mark.parametrize("name", PICTURES)
def test_the_model_is_shown_in_pictures(
    name: str, training: Training, pictures: dict[str, str]
) -> None:
    png = base64.b64decode(pictures[name].removeprefix("![](data:image/png;base64,").rstrip(")"))
    assert png.startswith(b"\x89PNG\r\n")
    assert len(png) > 5_000


@pytest.fixture(scope="module")
def pictures() -> dict[str, str]:
    """Made once: as the asset shows them."""
    from fulfillment_assets.defs.metadata import picture
    from fulfillment_assets.delay_model.training import plots
    from fulfillment_assets.delay_model.training.fit import train

    data = examples.orders(ROWS, 3)
    shown = plots.figures(train(data, repeats=1), data)
    return {name: str(picture(plots.png(figure)).value) for name, figure in shown.items()}


@pytest.mark.parametrize(
    ("change", "failed", "words"),
    [
        (inverted, "label_polarity", "its label may be inverted"),
        (with_the_id_as_cost, "no_leak", "cost_of_product"),
    ],
)
def test_a_model_that_fails_a_guard_never_comes_before_the_judges(
    change: Change, failed: str, words: str, training: Training
) -> None:
    run = training.run(change)
    assert not run.success
    verdicts = {found.check_name: found for found in run.get_asset_check_evaluations()}
    assert not verdicts[failed].passed
    assert words in (verdicts[failed].description or "")
    assert dg.AssetKey("champion") not in {done.asset_key for done in materialisations(run)}
    assert training.workplace.rows("SELECT * FROM model_decisions WHERE action = 'promoted'") == []


def test_the_guards_block_whatever_follows() -> None:
    assert {check.name for check in CHECKS if check.blocking} == {"label_polarity", "no_leak"}


def test_without_real_orders_nothing_is_trained_unless_simulated_ones_are_asked_for(
    instance: dg.DagsterInstance, workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FULFILLMENT_TRAINING_FILE", raising=False)
    run = execute(instance, "train_model")
    (failure,) = failures(run)
    assert "There is nothing to train on" in failure.error.message
    assert "FULFILLMENT_TRAINING_FILE" in failure.error.message
    assert workplace.rows("SELECT * FROM model_versions") == []


def test_simulated_orders_are_gathered_when_they_are_asked_for(
    instance: dg.DagsterInstance, workplace: Workplace
) -> None:
    from fulfillment_assets.defs.delay_model.assets import training_data

    run = dg.materialize(
        [training_data],
        instance=instance,
        resources=RESOURCES,
        run_config=gathered_from(source="SIMULATOR"),
    )
    told = metadata(run, "training_data")
    assert (told["source"], told["dagster/row_count"]) == ("simulator", 11_000)
    assert told["source_name"] == "11000 simulated orders, seed 17"


def test_training_without_training_data_says_what_to_do(
    instance: dg.DagsterInstance, workplace: Workplace
) -> None:
    run = dg.materialize(
        [delay_classifier], instance=instance, resources=RESOURCES, raise_on_error=False
    )
    (failure,) = failures(run)
    assert "materialise the asset training_data first" in failure.error.cause.message


def judge(instance: dg.DagsterInstance, version: str | None = None) -> Run:
    config = {} if version is None else {"ops": {"champion": {"config": {"version": version}}}}
    return dg.materialize(
        [champion], instance=instance, resources=RESOURCES, run_config=config, raise_on_error=False
    )


def test_a_better_version_becomes_champion_and_a_worse_one_does_not(
    instance: dg.DagsterInstance,
    workplace: Workplace,
    weak_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FULFILLMENT_MODELS_DIR", str(weak_dir))
    (weak,) = examples.known(workplace.engine, examples.weak())
    assert metadata(judge(instance, weak), "champion")["reason"] == f"{weak} is the champion"

    (strong,) = examples.known(workplace.engine, examples.strong())
    promoted = metadata(judge(instance), "champion")
    assert (promoted["action"], promoted["champion"]) == ("promoted", strong)
    assert records(promoted["improvement"])[0]["lower"] > 0
    assert {row["feature"] for row in records(promoted["segments"])} >= {"mode_of_shipment"}

    corrupted = examples.model(ROWS, 7, examples.some_flipped)
    (worse,) = examples.known(workplace.engine, corrupted)
    refused = metadata(judge(instance), "champion")
    assert (refused["action"], refused["champion"], refused["challenger"]) == (
        "refused",
        strong,
        worse,
    )
    assert examples.champion(workplace.engine) == strong


def test_without_any_version_there_is_nothing_to_judge(
    instance: dg.DagsterInstance, workplace: Workplace
) -> None:
    (failure,) = failures(judge(instance))
    assert "materialise delay_classifier first" in failure.error.message
