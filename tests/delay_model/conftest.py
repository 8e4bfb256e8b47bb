from __future__ import annotations

from pathlib import Path

import pytest

from fulfillment_assets.delay_model.artifacts import Artifacts, open_artifacts, read_files
from fulfillment_assets.delay_model.scorer import DelayScorer
from fulfillment_assets.delay_model.training.candidates import (
    SEARCH_SPACE,
    Candidate,
    CandidateResult,
    compare_candidates,
)
from fulfillment_assets.delay_model.training.data import TrainingData, simulated_training_data
from fulfillment_assets.delay_model.training.fit import TrainedModel, save, train
from fulfillment_assets.settings import PROJECT_ROOT

MODELS = PROJECT_ROOT / "models"


@pytest.fixture(scope="session")
def scorer() -> DelayScorer:
    """The committed model."""
    return DelayScorer.load(MODELS)


@pytest.fixture(scope="session")
def artifacts() -> Artifacts:
    """The committed model as scikit-learn objects."""
    return open_artifacts(read_files(MODELS))


@pytest.fixture(scope="session")
def simulated() -> TrainingData:
    return simulated_training_data(rows=3000, seed=5)


@pytest.fixture(scope="session")
def trained(simulated: TrainingData) -> TrainedModel:
    return train(simulated, repeats=1)


@pytest.fixture(scope="session")
def small_space() -> tuple[Candidate, ...]:
    """One baseline, and the simplest candidates that can be served."""
    return SEARCH_SPACE[:4]


@pytest.fixture(scope="session")
def compared(
    simulated: TrainingData, small_space: tuple[Candidate, ...]
) -> tuple[CandidateResult, ...]:
    """What a search on the simulated orders found."""
    return compare_candidates(simulated, small_space)


@pytest.fixture
def stored(trained: TrainedModel, tmp_path: Path) -> Path:
    """A folder of its own with a freshly stored model."""
    folder = tmp_path / "models"
    save(trained, folder)
    return folder
