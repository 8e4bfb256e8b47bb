"""The training profile: how the orders that a model learnt from are distributed.

It tells what is usual, for explanations, and what later orders are held against, for drift.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict

from fulfillment_assets.orders.contract import BY_NAME, FEATURES, Kind

BINS: Final = 10
"""Into how many bins of about equal size a number is cut; fewer where values repeat."""

QUANTILES: Final = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NumberProfile(_Record):
    """Distribution of a number.

    Attributes:
        quantiles: its value at each of `QUANTILES`.
        edges: k ascending values that cut it into k + 1 bins. A value lies in the bin whose
            index is the number of edges that are not above it, as `width_bucket` counts in SQL.
        shares: share of each bin, k + 1 of them, none of them 0.
    """

    quantiles: tuple[float, ...]
    edges: tuple[float, ...]
    shares: tuple[float, ...]


class TrainingProfile(_Record):
    """Distribution of every feature.

    Attributes:
        numbers: of the features that are numbers.
        categories: feature -> category of the contract -> share; 0 for one without orders.
    """

    numbers: dict[str, NumberProfile]
    categories: dict[str, dict[str, float]]


def learn_profile(features: pa.Table) -> TrainingProfile:
    """The profile of orders: the ten features of the contract, at least one row."""
    categorical = [name for name in FEATURES if BY_NAME[name].kind is Kind.CATEGORY]
    return TrainingProfile(
        numbers={
            name: _number_profile(features.column(name).cast(pa.float64()).to_numpy())
            for name in FEATURES
            if name not in categorical
        },
        categories={name: _shares(name, features.column(name)) for name in categorical},
    )


def _number_profile(values: npt.NDArray[np.float64]) -> NumberProfile:
    # Edges are values that occur: no bin is empty.
    cuts = np.quantile(values, np.arange(1, BINS) / BINS, method="inverted_cdf")
    edges = np.unique(cuts[cuts > values.min()])
    counts = np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)
    return NumberProfile(
        quantiles=tuple(np.quantile(values, QUANTILES, method="inverted_cdf").tolist()),
        edges=tuple(edges.tolist()),
        shares=tuple(np.round(counts / len(values), 6).tolist()),
    )


def _shares(name: str, column: pa.ChunkedArray) -> dict[str, float]:
    counts = {entry["values"]: entry["counts"] for entry in pc.value_counts(column).to_pylist()}
    return {
        choice: round(counts.get(choice, 0) / len(column), 6) for choice in BY_NAME[name].choices
    }
