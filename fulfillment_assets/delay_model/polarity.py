"""A guard against an inverted label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fulfillment_assets.delay_model.reference_orders import surely_late_orders
from fulfillment_assets.delay_model.scorer import DelayScorer

SURELY_LATE: Final = 0.9
"""What every order with a discount above 10 % must exceed."""


@dataclass(frozen=True, slots=True)
class PolarityReport:
    """Whether the model calls late what is known to be late.

    Attributes:
        passed: every probability exceeds `required`.
        orders: how many synthetic orders were scored.
        lowest: the lowest probability among them.
        required: exclusive lower bound.
        message: the verdict in words.
    """

    passed: bool
    orders: int
    lowest: float
    required: float
    message: str


def check_label_polarity(scorer: DelayScorer) -> PolarityReport:
    """Score synthetic orders with a discount above 10 %: all must be nearly certain to be late.

    In the public training data all such orders are late. A model trained on an inverted label,
    or read the wrong way round, says the opposite.
    """
    probability = scorer.score(surely_late_orders()).probability
    lowest = float(probability.min())
    passed = lowest > SURELY_LATE
    verdict = (
        "The label's polarity is right"
        if passed
        else "The model does not call late what is known to be late: its label may be inverted"
    )
    return PolarityReport(
        passed=passed,
        orders=len(probability),
        lowest=lowest,
        required=SURELY_LATE,
        message=(
            f"{verdict}. Of {len(probability)} orders with a discount above 10 %, the lowest "
            f"probability of being late is {lowest:.3f}; it must exceed {SURELY_LATE}."
        ),
    )
