"""What a comparison of two models found: kept with the decision, as JSON."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from fulfillment_assets.delay_model.metadata import SourceKind


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class HoldoutSummary(_Record):
    """Which orders judged."""

    kind: SourceKind
    name: str
    sha256: str
    orders: int
    late_share: float


class ModelFigures(_Record):
    """How good a model is on the holdout, and the kind of data that it was trained on."""

    version: str
    trained_on: SourceKind
    brier: float
    log_loss: float
    roc_auc: float
    ece: float


class Improvement(_Record):
    """Champion's mean Brier score less the challenger's; above 0, the challenger is better.

    Attributes:
        mean: over the holdout.
        lower: lower bound of the confidence interval.
        upper: upper bound of it.
        confidence: share of such intervals that hold the true mean.
        resamples: of the bootstrap.
        seed: of the bootstrap.
    """

    mean: float
    lower: float
    upper: float
    confidence: float
    resamples: int
    seed: int


class SegmentFigures(_Record):
    """Mean Brier scores over the holdout's orders of one category."""

    feature: str
    category: str
    orders: int
    champion: float
    challenger: float

    @property
    def worse_by(self) -> float:
        """The challenger's score less the champion's."""
        return self.challenger - self.champion


class Limits(_Record):
    """What the challenger was held against."""

    segment_margin: float
    smallest_segment: int
    ece_margin: float


class Polarity(_Record):
    """The lowest probability of an order that is known to be late, and what it must exceed."""

    passed: bool
    lowest: float
    required: float


class Verdict(_Record):
    """Whether the challenger is to replace the champion, and every figure that says so.

    Attributes:
        passed: it is.
        summary: the comparison in a sentence.
        reasons: why not, each naming figure and limit; empty if it passed.
        holdout: the orders that judged.
        champion: figures of the champion.
        challenger: figures of the challenger.
        improvement: of the Brier score.
        segments: every category with enough orders.
        polarity: of the challenger.
        limits: that applied.
    """

    passed: bool
    summary: str
    reasons: tuple[str, ...]
    holdout: HoldoutSummary
    champion: ModelFigures
    challenger: ModelFigures
    improvement: Improvement
    segments: tuple[SegmentFigures, ...]
    polarity: Polarity
    limits: Limits
