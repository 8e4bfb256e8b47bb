"""Reasons in plain words: the feature, its value, and how that compares with the training orders.

A number is *above* usual beyond the 95th percentile of the training orders, and *far above*
beyond the 99th, or beyond the fences of Tukey's box plot where those are nearer: 1.5 and 3
interquartile ranges above the upper quartile (Tukey 1977, "Exploratory data analysis"; "outside"
and "far out"). The fences are what tells of a large discount, which a fifth of the orders have and
which is yet nothing like the others. The same downwards, with the 5th and 1st percentile.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from math import inf
from typing import Final, NamedTuple, TypeAlias

from fulfillment_assets.delay_model.metadata import ModelMetadata
from fulfillment_assets.delay_model.profile import QUANTILES
from fulfillment_assets.delay_model.reasons import Reason

Value: TypeAlias = str | int | float
"""Of a feature: a category, or a number."""

RARE: Final = 0.05
"""Share of the training orders below which a category is called rare."""

_PHRASES: Final[Mapping[str, str]] = {
    "warehouse_block": "warehouse block {value}",
    "mode_of_shipment": "shipped by {value}",
    "customer_care_calls": "{value} customer care call{s}",
    "customer_rating": "customer rating {value} of 5",
    "prior_purchases": "{value} prior purchase{s}",
    "gender": "gender {value}",
    "product_importance": "importance {value}",
    "cost_of_product": "cost ${value}",
    "discount_offered": "discount {value} %",
    "weight_in_gms": "weight {value} g",
}


class WordedReason(NamedTuple):
    """One reason of one prediction, for people.

    Attributes:
        feature: name of the feature.
        contribution: what it adds to the log-odds of being late, > 0, to four decimals.
        text: the reason as a sentence, see `in_words`.
    """

    feature: str
    contribution: float
    text: str


class _Bounds(NamedTuple):
    far_below: float
    below: float
    above: float
    far_above: float


def in_words(feature: str, value: Value, metadata: ModelMetadata) -> str:
    """A reason as a sentence.

    For example `discount 58 % is far above usual; this raises the risk`.

    Args:
        feature: one of the ten features, one that raises the order's risk.
        value: the order's, as the contract has it.
        metadata: of the model that found the reason; its training profile tells what is usual.
    """
    if isinstance(value, str):
        return f"{in_brief(feature, value, metadata)}; this raises the risk"
    phrase, standing = _phrase(feature, value), _standing(feature, value, metadata)
    plural = phrase.endswith("s")  # of a count; no unit ends like that
    verb, raises = ("are", "they raise") if plural else ("is", "it raises")
    if standing is None:
        return f"{phrase} {verb} within the usual range; here {raises} the risk"
    return f"{phrase} {verb} {standing}; this raises the risk"


def in_brief(feature: str, value: Value, metadata: ModelMetadata) -> str:
    """The same for a table, such as `discount 58 % (far above usual)`."""
    if isinstance(value, str):
        note = _rarity(feature, value, metadata)
    else:
        note = _standing(feature, value, metadata)
    return _phrase(feature, value) + (f" ({note})" if note else "")


def worded(
    reasons: Iterable[Reason], order: Mapping[str, Value], metadata: ModelMetadata
) -> tuple[WordedReason, ...]:
    """The reasons of one order, with their sentences."""
    return tuple(
        WordedReason(*reason, in_words(reason.feature, order[reason.feature], metadata))
        for reason in reasons
    )


def _phrase(feature: str, value: Value) -> str:
    text = value if isinstance(value, str) else _number(value)
    return _PHRASES[feature].format(value=text, s="" if value == 1 else "s")


def _number(value: float) -> str:
    """`1,500` or `0.5`: at most two decimals, more only for what would read as 0."""
    if 0 < value < 0.01:
        return f"{value:.2g}"
    text = f"{value:,.2f}"
    return text.rstrip("0").rstrip(".")


def _standing(feature: str, value: float, metadata: ModelMetadata) -> str | None:
    bounds = _bounds(metadata.profile.numbers[feature].quantiles)
    if value > bounds.above:
        return "far above usual" if value > bounds.far_above else "above usual"
    if value < bounds.below:
        return "far below usual" if value < bounds.far_below else "below usual"
    return None


@cache
def _bounds(quantiles: tuple[float, ...]) -> _Bounds:
    at = dict(zip(QUANTILES, quantiles, strict=True))
    lower, upper = at[0.25], at[0.75]
    spread = upper - lower or inf  # half of the orders are alike: a box without fences
    return _Bounds(
        far_below=max(at[0.01], lower - 3 * spread),
        below=max(at[0.05], lower - 1.5 * spread),
        above=min(at[0.95], upper + 1.5 * spread),
        far_above=min(at[0.99], upper + 3 * spread),
    )


def _rarity(feature: str, category: str, metadata: ModelMetadata) -> str | None:
    stand_in = metadata.unseen_categories.get(feature, {}).get(category)
    if stand_in is not None:
        return f"not among the training orders, scored as {stand_in}"
    share = metadata.profile.categories[feature][category]
    return f"rare: {_number(100 * share)} % of the training orders" if share < RARE else None
