"""Which segments are the riskiest, and how sure that is."""

from __future__ import annotations

import numpy as np
import pytest
from sqlalchemy.engine import Engine

from fulfillment_assets.kpis.ranking import RiskySegment, mean_interval, riskiest_segments
from fulfillment_assets.kpis.rollups import DIMENSIONS
from tests.kpis.examples import NOW, Event, commit


def orders(block: str, *probabilities: float) -> list[Event]:
    return [
        Event(f"{block}{number}", probability, warehouse_block=block)
        for number, probability in enumerate(probabilities)
    ]


def by_block(engine: Engine, **options: float) -> list[RiskySegment]:
    with engine.connect() as connection:
        return riskiest_segments(connection, by=["warehouse"], until=NOW, **options)  # type: ignore[arg-type]


def names(found: list[RiskySegment]) -> str:
    return "".join(one.segment["warehouse_block"] for one in found)


def test_a_few_orders_that_chanced_to_be_risky_do_not_outrank_many(engine: Engine) -> None:
    many = np.random.default_rng(1).uniform(0.5, 0.7, 2_000).tolist()
    commit(engine, *orders("A", *many), *orders("B", *([0.99] * 5)), *orders("C", *([0.9] * 30)))
    assert names(by_block(engine, minimum_orders=1)) == "ACB"
    assert names(by_block(engine)) == "AC"


def test_many_orders_rank_by_their_risk(engine: Engine) -> None:
    commit(engine, *orders("A", *([0.3] * 300)), *orders("B", *([0.8, 0.9] * 150)))
    found = by_block(engine)
    assert names(found) == "BA"
    assert [one.orders for one in found] == [300, 300]
    assert found[0].low < found[0].mean_probability < found[0].high
    assert found[0].mean_probability == pytest.approx(0.85)
    assert found[0].high_risk == 300


def test_segments_are_combinations_of_all_dimensions_unless_told_otherwise(engine: Engine) -> None:
    commit(engine, *orders("A", *([0.3] * 40)))
    with engine.connect() as connection:
        [found] = riskiest_segments(connection, until=NOW)
        assert tuple(found.segment) == DIMENSIONS
        assert riskiest_segments(connection, until=NOW, where={"warehouse": "B"}) == []


def test_as_many_are_told_as_are_asked_for(engine: Engine) -> None:
    commit(engine, *(event for block in "ABC" for event in orders(block, *([0.6] * 40))))
    assert names(by_block(engine, limit=2)) == "AB"


def test_an_interval_narrows_with_the_orders_and_with_their_likeness() -> None:
    widths = [
        high - low
        for low, high in (
            mean_interval(0.5, 0.08, 200),
            mean_interval(0.5, 0.08, 2_000),
            mean_interval(0.5, 0.01, 2_000),
        )
    ]
    assert widths == sorted(widths, reverse=True)


def test_an_interval_is_the_formulas() -> None:
    found = mean_interval(0.6, 0.04, 1_000, confidence=0.95)
    assert found == pytest.approx((0.571042, 0.628958), abs=1e-6)


def test_an_interval_stays_within_zero_and_one() -> None:
    assert mean_interval(0.99, 0.0, 5) == (0.0, 1.0)
    assert mean_interval(0.7, None, 1) == (0.0, 1.0)


@pytest.mark.parametrize("count", [5, 30, 300])
def test_an_interval_holds_the_true_mean_as_often_as_it_says(count: int) -> None:
    samples = np.random.default_rng(7).choice([0.3, 0.95], (2_000, count), p=[0.9, 0.1])
    truth = 0.9 * 0.3 + 0.1 * 0.95
    held = 0
    for sample in samples:
        low, high = mean_interval(float(sample.mean()), float(sample.var(ddof=1)), count)
        held += low <= truth <= high
    assert held / len(samples) >= 0.95


@pytest.mark.parametrize("confidence", [0, 1, 1.5])
def test_a_confidence_beyond_zero_and_one_is_refused(confidence: float) -> None:
    with pytest.raises(ValueError, match="above 0 and below 1"):
        mean_interval(0.5, 0.1, 10, confidence)
