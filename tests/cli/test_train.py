"""`fulfillment train`: a new version from a file, the own orders, or simulated ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fulfillment_assets.delay_model.training import candidates
from fulfillment_assets.delay_model.training import data as training_data
from fulfillment_assets.orders.simulator import training_frame
from tests.cli.commands import Fulfillment
from tests.orders.examples import csv_text, saved
from tests.scoring.workplace import Workplace

pytestmark = pytest.mark.usefixtures("on_workplace", "one_candidate")


@pytest.fixture
def one_candidate(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search that is quick."""
    monkeypatch.setattr(candidates, "SEARCH_SPACE", (candidates.DEFAULT,))
    monkeypatch.delenv("FULFILLMENT_TRAINING_FILE", raising=False)


def outcomes(folder: Path, *, rows: int = 1_500, inverted: bool = False) -> Path:
    """A file in the format of the public data set."""
    features, late = training_frame(rows, seed=3)
    labels = np.subtract(1, late) if inverted else late
    return saved(
        folder,
        csv_text(
            [
                {"ID": "1", "Reached.on.Time_Y.N": str(label)}
                | {name: str(value) for name, value in row.items()}
                for row, label in zip(features.to_pylist(), labels.tolist(), strict=True)
            ]
        ),
    )


def told(fulfillment: Fulfillment, *arguments: str | Path, status: int = 0) -> dict[str, Any]:
    outcome = fulfillment("train", *arguments, "--json")
    assert outcome.status == status, outcome.err
    found: dict[str, Any] = json.loads(outcome.out)
    return found


def test_a_file_of_outcomes_gives_a_known_version(
    fulfillment: Fulfillment, workplace: Workplace, tmp_path: Path
) -> None:
    model = told(fulfillment, "--data", outcomes(tmp_path))
    assert model["training_data"]["kind"] == "file"
    assert model["training_data"]["rows"] + model["training_data"]["held_out"] == 1_500
    assert model["id_used"] is False
    assert 0 < model["metrics"]["brier"] < 0.3
    assert model["metrics_std"].keys() == model["metrics"].keys()
    assert model["guards"] == {"label_polarity": True, "no_leak": True}
    assert model["decision"] is None
    assert workplace.rows("SELECT version FROM model_versions") == [{"version": model["version"]}]


def test_the_same_file_gives_the_same_artefacts(fulfillment: Fulfillment, tmp_path: Path) -> None:
    path = outcomes(tmp_path)
    first, second = (told(fulfillment, "--data", path) for _ in range(2))
    assert first["artifacts"] == second["artifacts"]
    assert first == second


def test_a_new_version_does_not_score_before_it_is_promoted(
    fulfillment: Fulfillment, workplace: Workplace, tmp_path: Path
) -> None:
    fulfillment("train", "--data", outcomes(tmp_path))
    assert workplace.rows("SELECT * FROM model_champion") == []


def test_a_version_that_is_to_be_promoted_is_judged_at_once(
    fulfillment: Fulfillment, workplace: Workplace, tmp_path: Path
) -> None:
    model = told(fulfillment, "--data", outcomes(tmp_path), "--promote", status=1)
    assert model["decision"]["action"] == "refused", "a few orders cannot beat the shipped model"
    assert workplace.rows("SELECT version FROM model_champion") != [{"version": model["version"]}]


def test_an_inverted_label_is_told_and_ends_with_an_error(
    fulfillment: Fulfillment, tmp_path: Path
) -> None:
    outcome = fulfillment("train", "--data", outcomes(tmp_path, inverted=True))
    assert outcome.status == 1
    assert "its label may be inverted" in outcome.err


def test_without_real_orders_it_trains_on_simulated_ones_and_says_so(
    fulfillment: Fulfillment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_data, "SIMULATED_ROWS", 1_500)
    outcome = fulfillment("train")
    assert outcome.status == 0, outcome.err
    assert "There are no real orders to train on: training on simulated ones." in outcome.err
    assert "roc_auc" in outcome.out
    assert "`fulfillment model promote lgbm-" in outcome.out


def test_own_orders_that_are_too_few_are_refused_with_their_number(
    fulfillment: Fulfillment,
) -> None:
    outcome = fulfillment("train", "--source", "orders")
    assert outcome.status == 1
    assert outcome.err.splitlines()[-1].startswith("error: There is nothing to train on")


def test_a_file_that_cannot_be_trained_on_is_refused_with_the_reason(
    fulfillment: Fulfillment, workplace: Workplace, tmp_path: Path
) -> None:
    outcome = fulfillment("train", "--data", saved(tmp_path, "a,b\n1,2\n"))
    assert outcome.status == 1
    assert outcome.err.splitlines()[-1].startswith("error: orders.csv cannot be trained on")
    assert "Traceback" not in outcome.err
    assert workplace.rows("SELECT * FROM model_versions") == []
