from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fulfillment_assets.delay_model.errors import TrainingDataError
from fulfillment_assets.delay_model.training.data import TrainingData
from fulfillment_assets.delay_model.training.preparation import prepare
from fulfillment_assets.delay_model.training.split import split


def test_only_the_orders_to_learn_from_are_encoded(simulated: TrainingData) -> None:
    prepared = prepare(simulated)
    learnt, aside = split(simulated)
    assert prepared.learnt.features.equals(learnt.features)
    assert prepared.held_out.features.equals(aside.features)
    assert prepared.matrix.shape == (learnt.features.num_rows, 10)


def test_the_matrix_is_what_the_scorer_will_see(simulated: TrainingData) -> None:
    prepared = prepare(simulated)
    assert np.array_equal(prepared.matrix, prepared.encoder.matrix(prepared.learnt.features))


@pytest.mark.parametrize(("only", "absent"), [(0, "late"), (1, "on time")])
def test_a_single_class_is_refused(simulated: TrainingData, only: int, absent: str) -> None:
    data = replace(simulated, late=np.full(len(simulated.late), only, np.int8))
    with pytest.raises(TrainingDataError, match=f"0 orders that were {absent}"):
        prepare(data)


def test_too_few_orders_are_refused(simulated: TrainingData) -> None:
    few = replace(simulated, features=simulated.features.slice(0, 60), late=simulated.late[:60])
    with pytest.raises(TrainingDataError, match="at least 100 are needed"):
        prepare(few)
