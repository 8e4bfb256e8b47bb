"""The holdout rule: which orders no model ever learns from.

An order is held out if a hash of its ten features says so. The rule knows neither the label, nor
the file, nor the day: whatever is trained here, on whatever data, an order that may judge a model
was never shown to any. Equal orders fall on one side, so duplicates do not leak either.
"""

from __future__ import annotations

import hashlib
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fulfillment_assets.delay_model.training.data import TrainingData
from fulfillment_assets.orders.contract import BY_NAME, FEATURES, Kind

HELD_OUT_PERCENT: Final = 15


def held_out(features: pa.Table) -> npt.NDArray[np.bool_]:
    """Which orders are held out, shape (n,).

    Args:
        features: the ten features of the contract, canonical; n rows.
    """
    columns = [_text(name, features.column(name)) for name in FEATURES]
    digests = (
        hashlib.sha256("|".join(row).encode()).digest() for row in zip(*columns, strict=True)
    )
    return np.fromiter(
        (int.from_bytes(digest[:8], "big") % 100 < HELD_OUT_PERCENT for digest in digests),
        np.bool_,
        features.num_rows,
    )


def split(data: TrainingData) -> tuple[TrainingData, TrainingData]:
    """The orders to learn from, and those that are held out; both keep the provenance."""
    aside = held_out(data.features)
    return _take(data, ~aside), _take(data, aside)


def _take(data: TrainingData, chosen: npt.NDArray[np.bool_]) -> TrainingData:
    return TrainingData(data.features.filter(pa.array(chosen)), data.late[chosen], data.source)


def _text(name: str, column: pa.ChunkedArray) -> list[str]:
    """One spelling per value: 150, 150.0 and a 150 of another column type are the same."""
    if BY_NAME[name].kind is Kind.CATEGORY:
        return [str(value) for value in column.cast(pa.string()).to_pylist()]
    return [repr(value) for value in column.cast(pa.float64(), safe=False).to_pylist()]
