"""Which model: a declared search space, compared on equal terms, and one rule of choice.

Every candidate is calibrated as the final model is, and measured on the same shuffled stratified
folds. The one-standard-error rule then chooses among those that can be served: of all whose mean
Brier score is within one standard error of the best, the simplest (Breiman et al. 1984,
"Classification and Regression Trees", 3.4.3; Hastie et al. 2009, "The Elements of Statistical
Learning", 7.10).

Choosing and measuring are kept apart. The folds of the search have a seed of their own; the
chosen candidate is cross-validated anew on others, and those are the stated metrics. Both draw on
the orders that are learnt from, so the choice has seen them, and its figures can still be a trace
too good. The held-out figures cannot: those orders took part in nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import sqrt
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, model_validator

from fulfillment_assets.delay_model.errors import DelayModelError
from fulfillment_assets.delay_model.metadata import ComparedCandidate, Search, Validation
from fulfillment_assets.delay_model.metrics import Metric
from fulfillment_assets.delay_model.training.classifiers import (
    FOLDS,
    Family,
    build_classifier,
)
from fulfillment_assets.delay_model.training.data import TrainingData
from fulfillment_assets.delay_model.training.preparation import prepare
from fulfillment_assets.delay_model.training.validation import cross_validate

SEARCH_SEED: Final = 101
"""Of the folds on which candidates are compared; the final measurement's is another."""

SERVED: Final[Family] = "lightgbm"
"""The family that the scorer can tabulate and explain."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Candidate(_Record):
    """A kind of model with its hyperparameters.

    Attributes:
        name: unique in its search space.
        family: kind of model.
        parameters: hyperparameters, under the names of the library's scikit-learn interface.
        eligible: it may be chosen; the others are compared only.
    """

    name: str
    family: Family
    parameters: dict[str, int | float]
    eligible: bool

    @model_validator(mode="after")
    def _eligible_is_served(self) -> Self:
        if self.eligible and self.family != SERVED:
            raise ValueError(f"only {SERVED} can be served, so {self.family} is not eligible")
        return self


class CandidateResult(_Record):
    """What a candidate achieved.

    Attributes:
        candidate: the candidate.
        validation: how it was measured.
        metrics: of `metrics.evaluate`, mean and standard deviation over the folds.
    """

    candidate: Candidate
    validation: Validation
    metrics: dict[str, Metric]


def _lightgbm(leaves: int, trees: int, learning_rate: float = 0.1) -> Candidate:
    return Candidate(
        name=f"lightgbm_{leaves}_leaves_{trees}_trees",
        family="lightgbm",
        parameters={
            "n_estimators": trees,
            "learning_rate": learning_rate,
            "num_leaves": leaves,
            "min_child_samples": 40,
            "reg_lambda": 1.0,
            "subsample": 0.9,
            "subsample_freq": 1,
            "colsample_bytree": 0.8,
            "max_bin": 63,
            "min_split_gain": 2.0,
        },
        eligible=True,
    )


DEFAULT: Final = _lightgbm(leaves=4, trees=40)
"""What the search chose on the public data; trained where no search is made."""

SEARCH_SPACE: Final[tuple[Candidate, ...]] = (
    Candidate(
        name="logistic_regression",
        family="logistic_regression",
        parameters={"C": 1.0},
        eligible=False,
    ),
    _lightgbm(leaves=2, trees=120),
    DEFAULT,
    _lightgbm(leaves=4, trees=80),
    _lightgbm(leaves=6, trees=60),
    _lightgbm(leaves=6, trees=120),
    _lightgbm(leaves=8, trees=120),
    _lightgbm(leaves=6, trees=240, learning_rate=0.05),
    _lightgbm(leaves=15, trees=120),
    Candidate(
        name="random_forest",
        family="random_forest",
        parameters={"n_estimators": 40, "min_samples_leaf": 40},
        eligible=False,
    ),
)
"""The simplest first, by the number of splits: the rule of choice goes by that order."""

XGBOOST: Final = Candidate(
    name="xgboost",
    family="xgboost",
    parameters={
        "n_estimators": 120,
        "learning_rate": 0.1,
        "max_depth": 3,
        "min_child_weight": 10,
        "reg_lambda": 1.0,
        "subsample": 0.9,
        "colsample_bytree": 0.8,
    },
    eligible=False,
)
"""For comparison where XGBoost is installed; the platform itself does without it."""


def compare_candidates(
    data: TrainingData, space: Sequence[Candidate] = SEARCH_SPACE, *, repeats: int = 1
) -> tuple[CandidateResult, ...]:
    """Cross-validate every candidate on the same folds of the orders that are learnt from.

    Args:
        data: orders with known outcomes; the held-out ones are left aside.
        space: the candidates, the simplest first.
        repeats: how often the five-fold cross-validation is repeated with other folds.

    Returns:
        In the order of `space`.

    Raises:
        TrainingDataError: there are too few late or too few punctual orders.
        DelayModelError: a candidate's library is not installed.
    """
    prepared = prepare(data)
    validation = Validation(folds=FOLDS, repeats=repeats, seed=SEARCH_SEED)
    return tuple(
        CandidateResult(
            candidate=candidate,
            validation=validation,
            metrics=cross_validate(
                partial(build_classifier, candidate.family, candidate.parameters),
                prepared.matrix,
                prepared.learnt.late,
                validation,
            ).metrics(),
        )
        for candidate in space
    )


def choose(results: Sequence[CandidateResult]) -> Candidate:
    """The simplest eligible candidate within one standard error of the best mean Brier score.

    Repeats use the same orders again, so only the number of folds divides the variance.

    Args:
        results: in the order of the search space, the simplest first.

    Raises:
        DelayModelError: no candidate is eligible.
    """
    eligible = [result for result in results if result.candidate.eligible]
    if not eligible:
        raise DelayModelError("No candidate of the search can be served: none is eligible.")
    best = min(eligible, key=lambda result: result.metrics["brier"].mean)
    brier = best.metrics["brier"]
    limit = brier.mean + brier.std / sqrt(best.validation.folds)
    return next(r.candidate for r in eligible if r.metrics["brier"].mean <= limit)


def search_record(results: Sequence[CandidateResult]) -> Search | None:
    """The search as a model's metadata tell it; None for no results."""
    if not results:
        return None
    return Search(
        validation=results[0].validation,
        candidates=tuple(
            ComparedCandidate(
                name=result.candidate.name,
                family=result.candidate.family,
                eligible=result.candidate.eligible,
                brier=result.metrics["brier"],
                roc_auc=result.metrics["roc_auc"],
            )
            for result in results
        ),
    )
