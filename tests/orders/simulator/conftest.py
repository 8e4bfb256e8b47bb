"""One sample of simulated orders, large enough for statistics."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import numpy.typing as npt
import pyarrow as pa
import pytest

from fulfillment_assets.orders.simulator import SimulationPlan, simulate

Columns = dict[str, npt.NDArray[Any]]


def _columns(plan: SimulationPlan) -> Columns:
    chunks = list(simulate(plan))
    orders = pa.concat_tables([chunk.orders for chunk in chunks])
    truth = pa.concat_tables([chunk.truth for chunk in chunks])
    columns = {name: _array(orders[name]) for name in orders.column_names}
    return columns | {
        "true_delivery": _array(truth["delivery_date"]),
        "is_late": _array(truth["is_late"]),
    }


def _array(column: pa.ChunkedArray) -> npt.NDArray[Any]:
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64()).fill_null(0)
    array: npt.NDArray[Any] = column.to_numpy()
    return array


@pytest.fixture(scope="session")
def columns_of() -> Callable[[SimulationPlan], Columns]:
    """Simulate a plan; times are seconds since 1970, 0 where there is none."""
    return _columns


@pytest.fixture(scope="session")
def sample() -> Columns:
    """The columns of 200,000 orders of March 2026."""
    return _columns(SimulationPlan(count=200_000, seed=7, start=datetime.date(2026, 3, 1)))
