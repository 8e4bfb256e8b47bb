"""The holdout: orders that no model learnt from, frozen on request."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from sqlalchemy.engine import Engine

from fulfillment_assets.delay_model.errors import TrainingDataError
from fulfillment_assets.delay_model.metadata import TrainingSource
from fulfillment_assets.delay_model.registry.holdout import (
    Holdout,
    current_holdout,
    freeze,
    reference_holdout,
)
from fulfillment_assets.delay_model.training.data import TrainingData
from fulfillment_assets.delay_model.training.split import held_out, split
from fulfillment_assets.orders.contract import FEATURES
from tests.delay_model.registry.examples import orders, rows


def frozen(engine: Engine, data: TrainingData, by: str | None = None) -> Holdout:
    with engine.begin() as connection:
        return freeze(connection, data, by=by)


def current(engine: Engine) -> Holdout:
    with engine.connect() as connection:
        return current_holdout(connection)


def test_before_any_are_frozen_simulated_orders_judge(engine: Engine) -> None:
    judges = current(engine)
    assert judges is reference_holdout()
    assert (judges.kind, judges.frozen_at) == ("simulator", None)
    assert 4_800 < len(judges.late) == judges.features.num_rows < 5_300
    assert held_out(judges.features).all(), "a model could have learnt from one of them"


def test_the_reference_is_the_same_in_every_process() -> None:
    digest = reference_holdout().sha256
    reference_holdout.cache_clear()
    assert reference_holdout().sha256 == digest
    assert digest == "e4a8a3098f0be6314a1b327ce1bd93f03f448d320b5f1c1a73fd1605cbc33f78"


def test_frozen_orders_are_the_held_out_ones_and_are_read_back_as_they_were(
    engine: Engine,
) -> None:
    data = orders(3_000, 9)
    kept = frozen(engine, data, by="ada")
    judges = current(engine)
    _, aside = split(data)
    assert judges.features.to_pylist() == aside.features.to_pylist()
    assert judges.late.tolist() == aside.late.tolist()
    assert judges.features.column_names == list(FEATURES)
    assert (judges.kind, judges.name) == ("simulator", "3000 simulated orders, seed 9")
    assert (judges.sha256, judges.frozen_at) == (kept.sha256, kept.frozen_at)
    (row,) = rows(engine, "SELECT rows, late_share, frozen_by FROM model_holdouts")
    assert (row["rows"], row["frozen_by"]) == (len(aside.late), "ada")
    assert row["late_share"] == pytest.approx(aside.late.mean())


def test_the_same_orders_are_kept_once(engine: Engine) -> None:
    first, second = frozen(engine, orders(3_000, 9)), frozen(engine, orders(3_000, 9))
    assert first.sha256 == second.sha256
    assert rows(engine, "SELECT count(*) AS n FROM model_holdouts") == [{"n": 1}]


def test_the_orders_frozen_last_judge_even_if_they_were_known_before(engine: Engine) -> None:
    old, new = orders(3_000, 9), orders(3_000, 10)
    for data in (old, new, old):
        kept = frozen(engine, data)
        assert current(engine).sha256 == kept.sha256
    assert rows(engine, "SELECT count(*) AS n FROM model_holdouts") == [{"n": 2}]


def test_equal_orders_are_recognised_whatever_their_types(engine: Engine) -> None:
    data = orders(3_000, 9)
    as_read_elsewhere = pa.table(
        {
            name: column.cast(pa.float64())
            if pa.types.is_integer(column.type)
            else column.dictionary_encode()
            for name, column in zip(FEATURES, data.features.select(FEATURES), strict=True)
        }
    )
    other = replace(data, features=as_read_elsewhere)
    assert frozen(engine, other).sha256 == frozen(engine, data).sha256


def test_other_outcomes_are_another_holdout(engine: Engine) -> None:
    data = orders(3_000, 9)
    turned = replace(data, late=np.subtract(1, data.late, dtype=np.int8))
    assert frozen(engine, turned).sha256 != frozen(engine, data).sha256


def test_freezing_belongs_to_the_callers_transaction(engine: Engine) -> None:
    with engine.connect() as connection:
        freeze(connection, orders(3_000, 9))
        connection.rollback()
    assert current(engine) is reference_holdout()


def test_too_few_orders_are_refused_with_their_number(engine: Engine) -> None:
    data = orders(1_000, 9)
    aside = int(held_out(data.features).sum())
    with pytest.raises(
        TrainingDataError,
        match=f"1000 simulated orders, seed 9 holds out {aside} orders, .* at least 200, with at "
        "least 50 of each",
    ):
        frozen(engine, data)
    assert rows(engine, "SELECT count(*) AS n FROM model_holdouts") == [{"n": 0}]


@pytest.mark.parametrize("outcome", [0, 1], ids=["late", "punctual"])
def test_too_few_orders_of_one_outcome_are_refused(outcome: int, engine: Engine) -> None:
    data = orders(3_000, 9)
    (positions,) = np.nonzero(held_out(data.features))
    late = np.full(len(data.late), outcome, np.int8)
    late[positions[:49]] = 1 - outcome
    with pytest.raises(TrainingDataError, match=r"49 of them late|and 49 on time"):
        frozen(engine, replace(data, late=late))
    late[positions[49]] = 1 - outcome
    assert len(frozen(engine, replace(data, late=late)).late) == len(positions)


def test_the_kind_and_name_of_the_data_are_kept(engine: Engine) -> None:
    source = TrainingSource(kind="orders", name="2026-01 to 2026-03", sha256="0" * 64)
    frozen(engine, replace(orders(3_000, 9), source=source))
    assert (current(engine).kind, current(engine).name) == ("orders", "2026-01 to 2026-03")
