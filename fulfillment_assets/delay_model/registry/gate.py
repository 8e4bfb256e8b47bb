"""The promotion gate: is a challenger better than the champion on orders that neither learnt from?

The measure is the Brier score, the mean squared error of the stated probability. Per order, the
champion's loss less the challenger's is the improvement; its mean is bootstrapped over the orders
(paired: both models are judged by the same resample; percentile interval, Efron and Tibshirani
1993, "An Introduction to the Bootstrap", chapter 13). The challenger must be better with 95 %
confidence, in no segment worse by more than a margin, and about as well calibrated. Its label must
have the right polarity, and its metrics must not be too good to be true: a leak wins everywhere.

Simulated orders favour whoever learnt from simulated orders: they cannot show that such a model is
better than one of real orders.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fulfillment_assets.delay_model.features import CATEGORICAL
from fulfillment_assets.delay_model.metrics import evaluate
from fulfillment_assets.delay_model.polarity import check_label_polarity
from fulfillment_assets.delay_model.registry.evidence import (
    HoldoutSummary,
    Improvement,
    Limits,
    ModelFigures,
    Polarity,
    SegmentFigures,
    Verdict,
)
from fulfillment_assets.delay_model.registry.holdout import Holdout
from fulfillment_assets.delay_model.scorer import DelayScorer
from fulfillment_assets.delay_model.training.leaks import too_good
from fulfillment_assets.orders.contract import BY_NAME

RESAMPLES: Final = 2_000
CONFIDENCE: Final = 0.95
SEED: Final = 17
_VALUES_AT_A_TIME: Final = 1_000_000
_SEGMENTS_TOLD: Final = 3

SMALLEST_SEGMENT: Final = 200
"""Segments with fewer orders in the holdout are not judged."""

SEGMENT_MARGIN: Final = 0.01
"""By how much a segment's mean Brier score may be worse.

Measured: between models trained on different draws of 11,000 orders, the difference in a
segment of 200 orders has a standard deviation of 0.002 to 0.003, and exceeds 0.01 in 0 to 0.5 %
of pairs.
"""

ECE_MARGIN: Final = 0.02
"""By how much the calibration error may be worse.

Measured as above: between equally good models the difference stays, in 99 % of pairs, below
0.011 on 5,000 orders, 0.015 on 1,300 and 0.018 on 500.
"""


def compare(challenger: DelayScorer, champion: DelayScorer, holdout: Holdout) -> Verdict:
    """Judge a challenger against the champion; the same models and orders give the same verdict."""
    new, old = (scorer.score(holdout.features).probability for scorer in (challenger, champion))
    new_loss, old_loss = (new - holdout.late) ** 2, (old - holdout.late) ** 2
    improvement = _bootstrap(old_loss - new_loss)
    segments = tuple(_segments(holdout.features, old_loss, new_loss))
    figures = {
        "champion": _figures(champion, holdout, old),
        "challenger": _figures(challenger, holdout, new),
    }
    report = check_label_polarity(challenger)
    reasons = (
        *_favoured(holdout, **figures),
        *_not_better(improvement),
        *_worse_segments(segments),
        *_worse_calibrated(**figures),
        *too_good(challenger.metadata),
        *(() if report.passed else (report.message,)),
    )
    return Verdict(
        passed=not reasons,
        summary=_summary(improvement, **figures),
        reasons=reasons,
        holdout=HoldoutSummary(
            kind=holdout.kind,
            name=holdout.name,
            sha256=holdout.sha256,
            orders=len(holdout.late),
            late_share=round(float(holdout.late.mean()), 6),
        ),
        improvement=improvement,
        segments=segments,
        polarity=Polarity(passed=report.passed, lowest=report.lowest, required=report.required),
        limits=Limits(
            segment_margin=SEGMENT_MARGIN,
            smallest_segment=SMALLEST_SEGMENT,
            ece_margin=ECE_MARGIN,
        ),
        **figures,
    )


def _bootstrap(improvement: npt.NDArray[np.float64]) -> Improvement:
    from scipy.stats import bootstrap

    interval = bootstrap(
        (improvement,),
        np.mean,
        n_resamples=RESAMPLES,
        batch=max(1, _VALUES_AT_A_TIME // len(improvement)),
        confidence_level=CONFIDENCE,
        method="percentile",
        vectorized=True,
        rng=np.random.default_rng(SEED),
    ).confidence_interval
    return Improvement(
        mean=round(float(improvement.mean()), 6),
        lower=round(float(interval.low), 6),
        upper=round(float(interval.high), 6),
        confidence=CONFIDENCE,
        resamples=RESAMPLES,
        seed=SEED,
    )


def _segments(
    features: pa.Table, old_loss: npt.NDArray[np.float64], new_loss: npt.NDArray[np.float64]
) -> Iterator[SegmentFigures]:
    for feature in CATEGORICAL:
        for category in BY_NAME[feature].choices:
            chosen = pc.equal(features.column(feature), category).to_numpy()
            if chosen.sum() >= SMALLEST_SEGMENT:
                yield SegmentFigures(
                    feature=feature,
                    category=category,
                    orders=int(chosen.sum()),
                    champion=round(float(old_loss[chosen].mean()), 6),
                    challenger=round(float(new_loss[chosen].mean()), 6),
                )


def _figures(
    scorer: DelayScorer, holdout: Holdout, probability: npt.NDArray[np.float64]
) -> ModelFigures:
    measured = evaluate(holdout.late, probability)
    return ModelFigures(
        version=scorer.version,
        trained_on=scorer.metadata.training_data.kind,
        brier=round(measured["brier"], 6),
        log_loss=round(measured["log_loss"], 6),
        roc_auc=round(measured["roc_auc"], 6),
        ece=round(measured["ece"], 6),
    )


def _summary(improvement: Improvement, champion: ModelFigures, challenger: ModelFigures) -> str:
    return (
        f"Brier score {challenger.brier:.4f} against the champion's {champion.brier:.4f}: "
        f"{_in_words(improvement)}, 95 % interval of the improvement {improvement.lower:.4f} to "
        f"{improvement.upper:.4f}"
    )


def _in_words(improvement: Improvement) -> str:
    return f"{'better' if improvement.mean > 0 else 'worse'} by {abs(improvement.mean):.4f}"


def _favoured(holdout: Holdout, champion: ModelFigures, challenger: ModelFigures) -> Iterator[str]:
    if holdout.kind == challenger.trained_on == "simulator" and champion.trained_on != "simulator":
        yield (
            "Simulated orders judge here, and they favour a model of simulated orders over the "
            "champion, which learnt from real ones. Let real orders judge: freeze them with "
            "`fulfillment model holdout --data FILE`."
        )


def _not_better(improvement: Improvement) -> Iterator[str]:
    if not improvement.lower > 0:
        yield (
            f"It is not shown to be better: its Brier score is {_in_words(improvement)}, and the "
            f"lower bound of the improvement's 95 % interval, {improvement.lower:.4f}, must be "
            "above 0."
        )


def _worse_segments(segments: tuple[SegmentFigures, ...]) -> Iterator[str]:
    worse = [segment for segment in segments if segment.worse_by > SEGMENT_MARGIN]
    worse.sort(key=lambda segment: segment.worse_by, reverse=True)
    told = ", ".join(
        f"{segment.feature} {segment.category} ({segment.challenger:.4f} against "
        f"{segment.champion:.4f} over {segment.orders} orders)"
        for segment in worse[:_SEGMENTS_TOLD]
    )
    more = len(worse) - _SEGMENTS_TOLD
    if worse:
        yield (
            f"Its Brier score is worse by more than the {SEGMENT_MARGIN} that is allowed for "
            f"{told}{f' and {more} more segments' if more > 0 else ''}."
        )


def _worse_calibrated(champion: ModelFigures, challenger: ModelFigures) -> Iterator[str]:
    worse_by = challenger.ece - champion.ece
    if worse_by > ECE_MARGIN:
        yield (
            f"It is worse calibrated: its calibration error is {challenger.ece:.4f} against "
            f"{champion.ece:.4f}, worse by {worse_by:.4f}; at most {ECE_MARGIN} is allowed."
        )
