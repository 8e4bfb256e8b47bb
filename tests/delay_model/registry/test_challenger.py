"""A trained model becomes a challenger: registered, guarded, and given judges."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sqlalchemy.engine import Engine

from fulfillment_assets.delay_model.metadata import SourceKind
from fulfillment_assets.delay_model.registry.challenger import Challenger, enter
from fulfillment_assets.delay_model.registry.holdout import current_holdout
from fulfillment_assets.delay_model.training.data import TrainingData
from fulfillment_assets.delay_model.training.fit import train
from tests.delay_model.registry.examples import Corruption, all_flipped, orders, rows


def of_kind(kind: SourceKind, count: int = 2_000) -> TrainingData:
    data = orders(count, 9)
    return replace(data, source=data.source.model_copy(update={"kind": kind}))


def entered(engine: Engine, data: TrainingData) -> Challenger:
    return enter(engine, train(data, repeats=1), data)


def judges(engine: Engine) -> SourceKind:
    with engine.connect() as connection:
        return current_holdout(connection).kind


def test_it_is_known_with_its_files_and_scores_nothing_yet(engine: Engine) -> None:
    challenger = entered(engine, of_kind("file"))
    assert (challenger.polarity.passed, challenger.leaks.passed) == (True, True)
    assert rows(engine, "SELECT version FROM model_versions") == [
        {"version": challenger.metadata.version}
    ]
    assert len(rows(engine, "SELECT name FROM model_artifacts")) == 3
    assert rows(engine, "SELECT * FROM model_champion") == []


@pytest.mark.parametrize(
    ("kind", "judge"), [("orders", "orders"), ("file", "simulator"), ("simulator", "simulator")]
)
def test_only_own_orders_become_the_holdout_by_themselves(
    kind: SourceKind, judge: SourceKind, engine: Engine
) -> None:
    entered(engine, of_kind(kind))
    assert judges(engine) == judge


def test_the_first_own_orders_go_on_judging_when_there_are_more(engine: Engine) -> None:
    entered(engine, of_kind("orders"))
    (frozen,) = rows(engine, "SELECT sha256 FROM model_holdouts")
    entered(engine, of_kind("orders", 2_500))
    assert rows(engine, "SELECT sha256 FROM model_holdouts") == [frozen]


def test_own_orders_that_are_too_few_to_judge_are_learnt_from_all_the_same(engine: Engine) -> None:
    challenger = entered(engine, of_kind("orders", 600))
    assert judges(engine) == "simulator"
    assert rows(engine, "SELECT version FROM model_versions") == [
        {"version": challenger.metadata.version}
    ]


@pytest.mark.parametrize("corruption", [all_flipped])
def test_a_flipped_label_is_told(corruption: Corruption, engine: Engine) -> None:
    data = orders(2_000, 9, corruption)
    challenger = entered(engine, data)
    assert not challenger.polarity.passed


def test_an_identifier_among_the_features_is_told(engine: Engine) -> None:
    data = of_kind("file")
    named = data.features.append_column("order_id", [np.arange(len(data.late)).astype(str)])
    challenger = entered(engine, replace(data, features=named))
    assert not challenger.leaks.passed
    assert "order_id is an identifier" in challenger.leaks.message
