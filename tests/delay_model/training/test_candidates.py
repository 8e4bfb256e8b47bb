from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from fulfillment_assets.delay_model.errors import DelayModelError
from fulfillment_assets.delay_model.metadata import Validation
from fulfillment_assets.delay_model.metrics import Metric
from fulfillment_assets.delay_model.training.candidates import (
    DEFAULT,
    SEARCH_SEED,
    SEARCH_SPACE,
    XGBOOST,
    Candidate,
    CandidateResult,
    choose,
    compare_candidates,
    search_record,
)
from fulfillment_assets.delay_model.training.data import TrainingData
from fulfillment_assets.delay_model.training.fit import TrainedModel
from fulfillment_assets.delay_model.training.split import held_out

METRICS = (
    "accuracy",
    "precision",
    "recall",
    "f1",
    "mcc",
    "roc_auc",
    "pr_auc",
    "brier",
    "log_loss",
    "ece",
)

_COMPARE_AGAIN = """
from fulfillment_assets.delay_model.training.candidates import SEARCH_SPACE, compare_candidates
from fulfillment_assets.delay_model.training.data import simulated_training_data
for result in compare_candidates(simulated_training_data(rows=3000, seed=5), SEARCH_SPACE[:4]):
    print(result.model_dump_json())
"""


def result(name: str, brier: float, std: float = 0.01, *, eligible: bool = True) -> CandidateResult:
    """What a search might say of a candidate."""
    return CandidateResult(
        candidate=DEFAULT.model_copy(update={"name": name, "eligible": eligible}),
        validation=Validation(folds=5, repeats=1, seed=1),
        metrics={"brier": Metric(mean=brier, std=std), "roc_auc": Metric(mean=0.7, std=0.01)},
    )


def test_the_space_has_baselines_that_are_compared_but_not_served() -> None:
    served = {candidate.family: candidate.eligible for candidate in SEARCH_SPACE}
    assert served == {"logistic_regression": False, "random_forest": False, "lightgbm": True}
    assert XGBOOST not in SEARCH_SPACE
    assert not XGBOOST.eligible


def test_names_are_unique_and_the_default_is_one_of_the_space() -> None:
    names = [candidate.name for candidate in (*SEARCH_SPACE, XGBOOST)]
    assert len(set(names)) == len(names)
    assert DEFAULT in SEARCH_SPACE


def test_the_space_declares_the_simplest_first() -> None:
    splits = [
        (c.parameters["num_leaves"] - 1) * c.parameters["n_estimators"]
        for c in SEARCH_SPACE
        if c.eligible
    ]
    assert splits == sorted(splits)


def test_only_what_the_scorer_can_serve_may_be_eligible() -> None:
    with pytest.raises(ValueError, match="only lightgbm can be served"):
        Candidate(name="forest", family="random_forest", parameters={}, eligible=True)


def test_all_candidates_are_measured_with_every_metric_in_declared_order(
    compared: tuple[CandidateResult, ...], small_space: tuple[Candidate, ...]
) -> None:
    assert tuple(result.candidate for result in compared) == small_space
    for measured in compared:
        assert tuple(measured.metrics) == METRICS
        assert all(metric.std > 0 for metric in measured.metrics.values())


def test_the_search_measures_on_other_folds_than_the_final_model(
    compared: tuple[CandidateResult, ...], trained: TrainedModel
) -> None:
    assert {r.validation for r in compared} == {Validation(folds=5, repeats=1, seed=SEARCH_SEED)}
    assert trained.validation.seed != SEARCH_SEED


def test_the_same_data_give_the_same_results_in_another_process(
    compared: tuple[CandidateResult, ...],
) -> None:
    environment = os.environ | {"PYTHONHASHSEED": "1234", "OPENBLAS_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, "-c", _COMPARE_AGAIN], check=True, env=environment, stdout=subprocess.PIPE
    )
    again = [CandidateResult.model_validate_json(line) for line in done.stdout.splitlines()]
    assert again == list(compared)


def test_a_candidate_is_measured_alike_whatever_it_is_compared_with(
    simulated: TrainingData, compared: tuple[CandidateResult, ...]
) -> None:
    last = compared[-1]
    assert compare_candidates(simulated, (last.candidate,)) == (last,)


def test_more_repeats_are_more_folds(simulated: TrainingData) -> None:
    [measured] = compare_candidates(simulated, (DEFAULT,), repeats=2)
    assert measured.validation.repeats == 2
    assert measured.metrics != compare_candidates(simulated, (DEFAULT,))[0].metrics


def test_held_out_orders_take_no_part_in_the_search(
    simulated: TrainingData, compared: tuple[CandidateResult, ...]
) -> None:
    turned = np.where(held_out(simulated.features), 1 - simulated.late, simulated.late)
    others = replace(simulated, late=turned.astype(np.int8))
    assert compare_candidates(others, (compared[0].candidate,)) == compared[:1]


def test_the_simplest_within_one_standard_error_of_the_best_is_chosen() -> None:
    # One standard error is 0.01 / sqrt(5) = 0.00447.
    results = (result("a", 0.185), result("b", 0.1844), result("c", 0.18), result("d", 0.183))
    assert choose(results).name == "b"


def test_a_candidate_that_is_much_better_is_chosen_however_complex() -> None:
    assert choose((result("a", 0.185), result("b", 0.175))).name == "b"


def test_repeats_do_not_make_the_standard_error_smaller() -> None:
    results = [result("a", 0.1844), result("b", 0.18)]
    often = Validation(folds=5, repeats=20, seed=1)
    repeated = [r.model_copy(update={"validation": often}) for r in results]
    assert choose(repeated).name == choose(results).name == "a"


def test_a_baseline_is_never_chosen_nor_sets_the_limit() -> None:
    results = (
        result("regression", 0.17, eligible=False),
        result("a", 0.19),
        result("b", 0.18),
        result("forest", 0.16, eligible=False),
    )
    assert choose(results).name == "b"


def test_a_search_without_an_eligible_candidate_chooses_nothing() -> None:
    with pytest.raises(DelayModelError, match="none is eligible"):
        choose((result("regression", 0.17, eligible=False),))


def test_the_record_of_a_search_has_a_row_for_every_candidate() -> None:
    results = (result("a", 0.19), result("forest", 0.16, eligible=False))
    record = search_record(results)
    assert record is not None
    assert record.validation == results[0].validation
    assert [(c.name, c.eligible, c.brier.mean) for c in record.candidates] == [
        ("a", True, 0.19),
        ("forest", False, 0.16),
    ]
    assert search_record(()) is None
