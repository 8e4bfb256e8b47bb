"""What one step of training leaves for the next."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fulfillment_assets.delay_model.errors import TrainingDataError
from fulfillment_assets.delay_model.training.candidates import CandidateResult
from fulfillment_assets.delay_model.training.data import TrainingData, simulated_training_data
from fulfillment_assets.delay_model.training.store import (
    store_search,
    store_training_data,
    stored_search,
    stored_training_data,
)


def test_stored_training_data_come_back_as_they_were(
    simulated: TrainingData, tmp_path: Path
) -> None:
    store_training_data(simulated, tmp_path / "training")
    back = stored_training_data(tmp_path / "training")
    assert back.features.equals(simulated.features)
    assert np.array_equal(back.late, simulated.late)
    assert back.late.dtype == np.int8
    assert back.source == simulated.source


def test_without_training_data_it_is_said_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(TrainingDataError, match="materialise the asset training_data first"):
        stored_training_data(tmp_path)


def test_stored_results_come_back_as_they_were(
    simulated: TrainingData, compared: tuple[CandidateResult, ...], tmp_path: Path
) -> None:
    path = store_search(compared, simulated, tmp_path / "training")
    assert stored_search(tmp_path / "training", simulated) == compared
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_later_results_replace_earlier_ones(
    simulated: TrainingData, compared: tuple[CandidateResult, ...], tmp_path: Path
) -> None:
    store_search(compared, simulated, tmp_path)
    store_search(compared[:1], simulated, tmp_path)
    assert stored_search(tmp_path, simulated) == compared[:1]


def test_results_on_other_training_data_are_refused(
    simulated: TrainingData, compared: tuple[CandidateResult, ...], tmp_path: Path
) -> None:
    store_search(compared, simulated, tmp_path)
    changed = replace(simulated, source=simulated_training_data(rows=300, seed=6).source)
    with pytest.raises(TrainingDataError, match="compared on other training data than 300 sim"):
        stored_search(tmp_path, changed)


def test_without_results_it_is_said_what_to_do(simulated: TrainingData, tmp_path: Path) -> None:
    with pytest.raises(TrainingDataError, match="materialise the asset model_candidates first"):
        stored_search(tmp_path, simulated)


def test_damaged_results_are_refused(simulated: TrainingData, tmp_path: Path) -> None:
    store_search((), simulated, tmp_path).write_text('{"data_sha256":')
    with pytest.raises(TrainingDataError, match=r"model_candidates\.json cannot be read"):
        stored_search(tmp_path, simulated)
