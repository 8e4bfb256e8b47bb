"""Which orders no model learns from: decided by their features alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from fulfillment_assets.delay_model.training.data import TrainingData
from fulfillment_assets.delay_model.training.split import HELD_OUT_PERCENT, held_out, split
from fulfillment_assets.orders.contract import BY_NAME, FEATURES, Kind


def test_about_the_stated_share_is_held_out(simulated: TrainingData) -> None:
    share = held_out(simulated.features).mean()
    assert share == pytest.approx(HELD_OUT_PERCENT / 100, abs=0.02)


def test_both_parts_together_are_all_orders_each_with_its_label(simulated: TrainingData) -> None:
    learnt, aside = split(simulated)
    chosen = held_out(simulated.features)
    assert learnt.features.equals(simulated.features.filter(pa.array(~chosen)))
    assert aside.features.equals(simulated.features.filter(pa.array(chosen)))
    assert np.array_equal(learnt.late, simulated.late[~chosen])
    assert np.array_equal(aside.late, simulated.late[chosen])
    assert learnt.source == aside.source == simulated.source


def test_labels_and_neighbours_do_not_matter(simulated: TrainingData) -> None:
    chosen = held_out(simulated.features)
    backwards = np.arange(len(chosen))[::-1]
    assert np.array_equal(held_out(simulated.features.take(backwards)), chosen[::-1])
    flipped = replace(simulated, late=np.subtract(1, simulated.late, dtype=np.int8))
    assert split(flipped)[1].features.equals(split(simulated)[1].features)


def test_equal_orders_fall_on_one_side(simulated: TrainingData) -> None:
    chosen = held_out(simulated.features)
    twice = pa.concat_tables([simulated.features, simulated.features])
    assert np.array_equal(held_out(twice), np.concatenate([chosen, chosen]))


def test_the_types_of_the_columns_do_not_matter(simulated: TrainingData) -> None:
    as_text_and_floats = pa.table(
        {
            name: simulated.features[name].cast(
                pa.string() if BY_NAME[name].kind is Kind.CATEGORY else pa.float64()
            )
            for name in FEATURES
        }
    )
    as_dictionaries = simulated.features.set_column(
        FEATURES.index("gender"), "gender", simulated.features["gender"].dictionary_encode()
    )
    expected = held_out(simulated.features)
    assert np.array_equal(held_out(as_text_and_floats), expected)
    assert np.array_equal(held_out(as_dictionaries), expected)


def test_the_rule_stays_what_it_was(simulated: TrainingData) -> None:
    """Another rule would let a model learn from orders that judged its predecessors."""
    assert np.flatnonzero(held_out(simulated.features))[:5].tolist() == [13, 19, 22, 23, 29]
