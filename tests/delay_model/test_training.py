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
    sha256,
)
from fulfillment_assets.delay_model.errors import TrainingDataError
from fulfillment_assets.delay_model.features import CATEGORICAL
from fulfillment_assets.delay_model.scorer import DelayScorer
from fulfillment_assets.delay_model.training import TrainedModel, save, train
from fulfillment_assets.delay_model.training_data import TrainingData, simulated_training_data
from fulfillment_assets.orders.contract import BY_NAME, FEATURES
from fulfillment_assets.orders.simulator import training_frame

_TRAIN_AGAIN = """
import sys
from pathlib import Path
from fulfillment_assets.delay_model.training import save, train
from fulfillment_assets.delay_model.training_data import simulated_training_data
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
    assert metadata.training_data.rows == 3000
    assert metadata.training_data.sha256 == simulated.source.sha256
    assert metadata.training_data.late_share == pytest.approx(simulated.late.mean(), abs=1e-6)
    assert metadata.unseen_categories == {"warehouse_block": {"E": "F"}}
    assert (metadata.validation.folds, metadata.validation.repeats) == (5, 1)


def test_golden_rows_cover_every_category(stored: Path) -> None:
    golden = DelayScorer.load(stored).metadata.golden_rows
    assert len(golden) >= 12
    for name in CATEGORICAL:
        assert {row.order[name] for row in golden} == set(BY_NAME[name].choices)


def test_the_bands_share_out_all_orders(trained: TrainedModel) -> None:
    assert sum(band.share for band in trained.bands) == pytest.approx(1, abs=1e-5)


def test_metrics_are_measured_out_of_sample(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    features, late = training_frame(3000, 5)
    noise = replace(simulated_training_data(rows=3000, seed=5), late=rng.permutation(late))
    assert features.num_rows == len(noise.late)
    assert train(noise, repeats=1).metrics["roc_auc"].mean == pytest.approx(0.5, abs=0.05)


def test_simulated_training_carries_over_to_other_simulated_orders(stored: Path) -> None:
    from sklearn.metrics import roc_auc_score

    features, late = training_frame(10_000, seed=77)
    scores = DelayScorer.load(stored).score(features)
    assert 0.70 < roc_auc_score(late, scores.probability) < 0.77


@pytest.mark.parametrize(("only", "absent"), [(0, "late"), (1, "on time")])
def test_a_single_class_is_refused(simulated: TrainingData, only: int, absent: str) -> None:
    data = replace(simulated, late=np.full(len(simulated.late), only, np.int8))
    with pytest.raises(TrainingDataError, match=f"0 orders that were {absent}"):
        train(data)


def test_too_few_orders_are_refused(simulated: TrainingData) -> None:
    few = replace(simulated, features=simulated.features.slice(0, 60), late=simulated.late[:60])
    with pytest.raises(TrainingDataError, match="at least 100 are needed"):
        train(few)
