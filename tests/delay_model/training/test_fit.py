import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fulfillment_assets.delay_model.artifacts import (
    CLASSIFIER_FILE,
    METADATA_FILE,
    PREPROCESSOR_FILE,
    read_metadata,
    sha256,
)
from fulfillment_assets.delay_model.errors import DelayModelError
from fulfillment_assets.delay_model.features import CATEGORICAL
from fulfillment_assets.delay_model.metrics import evaluate
from fulfillment_assets.delay_model.scorer import DelayScorer
from fulfillment_assets.delay_model.training.candidates import (
    DEFAULT,
    SEARCH_SPACE,
    Candidate,
    CandidateResult,
)
from fulfillment_assets.delay_model.training.data import TrainingData, simulated_training_data
from fulfillment_assets.delay_model.training.fit import TrainedModel, package, save, train
from fulfillment_assets.delay_model.training.split import held_out, split
from fulfillment_assets.orders.contract import BY_NAME, FEATURES
from fulfillment_assets.orders.simulator import training_frame

_TRAIN_AGAIN = """
import sys
from pathlib import Path
from fulfillment_assets.delay_model.training.fit import save, train
from fulfillment_assets.delay_model.training.data import simulated_training_data
save(train(simulated_training_data(rows=3000, seed=5), repeats=1), Path(sys.argv[1]))
"""


def test_the_same_data_give_the_same_bytes_in_another_process(stored: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    environment = os.environ | {"PYTHONHASHSEED": "1234", "OMP_NUM_THREADS": "2"}
    subprocess.run([sys.executable, "-c", _TRAIN_AGAIN, again], check=True, env=environment)
    for name in (CLASSIFIER_FILE, PREPROCESSOR_FILE, METADATA_FILE):
        assert (again / name).read_bytes() == (stored / name).read_bytes(), name


def test_the_same_data_give_the_same_bytes_in_the_same_process(
    simulated: TrainingData, stored: Path, tmp_path: Path
) -> None:
    again = save(train(simulated, repeats=1), tmp_path / "again")
    assert again == DelayScorer.load(stored).metadata


def test_other_data_give_another_version(trained: TrainedModel, tmp_path: Path) -> None:
    other = train(simulated_training_data(rows=3000, seed=6), repeats=1)
    assert save(other, tmp_path).version != save(trained, tmp_path).version


def test_the_version_is_derived_from_the_artefacts(stored: Path) -> None:
    metadata = DelayScorer.load(stored).metadata
    artefacts = (stored / CLASSIFIER_FILE, stored / PREPROCESSOR_FILE)
    digest = sha256(b"".join(path.read_bytes() for path in artefacts))
    assert metadata.version == f"lgbm-{digest[:12]}"


def test_metadata_say_what_was_trained_on_what(stored: Path, simulated: TrainingData) -> None:
    metadata = DelayScorer.load(stored).metadata
    assert metadata.features == FEATURES
    assert metadata.label.name == "is_late"
    assert metadata.training_data.kind == "simulator"
    learnt, aside = split(simulated)
    assert metadata.training_data.rows == len(learnt.late)
    assert metadata.training_data.held_out == len(aside.late)
    assert metadata.training_data.sha256 == simulated.source.sha256
    assert metadata.training_data.late_share == pytest.approx(learnt.late.mean(), abs=1e-6)
    assert metadata.unseen_categories == {"warehouse_block": {"E": "F"}}
    assert (metadata.validation.folds, metadata.validation.repeats) == (5, 1)


def test_golden_rows_cover_every_category(stored: Path) -> None:
    golden = DelayScorer.load(stored).metadata.golden_rows
    assert len(golden) >= 12
    for name in CATEGORICAL:
        assert {row.order[name] for row in golden} == set(BY_NAME[name].choices)


def test_the_bands_share_out_all_orders(trained: TrainedModel) -> None:
    assert sum(band.share for band in trained.bands) == pytest.approx(1, abs=1e-5)


def test_held_out_orders_are_scored_by_the_final_model(
    trained: TrainedModel, stored: Path, simulated: TrainingData
) -> None:
    _, aside = split(simulated)
    expected = evaluate(aside.late, DelayScorer.load(stored).score(aside.features).probability)
    assert trained.held_out is not None
    assert trained.held_out.rows == len(aside.late)
    assert trained.held_out.late_share == pytest.approx(aside.late.mean(), abs=1e-6)
    assert trained.held_out.metrics == pytest.approx(expected, abs=2e-6)
    assert DelayScorer.load(stored).metadata.held_out == trained.held_out


def test_held_out_orders_teach_nothing(trained: TrainedModel, simulated: TrainingData) -> None:
    chosen = held_out(simulated.features)
    turned = np.where(chosen, 1 - simulated.late, simulated.late).astype(np.int8)
    other = train(replace(simulated, late=turned), repeats=1)
    assert package(other).contents[CLASSIFIER_FILE] == package(trained).contents[CLASSIFIER_FILE]
    assert other.metrics == trained.metrics
    assert other.held_out != trained.held_out


def test_too_few_held_out_orders_have_no_metrics(simulated: TrainingData) -> None:
    aside = np.flatnonzero(held_out(simulated.features))
    without = np.setdiff1d(np.arange(len(simulated.late)), aside[20:])
    few = replace(
        simulated, features=simulated.features.take(without), late=simulated.late[without]
    )
    model = train(few, repeats=1)
    assert model.training_set.held_out == 20
    assert model.held_out is None
    assert read_metadata(package(model)).held_out is None


def test_predictions_out_of_fold_are_what_metrics_and_bands_are_measured_on(
    trained: TrainedModel, simulated: TrainingData
) -> None:
    predicted = trained.out_of_fold
    assert len(predicted.late) == trained.training_set.rows
    assert trained.metrics == predicted.metrics()
    critical = trained.bands[0]
    assert critical.share == pytest.approx(np.mean(predicted.probability > 0.7), abs=1e-6)


def test_without_a_search_the_default_candidate_is_trained(stored: Path) -> None:
    metadata = DelayScorer.load(stored).metadata
    assert (metadata.candidate, metadata.search) == (DEFAULT.name, None)
    assert metadata.hyperparameters == DEFAULT.parameters


def test_a_chosen_candidate_is_trained_and_the_search_is_told(
    simulated: TrainingData, compared: tuple[CandidateResult, ...], trained: TrainedModel
) -> None:
    chosen = compared[-1].candidate
    model = train(simulated, candidate=chosen, search=compared, repeats=1)
    metadata = read_metadata(package(model))
    assert (metadata.candidate, metadata.hyperparameters) == (chosen.name, chosen.parameters)
    trees = model.classifier.calibrated_classifiers_[0].estimator
    assert trees.get_params()["num_leaves"] == chosen.parameters["num_leaves"]
    assert metadata.search is not None
    assert [row.name for row in metadata.search.candidates] == [r.candidate.name for r in compared]
    assert metadata.search.candidates[0].brier == compared[0].metrics["brier"]
    assert metadata.search.validation.seed != metadata.validation.seed


def test_the_search_is_told_but_does_not_change_the_version(
    simulated: TrainingData, compared: tuple[CandidateResult, ...], trained: TrainedModel
) -> None:
    told = train(simulated, search=compared, repeats=1)
    assert read_metadata(package(told)).version == read_metadata(package(trained)).version


def test_a_baseline_is_not_trained(simulated: TrainingData) -> None:
    with pytest.raises(DelayModelError, match="random_forest is there for comparison only"):
        train(simulated, candidate=SEARCH_SPACE[-1])


@pytest.mark.parametrize(
    "candidate", [c for c in SEARCH_SPACE if c.eligible], ids=lambda candidate: candidate.name
)
def test_every_candidate_that_may_be_chosen_can_be_served(
    simulated: TrainingData, candidate: Candidate
) -> None:
    few = replace(simulated, features=simulated.features.slice(0, 1200), late=simulated.late[:1200])
    scorer = DelayScorer.open(package(train(few, candidate=candidate, repeats=1)))
    assert len(scorer.metadata.golden_rows) >= 12


def test_simulated_training_carries_over_to_other_simulated_orders(stored: Path) -> None:
    from sklearn.metrics import roc_auc_score

    features, late = training_frame(10_000, seed=77)
    scores = DelayScorer.load(stored).score(features)
    assert 0.70 < roc_auc_score(late, scores.probability) < 0.77
