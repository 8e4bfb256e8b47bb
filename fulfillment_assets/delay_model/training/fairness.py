"""Does the model serve women and men alike, and does it need to know who is who?

Every figure is out of fold: trees and calibration were fitted without the order that is judged.
Intervals are percentile bootstrap intervals over the orders (Efron and Tibshirani 1993, "An
Introduction to the Bootstrap", chapter 13). The rates are those of Hardt et al. 2016, "Equality of
opportunity in supervised learning", and of Mitchell et al. 2019, "Model cards for model reporting".
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from fulfillment_assets.delay_model.bands import DEFAULT_THRESHOLDS
from fulfillment_assets.delay_model.calibration import stated
from fulfillment_assets.delay_model.label import LATE, Labels
from fulfillment_assets.delay_model.metadata import TrainingSource
from fulfillment_assets.delay_model.metrics import DECISION, expected_calibration_error
from fulfillment_assets.delay_model.training.candidates import DEFAULT, Candidate
from fulfillment_assets.delay_model.training.classifiers import FOLDS, SEED, build_classifier
from fulfillment_assets.delay_model.training.data import TrainingData
from fulfillment_assets.delay_model.training.preparation import PreparedData, prepare
from fulfillment_assets.orders.contract import BY_NAME, FEATURES

GENDER: Final = "gender"
GROUPS: Final = BY_NAME[GENDER].choices
"""F and M: the two that the order contract knows."""

RESAMPLES: Final = 2_000
CONFIDENCE: Final = 0.95

_DIFFERENCE: Final = "difference"
_WITHOUT: Final = "without"
_COMPARED: Final = ("brier", "roc_auc")

Floats = npt.NDArray[np.float64]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Estimate(_Record):
    """A measured figure with its bootstrap interval."""

    value: float
    low: float
    high: float


class Group(_Record):
    """The figures of one group.

    Attributes:
        name: the category.
        orders: how many orders were judged.
        figures: by name, see `group_figures`.
    """

    name: str
    orders: int
    figures: dict[str, Estimate]


class Swap(_Record):
    """What becomes of the final model's predictions when each order's gender is exchanged.

    Attributes:
        mean_change: mean absolute change of the probability.
        largest_change: the largest.
        called_late: share of orders that are called late with one gender and not with the other.
        critical: the same of being called critical.
    """

    mean_change: float
    largest_change: float
    called_late: float
    critical: float


class FairnessReport(_Record):
    """How a model treats women and men.

    Attributes:
        source: the orders it was measured on.
        orders: how many of them: those that are learnt from.
        candidate: name of the setting that was trained.
        folds: of the cross-validation.
        resamples: of the bootstrap.
        confidence: of the intervals.
        groups: F and M.
        difference: figures of F less those of M.
        without: what leaving the feature out changes: figures without it less those with it.
        swap: what the feature alone changes.
    """

    source: TrainingSource
    orders: int
    candidate: str
    folds: int
    resamples: int
    confidence: float
    groups: tuple[Group, Group]
    difference: dict[str, Estimate]
    without: dict[str, Estimate]
    swap: Swap


def measure_fairness(
    data: TrainingData, *, candidate: Candidate = DEFAULT, resamples: int = RESAMPLES
) -> FairnessReport:
    """Judge a candidate by gender, with that feature and without it.

    Args:
        data: orders with known outcomes; the held-out ones are left aside.
        candidate: the setting that is trained.
        resamples: of the bootstrap.

    Raises:
        TrainingDataError: there are too few late or too few punctual orders.
    """
    prepared = prepare(data)
    late, place = prepared.learnt.late, FEATURES.index(GENDER)
    judged = _Judged(
        late=late,
        group=np.asarray(prepared.learnt.features[GENDER].to_pylist()),
        probability=_out_of_fold(candidate, prepared.matrix, late),
        without=_out_of_fold(candidate, np.delete(prepared.matrix, place, axis=1), late),
    )
    estimates = _estimates(judged, resamples)
    first, second = (
        Group(name=name, orders=int((judged.group == name).sum()), figures=estimates[name])
        for name in GROUPS
    )
    return FairnessReport(
        source=data.source,
        orders=len(late),
        candidate=candidate.name,
        folds=FOLDS,
        resamples=resamples,
        confidence=CONFIDENCE,
        groups=(first, second),
        difference=estimates[_DIFFERENCE],
        without=estimates[_WITHOUT],
        swap=_swap(candidate, prepared),
    )


def group_figures(late: Labels, probability: Floats) -> dict[str, float]:
    """How often a group is called late, and how rightly; both classes must be present.

    Called late is a probability above 0.5, called critical one above 0.7. The recall is the true
    positive rate: the share of late orders that are called late.

    Args:
        late: true labels, 1 = late, shape (n,).
        probability: probabilities of being late, shape (n,).
    """
    from sklearn.metrics import roc_auc_score

    called, was_late = probability > DECISION, late == LATE
    hits = float((called & was_late).sum())
    return {
        "late_share": float(was_late.mean()),
        "called_late": float(called.mean()),
        "called_critical": float((probability > DEFAULT_THRESHOLDS["critical"]).mean()),
        "recall": hits / float(was_late.sum()),
        "false_positive_rate": float(called[~was_late].mean()),
        "precision": hits / max(1.0, float(called.sum())),
        "brier": float(np.mean((probability - late) ** 2)),
        "ece": expected_calibration_error(late, probability),
        "roc_auc": float(roc_auc_score(late, probability)),
    }


class _Judged(NamedTuple):
    late: Labels
    group: npt.NDArray[np.str_]
    probability: Floats
    without: Floats

    def figures(self) -> dict[tuple[str, str], float]:
        """Every figure of the report, by its part and its name."""
        parts = {name: self._of(name) for name in GROUPS}
        first, second = parts.values()
        parts[_DIFFERENCE] = {name: first[name] - second[name] for name in first}
        with_it, without_it = (
            group_figures(self.late, p) for p in (self.probability, self.without)
        )
        parts[_WITHOUT] = {name: without_it[name] - with_it[name] for name in _COMPARED}
        return {(part, name): v for part, figures in parts.items() for name, v in figures.items()}

    def take(self, rows: npt.NDArray[np.intp]) -> _Judged:
        return _Judged(
            self.late[rows], self.group[rows], self.probability[rows], self.without[rows]
        )

    def _of(self, name: str) -> dict[str, float]:
        mine = self.group == name
        return group_figures(self.late[mine], self.probability[mine])


def _estimates(judged: _Judged, resamples: int) -> dict[str, dict[str, Estimate]]:
    from scipy.stats import bootstrap

    def statistic(rows: npt.NDArray[np.intp]) -> list[float]:
        return list(judged.take(rows).figures().values())

    interval = bootstrap(
        (np.arange(len(judged.late)),),
        statistic,
        n_resamples=resamples,
        vectorized=False,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(SEED),
    ).confidence_interval
    estimates: dict[str, dict[str, Estimate]] = {}
    for ((part, name), value), low, high in zip(
        judged.figures().items(), interval.low.tolist(), interval.high.tolist(), strict=True
    ):
        estimates.setdefault(part, {})[name] = Estimate(
            value=round(value, 6), low=round(low, 6), high=round(high, 6)
        )
    return estimates


def _out_of_fold(candidate: Candidate, matrix: Floats, late: Labels) -> Floats:
    """Each order's stated probability, by a model that was fitted without its fold."""
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    classifier = build_classifier(candidate.family, candidate.parameters)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=SEED)
    probability = cross_val_predict(classifier, matrix, late, cv=folds, method="predict_proba")
    return stated(probability[:, 1])


def _swap(candidate: Candidate, prepared: PreparedData) -> Swap:
    classifier = build_classifier(candidate.family, candidate.parameters)
    classifier.fit(prepared.matrix, prepared.learnt.late)
    codes = [float(prepared.encoder.categories[GENDER].index(name)) for name in GROUPS]
    first, second = (_as_if(classifier, prepared.matrix, code) for code in codes)
    change = np.abs(first - second)
    flipped = {
        name: round(float(((first > above) != (second > above)).mean()), 6)
        for name, above in (("called_late", DECISION), ("critical", DEFAULT_THRESHOLDS["critical"]))
    }
    return Swap(
        mean_change=round(float(change.mean()), 6),
        largest_change=round(float(change.max()), 6),
        **flipped,
    )


def _as_if(classifier: Any, matrix: Floats, code: float) -> Floats:
    """Probabilities, were all customers of one gender."""
    alike = matrix.copy()
    alike[:, FEATURES.index(GENDER)] = code
    return stated(classifier.predict_proba(alike)[:, 1])
