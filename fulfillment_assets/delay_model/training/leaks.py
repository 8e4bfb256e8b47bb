"""A guard against leaks: a model that knows what it could not know when an order is scored.

The public data leak their label through the identifier: orders are numbered so that many of the
late ones come first, and the number alone ranks them with a ROC-AUC of 0.74. It need not show in
the metrics that a model was given it, because what it tells stands in other features, too. So
columns are looked at as well as metrics.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fulfillment_assets.delay_model.errors import TrainingDataError
from fulfillment_assets.delay_model.metadata import (
    DATES,
    IDENTIFIERS,
    ModelMetadata,
    canonical_name,
)
from fulfillment_assets.delay_model.training.data import TrainingData
from fulfillment_assets.orders.contract import FEATURES

ROW_ORDER_LIMIT: Final = 0.9
"""|Rank correlation| with the row number above which a column is an identifier in disguise.

In the public data, in their own order, the strongest of an honest feature is 0.51 (discount).
"""

DISTINCT_LIMIT: Final = 0.999
"""Share of distinct values from which on a column of whole numbers is an identifier in disguise."""

DISTINCT_ROWS: Final = 1_000
"""Among fewer orders, honest whole numbers (a weight in grams) can be distinct by chance."""

KNOWN: Final[Mapping[str, float]] = {"accuracy": 0.688, "roc_auc": 0.742}
"""What honest models achieve on the public data."""

CEILING: Final[Mapping[str, float]] = {"accuracy": 0.70, "roc_auc": 0.76}
"""What no honest model exceeds there: more than two standard errors above `KNOWN`."""

CEILING_ROWS: Final = 7_000
"""From how many orders on `CEILING` holds; metrics of fewer orders vary more."""

_OWN_ORDERS: Final = (
    "How well the retailer's own orders can be foretold is not known, so the metrics were not "
    "held against a ceiling."
)


@dataclass(frozen=True, slots=True)
class LeakReport:
    """Whether anything leaks.

    Attributes:
        passed: nothing was found.
        findings: what was found, a sentence each.
        message: the verdict in words, with the findings.
    """

    passed: bool
    findings: tuple[str, ...]
    message: str


def check_leaks(data: TrainingData, metadata: ModelMetadata) -> LeakReport:
    """Look for leaks in training data and in the model that was trained on them.

    A leak is a column that is no feature of the order contract, such as an identifier or a date;
    a number that follows the order of the rows, or that hardly two orders share; or, on the
    public or on simulated data, metrics above what those data allow.

    Args:
        data: the training data, with every column that a model could learn from.
        metadata: of the model that was trained on them.

    Raises:
        TrainingDataError: the model was trained on other data.
    """
    if data.source.sha256 != metadata.training_data.sha256:
        raise TrainingDataError(
            f"The model {metadata.version} was trained on {metadata.training_data.name}, not on "
            f"the given {data.source.name}: train on these data first."
        )
    findings = (*_foreign(data, metadata), *_disguised(data), *too_good(metadata))
    ceiling = f" {_OWN_ORDERS}" if metadata.training_data.kind == "orders" else ""
    verdict = " ".join(findings) if findings else "No leak was found."
    return LeakReport(passed=not findings, findings=findings, message=verdict + ceiling)


def ceiling(metric: str, rows: int) -> float:
    """The highest honest value of a metric, cross-validated on so many orders.

    The allowance above `KNOWN` grows as sampling error does, with the root of the number of
    orders, below `CEILING_ROWS`.
    """
    allowance = CEILING[metric] - KNOWN[metric]
    return KNOWN[metric] + allowance * max(1.0, sqrt(CEILING_ROWS / rows))


def _foreign(data: TrainingData, metadata: ModelMetadata) -> Iterator[str]:
    columns = dict.fromkeys((*data.features.column_names, *metadata.features))
    for column in columns:
        name = canonical_name(column)
        if name in IDENTIFIERS:
            yield f"{column} is an identifier: it can carry the label, and tells nothing new."
        elif name in DATES:
            yield f"{column} is a date: it can carry the label, and does not come again."
        elif name not in FEATURES:
            yield f"{column} is not one of the model's features: {', '.join(FEATURES)}."


def _disguised(data: TrainingData) -> Iterator[str]:
    """Numbers that behave as identifiers do, whatever they are called."""
    for name, column in zip(data.features.column_names, data.features.itercolumns(), strict=True):
        if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
            continue
        values = column.to_numpy()
        correlation, distinct = _row_correlation(values), len(np.unique(values)) / len(values)
        if abs(correlation) > ROW_ORDER_LIMIT:
            yield (
                f"{name} follows the order of the rows as an identifier does: its rank "
                f"correlation with the row number is {correlation:.2f} (limit {ROW_ORDER_LIMIT})."
            )
        elif (
            distinct >= DISTINCT_LIMIT
            and len(values) >= DISTINCT_ROWS
            and np.array_equal(values, np.rint(values))
        ):
            yield (
                f"{name} numbers the orders as an identifier does: {distinct:.1%} of its "
                f"{len(values):,} whole numbers are distinct."
            )


def _row_correlation(values: npt.NDArray[np.generic]) -> float:
    from scipy.stats import spearmanr

    if len(np.unique(values)) == 1:
        return 0.0
    return float(spearmanr(values, np.arange(len(values))).statistic)


def too_good(metadata: ModelMetadata) -> Iterator[str]:
    """Metrics above the ceiling of the public data, a sentence each; own orders have none."""
    if metadata.training_data.kind == "orders":
        return
    for metric in CEILING:
        measured, limit = (
            metadata.metrics[metric].mean,
            ceiling(metric, metadata.training_data.rows),
        )
        if measured > limit:
            yield (
                f"{metric} is {measured:.4f}, too good to be true: no honest model of the public "
                f"data, nor of simulated ones, exceeds {limit:.4f}."
            )
