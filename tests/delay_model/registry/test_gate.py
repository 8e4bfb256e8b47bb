"""The gate: only a model that is shown to be better, everywhere that matters, passes."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import pyarrow.compute as pc
import pytest

from fulfillment_assets.delay_model.artifacts import read_metadata
from fulfillment_assets.delay_model.label import Labels
from fulfillment_assets.delay_model.metrics import evaluate
from fulfillment_assets.delay_model.registry.evidence import Verdict
from fulfillment_assets.delay_model.registry.gate import SEGMENT_MARGIN, compare
from fulfillment_assets.delay_model.registry.holdout import Holdout, reference_holdout
from fulfillment_assets.delay_model.scorer import DelayScorer
from fulfillment_assets.delay_model.training.data import TrainingData
from tests.delay_model.registry.examples import (
    CORRUPTIONS,
    Corruption,
    all_flipped,
    flights_misread,
    model,
    scorer,
    some_flipped,
    strong,
    weak,
    with_metadata,
)


def judged(
    rows: int, seed: int, corruption: Corruption | None = None, holdout: Holdout | None = None
) -> Verdict:
    """A model of such orders against the weak champion."""
    challenger = DelayScorer.open(model(rows, seed, corruption))
    return compare(challenger, scorer(weak), holdout or reference_holdout())


def of_real_orders(files: object) -> DelayScorer:
    """A weak or strong model that says it learnt from a file."""
    chosen = strong() if files is strong else weak()
    source = read_metadata(chosen).training_data.model_dump() | {"kind": "file"}
    return DelayScorer.open(with_metadata(chosen, training_data=source))


@functools.cache
def better() -> Verdict:
    return compare(scorer(strong), scorer(weak), reference_holdout())


def test_a_better_challenger_passes() -> None:
    verdict = better()
    assert (verdict.passed, verdict.reasons) == (True, ())
    assert verdict.improvement.lower > 0
    assert verdict.challenger.brier < verdict.champion.brier


def test_the_figures_are_those_of_the_holdout() -> None:
    verdict, orders = better(), reference_holdout()
    for figures, files in ((verdict.champion, weak), (verdict.challenger, strong)):
        loaded = scorer(files)
        measured = evaluate(orders.late, loaded.score(orders.features).probability)
        assert (figures.version, figures.trained_on) == (loaded.version, "simulator")
        for name in ("brier", "log_loss", "roc_auc", "ece"):
            assert getattr(figures, name) == pytest.approx(measured[name], abs=1e-6)
    assert verdict.improvement.mean == pytest.approx(
        verdict.champion.brier - verdict.challenger.brier, abs=2e-6
    )
    assert (verdict.holdout.sha256, verdict.holdout.orders) == (orders.sha256, len(orders.late))


def test_the_interval_is_that_of_a_mean_of_paired_differences() -> None:
    """For a mean over thousands of orders, the bootstrap comes close to the normal interval."""
    orders, interval = reference_holdout(), better().improvement
    losses = [
        (scorer(f).score(orders.features).probability - orders.late) ** 2 for f in (weak, strong)
    ]
    difference = losses[0] - losses[1]
    width = 2 * 1.96 * difference.std(ddof=1) / np.sqrt(len(difference))
    assert interval.upper - interval.lower == pytest.approx(width, rel=0.06)
    unpaired = 2 * 1.96 * np.sqrt(sum(loss.var() for loss in losses) / len(difference))
    assert width < unpaired / 2, "pairing is what makes the comparison sharp"


def test_the_same_comparison_gives_the_same_verdict() -> None:
    assert compare(scorer(strong), scorer(weak), reference_holdout()) == better()


def test_an_equal_challenger_is_refused() -> None:
    verdict = compare(scorer(strong), scorer(strong), reference_holdout())
    assert not verdict.passed
    assert (verdict.improvement.lower, verdict.improvement.upper) == (0, 0)
    (reason,) = verdict.reasons
    assert reason == (
        "It is not shown to be better: its Brier score is worse by 0.0000, and the lower bound of "
        "the improvement's 95 % interval, 0.0000, must be above 0."
    )


def test_a_challenger_that_may_be_better_by_chance_is_refused() -> None:
    few = np.arange(3_200, 3_600)
    orders = reference_holdout()
    small = replace(orders, features=orders.features.take(few), late=orders.late[few])
    verdict = compare(scorer(strong), scorer(weak), small)
    assert verdict.improvement.mean > 0, "it is better, but so few orders do not show it"
    assert not verdict.passed
    assert verdict.reasons[0].startswith("It is not shown to be better")


@pytest.mark.parametrize("corruption", CORRUPTIONS, ids=lambda one: one.__name__)
def test_a_challenger_of_corrupted_outcomes_is_refused(corruption: Corruption) -> None:
    verdict = judged(1_500, 7, corruption)
    assert not verdict.passed
    assert verdict.improvement.upper < 0, "it is shown to be worse"
    assert verdict.reasons[0].startswith("It is not shown to be better: its Brier score is worse")
    assert verdict.reasons[-1].startswith("The model does not call late what is known to be late")


def test_even_by_equally_corrupted_outcomes_a_corrupted_challenger_is_refused() -> None:
    orders = reference_holdout()
    late = some_flipped(TrainingData(orders.features, orders.late, source=None))  # type: ignore[arg-type]
    verdict = judged(3_000, 7, some_flipped, replace(orders, late=late))
    assert verdict.improvement.lower > 0, "by such outcomes it is the better model"
    (reason,) = (one for one in verdict.reasons if "its label may be inverted" in one)
    assert "it must exceed 0.9" in reason
    assert not verdict.passed


def test_a_better_challenger_that_is_worse_in_one_segment_is_refused() -> None:
    misread = model(8_000, 6, flights_misread)
    source = read_metadata(misread).training_data.model_dump() | {"kind": "orders"}
    challenger = DelayScorer.open(with_metadata(misread, training_data=source))
    verdict = compare(challenger, scorer(weak), reference_holdout())
    assert verdict.improvement.lower > 0
    assert not verdict.passed
    (flights,) = (s for s in verdict.segments if s.category == "Flight")
    assert flights.worse_by > SEGMENT_MARGIN
    assert verdict.reasons == (
        "Its Brier score is worse by more than the 0.01 that is allowed for mode_of_shipment "
        f"Flight ({flights.challenger:.4f} against {flights.champion:.4f} over {flights.orders} "
        "orders).",
    )


def test_the_worst_segments_are_told_and_the_others_counted() -> None:
    verdict = judged(1_500, 7, all_flipped)
    (reason,) = (one for one in verdict.reasons if "is allowed for" in one)
    assert reason.endswith(f" and {len(verdict.segments) - 3} more segments.")
    worst = max(verdict.segments, key=lambda segment: segment.worse_by)
    assert f"for {worst.feature} {worst.category} (" in reason


def test_every_category_with_enough_orders_is_a_segment() -> None:
    orders = reference_holdout()
    found = {(s.feature, s.category): s.orders for s in better().segments}
    assert ("warehouse_block", "E") not in found, "the data hold none"
    assert len(found) == 5 + 3 + 2 + 3
    for (feature, category), count in found.items():
        assert count == pc.sum(pc.equal(orders.features.column(feature), category)).as_py()
    few = np.arange(1_000)
    small = replace(orders, features=orders.features.take(few), late=orders.late[few])
    judged_of_few = {s.category for s in compare(scorer(strong), scorer(weak), small).segments}
    assert "Ship" in judged_of_few
    assert "high" not in judged_of_few, "fewer than 200 orders judge nothing"


def test_a_challenger_that_is_worse_calibrated_is_refused() -> None:
    """It learnt from a time in which more of the risky orders came late than do now."""

    def worse_times(data: TrainingData) -> Labels:
        late = np.random.default_rng(3).random(len(data.late)) < 0.3
        return np.where(late, 1, data.late).astype(np.int8)

    verdict = judged(1_500, 7, worse_times)
    worse_by = verdict.challenger.ece - verdict.champion.ece
    (reason,) = (one for one in verdict.reasons if "calibrated" in one)
    assert reason == (
        f"It is worse calibrated: its calibration error is {verdict.challenger.ece:.4f} against "
        f"{verdict.champion.ece:.4f}, worse by {worse_by:.4f}; at most 0.02 is allowed."
    )


def test_simulated_orders_do_not_prefer_a_model_of_simulated_orders_to_one_of_real_ones() -> None:
    orders, champion = reference_holdout(), of_real_orders(weak)
    verdict = compare(scorer(strong), champion, orders)
    (reason,) = verdict.reasons
    assert reason.startswith("Simulated orders judge here, and they favour")
    assert "`fulfillment model holdout --data FILE`" in reason
    assert not verdict.passed

    assert compare(of_real_orders(strong), champion, orders).passed
    assert compare(of_real_orders(strong), scorer(weak), orders).passed
    assert compare(scorer(strong), champion, replace(orders, kind="file")).passed


def test_a_verdict_is_kept_as_json() -> None:
    assert Verdict.model_validate_json(better().model_dump_json()) == better()


def test_a_challenger_that_is_too_good_to_be_true_is_refused() -> None:
    metrics = read_metadata(strong()).model_dump()["metrics"]
    metrics["roc_auc"]["mean"] = 0.93
    leaky = DelayScorer.open(with_metadata(strong(), metrics=metrics))
    verdict = compare(leaky, scorer(weak), reference_holdout())
    assert not verdict.passed
    (reason,) = verdict.reasons
    assert "roc_auc is 0.9300, too good to be true" in reason
