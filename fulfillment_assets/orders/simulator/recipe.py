"""The joint distribution of the ten model features and the outcome, as data.

Calibrated against the public Kaggle "Customer Analytics" e-commerce shipping data: an order
belongs to one of five clusters, and inside its cluster every column is independent. A model
trained on orders drawn this way ranks the real ones nearly as well as one trained on real ones.

Ranges are inclusive. Probabilities are rounded, so each distribution is normalised before use.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

Range: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Cluster:
    """One kind of order.

    Attributes:
        name: short name of the cluster.
        share: share of all orders.
        late: probability that an order is delivered after its promised date.
        discount: range of the discount, uniform, in percent.
        weight: range of the weight, uniform, in grams.
        importance: probabilities of low, medium, high.
        cost: probability of each range of the cost, uniform inside it, in US dollars.
        care_calls: probability of each number of customer care calls.
        prior_purchases: probability of each number of prior purchases.
    """

    name: str
    share: float
    late: float
    discount: Range
    weight: Range
    importance: Mapping[str, float]
    cost: Mapping[Range, float]
    care_calls: Mapping[int, float]
    prior_purchases: Mapping[int, float]


CLUSTERS: Final[tuple[Cluster, ...]] = (
    Cluster(
        name="A1",
        share=0.122,
        late=1.0,
        discount=(1, 65),
        weight=(1001, 2000),
        importance={"low": 0.48, "medium": 0.42, "high": 0.10},
        cost={
            (96, 109): 0.03,
            (110, 129): 0.08,
            (130, 149): 0.32,
            (150, 169): 0.36,
            (170, 180): 0.17,
            (181, 296): 0.04,
        },
        care_calls={2: 0.12, 3: 0.355, 4: 0.32, 5: 0.165, 6: 0.04},
        prior_purchases={
            2: 0.285,
            3: 0.45,
            4: 0.125,
            5: 0.07,
            6: 0.035,
            7: 0.012,
            8: 0.012,
            10: 0.013,
        },
    ),
    Cluster(
        name="A2",
        share=0.163,
        late=1.0,
        discount=(1, 65),
        weight=(2001, 3999),
        importance={"low": 0.45, "medium": 0.45, "high": 0.10},
        cost={(181, 189): 0.11, (190, 269): 0.81, (270, 286): 0.08},
        care_calls={2: 0.055, 3: 0.36, 4: 0.345, 5: 0.205, 6: 0.037},
        prior_purchases={
            2: 0.30,
            3: 0.437,
            4: 0.135,
            5: 0.041,
            6: 0.034,
            7: 0.019,
            8: 0.012,
            10: 0.02,
        },
    ),
    Cluster(
        name="B1a",
        share=0.0826,
        late=0.45,
        discount=(1, 10),
        weight=(1001, 2000),
        importance={"low": 0.60, "medium": 0.385, "high": 0.015},
        cost={(130, 209): 0.08, (210, 229): 0.012, (230, 249): 0.105, (250, 310): 0.81},
        care_calls={2: 0.02, 3: 0.03, 4: 0.035, 5: 0.06, 6: 0.625, 7: 0.23},
        prior_purchases={2: 0.04, 3: 0.04, 4: 0.92},
    ),
    Cluster(
        name="B1b",
        share=0.0907,
        late=0.45,
        discount=(1, 10),
        weight=(1001, 2000),
        importance={"low": 0.60, "medium": 0.385, "high": 0.015},
        cost={
            (130, 209): 0.03,
            (210, 229): 0.18,
            (230, 269): 0.65,
            (270, 289): 0.10,
            (290, 309): 0.04,
        },
        care_calls={2: 0.012, 3: 0.014, 4: 0.34, 5: 0.535, 6: 0.07, 7: 0.03},
        prior_purchases={5: 0.80, 6: 0.20},
    ),
    Cluster(
        name="B2",
        share=0.5418,
        late=0.431,
        discount=(1, 10),
        weight=(4000, 6000),
        importance={"low": 0.452, "medium": 0.446, "high": 0.102},
        cost={(96, 129): 0.032, (130, 149): 0.106, (150, 269): 0.812, (270, 287): 0.05},
        care_calls={2: 0.06, 3: 0.345, 4: 0.36, 5: 0.195, 6: 0.043},
        prior_purchases={
            2: 0.276,
            3: 0.425,
            4: 0.152,
            5: 0.054,
            6: 0.042,
            7: 0.014,
            8: 0.015,
            10: 0.021,
        },
    ),
)

RATING: Final[Mapping[int, float]] = {1: 0.2, 2: 0.2, 3: 0.2, 4: 0.2, 5: 0.2}
GENDER: Final[Mapping[str, float]] = {"F": 0.504, "M": 0.496}
MODE: Final[Mapping[str, float]] = {"Ship": 0.678, "Flight": 0.162, "Road": 0.160}
WAREHOUSE: Final[Mapping[str, float]] = {
    "A": 1 / 6,
    "B": 1 / 6,
    "C": 1 / 6,
    "D": 1 / 6,
    "F": 1 / 3,
}


_SHARE = np.array([cluster.share for cluster in CLUSTERS]) / sum(c.share for c in CLUSTERS)
_LATE = np.array([cluster.late for cluster in CLUSTERS])
_CERTAIN = _LATE == 1.0  # the clusters in which every order is late

NATURAL_LATE_SHARE: Final = float(_SHARE @ _LATE)
"""Late share when the clusters have their own weights."""

LOWEST_LATE_SHARE: Final = float(_SHARE[~_CERTAIN] @ _LATE[~_CERTAIN] / _SHARE[~_CERTAIN].sum())
"""Late share of the orders that are not certain to be late; no re-weighting goes below it."""


def cluster_weights(late_share: float | None) -> npt.NDArray[np.float64]:
    """Give the share of each cluster for which the expected late share is the asked one.

    Only the balance between the clusters that are certain to be late and the others moves.
    Proportions inside either side stay, and so does every P(late | features): a calibrated
    model stays calibrated.

    Args:
        late_share: from `LOWEST_LATE_SHARE` to 1, or None for the natural share.

    Returns:
        Shares in the order of `CLUSTERS`, summing to 1.

    Raises:
        ValueError: no weights reach the late share.
    """
    if late_share is None:
        return _SHARE
    if not LOWEST_LATE_SHARE <= late_share <= 1:
        raise ValueError(
            f"late_share must be between {LOWEST_LATE_SHARE:.4f} and 1, not {late_share}: even the "
            f"orders that are not certain to be late are late in {LOWEST_LATE_SHARE:.1%} of cases"
        )
    certain = (late_share - LOWEST_LATE_SHARE) / (1 - LOWEST_LATE_SHARE)
    side = np.where(_CERTAIN, _SHARE[_CERTAIN].sum(), _SHARE[~_CERTAIN].sum())
    weights: npt.NDArray[np.float64] = np.where(_CERTAIN, certain, 1 - certain) * _SHARE / side
    return weights
