"""What to simulate."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Final

from fulfillment_assets.orders.simulator.recipe import cluster_weights

MAX_COUNT: Final = 999_999_999  # an order_id has nine digits
MAX_SEED: Final = 2**64 - 1
MAX_DAYS: Final = 3_650
FIRST_START: Final = datetime.date(1970, 1, 1)
LAST_START: Final = datetime.date(9900, 1, 1)


@dataclass(frozen=True, slots=True)
class SimulationPlan:
    """Everything that decides the simulated orders; equal plans give equal bytes.

    The first N orders of a larger count are the N orders of the smaller one. Different seeds
    give different order ids; one seed with two start dates gives the same ids twice.

    Attributes:
        count: number of orders, 1 to 999,999,999.
        seed: 0 to 2**64 - 1.
        start: first day of the period in which orders are placed (UTC).
        days: length of the period. Dates and statuses are as they were known at its end.
        late_share: expected share of late orders; None for the natural share of the data.
        fault_share: expected share of rows that break the contract, 0 to 1.

    Raises:
        ValueError: an option is out of range; the message names it.
    """

    count: int
    seed: int
    start: datetime.date
    days: int = 30
    late_share: float | None = None
    fault_share: float = 0.0

    def __post_init__(self) -> None:
        """Check every option."""
        _check_range("count", self.count, 1, MAX_COUNT)
        _check_range("seed", self.seed, 0, MAX_SEED)
        _check_range("days", self.days, 1, MAX_DAYS)
        if not FIRST_START <= self.start <= LAST_START:
            raise ValueError(f"start must be from {FIRST_START} to {LAST_START}, not {self.start}")
        if not 0 <= self.fault_share <= 1:
            raise ValueError(f"fault_share must be between 0 and 1, not {self.fault_share}")
        cluster_weights(self.late_share)


def _check_range(name: str, value: int, lowest: int, highest: int) -> None:
    if not lowest <= value <= highest:
        raise ValueError(f"{name} must be between {lowest} and {highest}, not {value}")
