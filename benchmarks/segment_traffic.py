"""Simulated traffic as rows of hourly rollups: stationary, or with the risk of a segment raised."""

from __future__ import annotations

import datetime as dt
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fulfillment_assets.delay_model.scorer import DelayScorer
from fulfillment_assets.deviations.segments import DIMENSIONS, Segment
from fulfillment_assets.deviations.severity import Thresholds
from fulfillment_assets.orders.simulator import SimulationPlan, simulate
from fulfillment_assets.settings import Settings

POOL_ORDERS: Final = 300_000
SEED: Final = 20_260_301
START: Final = dt.date(2026, 3, 1)

SHIFTED: Final = Segment(warehouse_block="F", mode_of_shipment="Road")
HIGHEST: Final = 0.999
"""No probability of the model is greater."""


class Traffic:
    """The simulator's orders, as the committed model scores them, to draw from."""

    def __init__(self, orders: int = POOL_ORDERS) -> None:
        """Simulate and score so many orders."""
        scorer = DelayScorer.load(Settings().models_dir)
        plan = SimulationPlan(orders, SEED, START)
        leaves, scores = [], []
        for chunk in simulate(plan):
            names = zip(*(chunk.orders[name].to_pylist() for name in DIMENSIONS), strict=True)
            leaves += ["/".join(values) for values in names]
            scores.append(scorer.score(chunk.orders).probability)
        names_of, leaf = np.unique(np.array(leaves), return_inverse=True)
        self.segments = [Segment.of(str(name)) for name in names_of]
        self._leaf = leaf.astype(np.int64)
        self._probability = np.concatenate(scores)
        self._shifted = np.array([segment.overlaps([SHIFTED]) for segment in self.segments])
        self.shifted_share = float(self._shifted[self._leaf].mean())

    def rows(
        self,
        random: np.random.Generator,
        hours: list[dt.datetime],
        orders: float,
        *,
        shift: float = 0.0,
    ) -> pa.Table:
        """Rollup rows of some hours, each with a Poisson number of orders.

        Args:
            random: draws them.
            hours: their starts.
            orders: how many are expected in each.
            shift: what the shifted segment's probabilities are raised by.
        """
        counts = random.poisson(orders, len(hours))
        drawn = random.integers(len(self._leaf), size=int(counts.sum()))
        leaf, probability = self._leaf[drawn], self._probability[drawn]
        if shift:
            raised = np.minimum(probability + shift, HIGHEST)
            probability = np.where(self._shifted[leaf], raised, probability)
        cell = np.repeat(np.arange(len(hours)), counts) * len(self.segments) + leaf
        return self._table(hours, cell, probability)

    def _table(
        self,
        hours: list[dt.datetime],
        cell: npt.NDArray[np.int64],
        probability: npt.NDArray[np.float64],
    ) -> pa.Table:
        severity = Thresholds().classify(probability)
        size = len(hours) * len(self.segments)
        orders = np.bincount(cell, minlength=size)
        used = np.flatnonzero(orders)
        weights = {
            "probability_sum": probability,
            "probability_square_sum": probability**2,
            "critical": severity == 3,
            "warning": severity == 2,
            "info": severity == 1,
        }
        sums = {
            name: np.bincount(cell, weight.astype(float), size)[used]
            for name, weight in weights.items()
        }
        hour, leaf = np.divmod(used, len(self.segments))
        segments = [self.segments[place] for place in leaf]
        return pa.table(
            {
                "bucket": pa.array([hours[place] for place in hour], pa.timestamp("us", "UTC")),
                **{name: [getattr(segment, name) for segment in segments] for name in DIMENSIONS},
                "orders": orders[used],
                **{name: np.round(total, 6) for name, total in sums.items() if name[0] == "p"},
                **{name: total.astype(int) for name, total in sums.items() if name[0] != "p"},
                "gap": np.zeros(len(used), int),
            }
        )
