"""`fulfillment model`: which models are known, which one scores, and why."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fulfillment_assets.delay_model.artifacts import FILES, METADATA_FILE, read_files, read_metadata
from fulfillment_assets.delay_model.metadata import ModelMetadata
from fulfillment_assets.delay_model.registry.holdout import reference_holdout
from fulfillment_assets.delay_model.training.data import simulated_training_data
from fulfillment_assets.delay_model.training.fit import save, train
from fulfillment_assets.delay_model.training.split import held_out
from fulfillment_assets.orders.simulator import training_frame
from tests.cli.commands import Fulfillment, Outcome
from tests.orders.examples import csv_text, saved
from tests.scoring.fixtures import second_models_dir
from tests.scoring.workplace import Workplace

__all__ = ["second_models_dir"]

Told = Callable[..., Any]

pytestmark = pytest.mark.usefixtures("on_workplace")


@pytest.fixture(scope="session")
def weak_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model of few orders."""
    folder = tmp_path_factory.mktemp("weak")
    save(train(simulated_training_data(rows=400, seed=5), repeats=1), folder)
    return folder


@pytest.fixture
def weak(weak_dir: Path, monkeypatch: pytest.MonkeyPatch) -> ModelMetadata:
    """A database without a champion whose first one will be the model of few orders."""
    monkeypatch.setenv("FULFILLMENT_MODELS_DIR", str(weak_dir))
    return read_metadata(read_files(weak_dir))


@pytest.fixture
def better(weak: ModelMetadata, second_models_dir: Path, fulfillment: Fulfillment) -> ModelMetadata:
    """A model of more orders, registered."""
    assert fulfillment("model", "register", second_models_dir).status == 0
    return read_metadata(read_files(second_models_dir))


@pytest.fixture
def told(fulfillment: Fulfillment) -> Told:
    """What a command tells as JSON: `told("list")`."""

    def run(*arguments: str | Path, status: int = 0) -> Any:
        outcome = fulfillment("model", *arguments, "--json")
        assert outcome.status == status, outcome.err
        return json.loads(outcome.out)

    return run


def words(outcome: Outcome) -> str:
    """What was printed, without the tables' lines and folds."""
    return " ".join(outcome.out.replace("│", " ").split())


def failed(outcome: Outcome) -> str:
    """The one line that tells the error."""
    assert (outcome.status, outcome.out) == (1, "")
    assert "Traceback" not in outcome.err
    return outcome.err.splitlines()[-1]


# --- list, show


def test_a_fresh_database_lists_the_model_that_came_with_the_project(
    weak: ModelMetadata, told: Told, fulfillment: Fulfillment
) -> None:
    listed = told("list")
    assert listed["champion"] == weak.version
    (model,) = listed["models"]
    assert (model["version"], model["is_champion"]) == (weak.version, True)
    assert (model["trained_on"], model["data_name"]) == (
        "simulator",
        "400 simulated orders, seed 5",
    )
    assert model["rows"] == weak.training_data.rows
    assert model["metrics"]["brier"] == weak.metrics["brier"].mean
    assert model["decision"]["action"] == "first"
    assert f"{weak.version} *" in words(fulfillment("model", "list"))


def test_the_newest_stands_first_with_what_was_decided_of_it(
    weak: ModelMetadata, better: ModelMetadata, told: Told, fulfillment: Fulfillment
) -> None:
    assert told("promote", better.version)["champion"] == better.version
    told("rollback")
    newest, oldest = told("list")["models"]
    assert (newest["version"], oldest["version"]) == (weak.version, better.version)
    printed = words(fulfillment("model", "list"))
    assert {"again", "rolled"} <= set(printed.split())
    assert f"{better.metrics['roc_auc'].mean:.4f}" in printed


def test_without_any_model_in_the_folder_known_ones_are_listed_and_the_first_promoted_scores(
    second_models_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    told: Told,
    fulfillment: Fulfillment,
) -> None:
    monkeypatch.setenv("FULFILLMENT_MODELS_DIR", str(tmp_path))
    assert told("list") == {"champion": None, "models": []}
    assert failed(fulfillment("model", "show")).startswith("error: There is no model: ")
    version = told("register", second_models_dir)["version"]
    (model,) = told("list")["models"]
    assert (model["version"], model["is_champion"]) == (version, False)
    assert told("show", version)["is_champion"] is False
    assert fulfillment("model", "promote", version).out == (
        f"Promoted: {version} is the champion now, the first one.\n"
    )
    assert told("show")["decisions"][0]["action"] == "first"


def test_the_champion_is_shown_with_everything_that_is_known_of_it(
    weak: ModelMetadata, told: Told, fulfillment: Fulfillment
) -> None:
    shown = told("show")
    expected = weak.model_dump(mode="json", exclude={"golden_rows"})
    assert {name: shown[name] for name in expected} == expected
    assert shown["is_champion"] is True
    assert shown["created_at"] <= shown["last_trained_at"]
    (decision,) = shown["decisions"]
    assert decision["action"] == "first"
    printed = words(fulfillment("model", "show"))
    for text in (
        f"Model {weak.version}",
        "yes, it is the champion",
        "simulator: 400 simulated orders, seed 5",
        weak.training_data.sha256,
        *weak.artifacts.values(),
        f"brier {weak.metrics['brier'].mean:.4f} ± {weak.metrics['brier'].std:.4f}",
        "critical above 0.7 to 1.0",
        "first champion",
    ):
        assert text in printed


def test_a_version_is_shown_with_its_decisions_and_their_evidence(
    weak: ModelMetadata, better: ModelMetadata, told: Told, fulfillment: Fulfillment
) -> None:
    told("promote", better.version)
    (decision,) = told("show", better.version)["decisions"]
    assert decision["action"] == "promoted"
    assert decision["evidence"]["passed"] is True
    assert [one["action"] for one in told("show", weak.version)["decisions"]] == [
        "first",
        "promoted",
    ]
    printed = words(fulfillment("model", "show", weak.version))
    assert " scores no " in printed
    assert better.version in printed
    assert " promoted " in printed


@pytest.mark.parametrize("command", ["show", "promote"])
def test_an_unknown_version_is_named(
    command: str, weak: ModelMetadata, fulfillment: Fulfillment
) -> None:
    assert failed(fulfillment("model", command, "lgbm-0")) == (
        "error: There is no model version 'lgbm-0'; `fulfillment model list` shows those that are."
    )


# --- promote, rollback


def test_a_better_model_is_promoted_and_the_comparison_shown(
    weak: ModelMetadata, better: ModelMetadata, workplace: Workplace, fulfillment: Fulfillment
) -> None:
    outcome = fulfillment("model", "promote", better.version)
    assert outcome.status == 0
    printed = words(outcome)
    assert "Comparison" in printed
    assert f"version {weak.version} {better.version}" in printed
    assert "mode_of_shipment Ship" in printed
    assert "Judged by 5,054 held-out orders of 33400 simulated orders, seed 1009. " in printed
    assert f"Promoted: {better.version} is the champion now, after {weak.version}." in printed
    assert workplace.value("SELECT version FROM model_champion") == better.version
    again = fulfillment("model", "promote", better.version)
    assert (again.status, again.out) == (0, f"{better.version} is the champion already.\n")


def test_a_worse_model_is_refused_with_the_reasons_and_status_1(
    weak: ModelMetadata,
    better: ModelMetadata,
    told: Told,
    workplace: Workplace,
    fulfillment: Fulfillment,
) -> None:
    told("promote", better.version)
    outcome = fulfillment("model", "promote", weak.version)
    assert outcome.status == 1
    assert f"Refused; {better.version} stays the champion:\n- It is not shown to be" in outcome.out
    refusal = told("promote", weak.version, status=1)
    assert (refusal["promoted"], refusal["champion"]) == (False, better.version)
    assert refusal["decision"]["action"] == "refused"
    assert refusal["decision"]["evidence"]["passed"] is False
    assert workplace.value("SELECT version FROM model_champion") == better.version
    assert workplace.value("SELECT count(*) FROM model_decisions WHERE action = 'refused'") == 2


def test_force_needs_a_reason_and_both_are_kept(
    weak: ModelMetadata, better: ModelMetadata, told: Told, fulfillment: Fulfillment
) -> None:
    told("promote", better.version)
    assert failed(fulfillment("model", "promote", weak.version, "--force")).startswith(
        "error: a promotion by force needs a reason"
    )
    forced = told("promote", weak.version, "--force", "--reason", "a [test]")
    assert (forced["promoted"], forced["champion"]) == (True, weak.version)
    assert (forced["decision"]["forced"], forced["decision"]["reason"]) == (True, "a [test]")
    assert "force" in words(fulfillment("model", "list")).split()
    assert "a [test]" in words(fulfillment("model", "show", weak.version))


def test_a_rollback_tells_who_is_champion_again(
    weak: ModelMetadata, better: ModelMetadata, told: Told, fulfillment: Fulfillment
) -> None:
    told("promote", better.version)
    outcome = fulfillment("model", "rollback", "--reason", "complaints")
    assert (outcome.status, outcome.out) == (
        0,
        f"{weak.version} is the champion again; {better.version} was taken back.\n",
    )
    assert failed(fulfillment("model", "rollback")) == (
        f"error: There is nothing to roll back to: {weak.version} is the first champion."
    )
    (decision,) = (one for one in told("show")["decisions"] if one["action"] == "rolled_back")
    assert decision["reason"] == "complaints"


def test_who_runs_the_command_is_recorded(
    better: ModelMetadata, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "ada")
    assert told("promote", better.version)["decision"]["decided_by"] == "ada"
    assert told("rollback")["decision"]["decided_by"] == "ada"


def test_files_are_scored_by_the_promoted_champion(
    better: ModelMetadata, told: Told, workplace: Workplace, fulfillment: Fulfillment
) -> None:
    told("promote", better.version)
    outcome = fulfillment("score", workplace.simulated(100), "--json")
    assert outcome.status == 0, outcome.err
    assert json.loads(outcome.out)["model_version"] == better.version


# --- register, export


def test_an_exported_model_is_registered_again_as_the_same_version(
    weak: ModelMetadata, tmp_path: Path, told: Told, fulfillment: Fulfillment
) -> None:
    told("list")
    folder = tmp_path / "exported"
    outcome = fulfillment("model", "export", weak.version, folder)
    assert (outcome.status, outcome.out) == (0, f"{weak.version} is in {folder}\n")
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    assert told("register", folder)["version"] == weak.version
    assert len(told("list")["models"]) == 1


def test_a_registered_model_does_not_score_before_it_is_promoted(
    second_models_dir: Path, weak: ModelMetadata, told: Told, fulfillment: Fulfillment
) -> None:
    told("list")
    outcome = fulfillment("model", "register", second_models_dir)
    version = read_metadata(read_files(second_models_dir)).version
    assert outcome.out == (
        f"{version} is known; `fulfillment model promote {version}` judges it.\n"
    )
    listed = told("list")
    assert (listed["champion"], len(listed["models"])) == (weak.version, 2)


@pytest.mark.parametrize(
    ("content", "words"), [(None, "There is no model: "), ("{", "does not describe a model")]
)
def test_a_folder_without_a_sound_model_is_refused(
    content: str | None, words: str, tmp_path: Path, fulfillment: Fulfillment
) -> None:
    if content is not None:
        (tmp_path / METADATA_FILE).write_text(content)
    assert words in failed(fulfillment("model", "register", tmp_path))


# --- holdout


def outcomes(tmp_path: Path, rows: int) -> Path:
    """A file of orders with their outcomes, in the format of the public data set."""
    features, late = training_frame(rows, seed=3)
    lines = [
        {"ID": "1", "Reached.on.Time_Y.N": str(label)}
        | {name: str(value) for name, value in row.items()}
        for row, label in zip(features.to_pylist(), late.tolist(), strict=True)
    ]
    return saved(tmp_path, csv_text(lines))


def test_without_a_frozen_holdout_the_simulated_one_is_shown(
    told: Told, fulfillment: Fulfillment
) -> None:
    assert told("holdout") == {
        "kind": "simulator",
        "name": "33400 simulated orders, seed 1009",
        "sha256": reference_holdout().sha256,
        "orders": 5_054,
        "late_share": pytest.approx(0.59, abs=0.01),
        "frozen_at": None,
    }
    assert "no, these judge until others are frozen" in words(fulfillment("model", "holdout"))


def test_the_held_out_orders_of_a_file_are_frozen_and_judge_from_then_on(
    better: ModelMetadata, tmp_path: Path, told: Told, fulfillment: Fulfillment
) -> None:
    frozen = told("holdout", "--data", outcomes(tmp_path, 3_000))
    aside = int(held_out(training_frame(3_000, seed=3)[0]).sum())
    assert (frozen["kind"], frozen["name"], frozen["orders"]) == ("file", "orders.csv", aside)
    assert frozen["frozen_at"] is not None
    assert told("holdout") == frozen
    outcome = fulfillment("model", "promote", better.version)
    assert f"Judged by {aside} held-out orders of orders.csv. " in words(outcome)


def test_a_file_that_holds_out_too_few_orders_is_refused(
    tmp_path: Path, told: Told, fulfillment: Fulfillment
) -> None:
    message = failed(fulfillment("model", "holdout", "--data", outcomes(tmp_path, 500)))
    assert message.startswith("error: orders.csv holds out ")
    assert told("holdout")["kind"] == "simulator"
