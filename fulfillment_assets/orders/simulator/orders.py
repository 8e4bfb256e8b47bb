"""Simulated orders, drawn block by block."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fulfillment_assets.orders.contract import BY_NAME, FEATURES, FIELDS
from fulfillment_assets.orders.schema import ARROW_TYPES
from fulfillment_assets.orders.simulator import recipe
from fulfillment_assets.orders.simulator.csv_text import named, numbered, timestamps
from fulfillment_assets.orders.simulator.faults import inject_faults
from fulfillment_assets.orders.simulator.journey import (
    CARRIER_NAMES,
    Journey,
    draw_journeys,
    order_days,
)
from fulfillment_assets.orders.simulator.plan import FIRST_START, SimulationPlan
from fulfillment_assets.orders.simulator.sampling import (
    BoolArray,
    Distribution,
    Draws,
    IntArray,
    UniformRange,
    scaled,
    squared,
)

BLOCK_ROWS: Final = 65_536
"""Rows that share a random stream. Part of what a seed means: changing it changes the orders."""

CUSTOMERS_PER_GENDER: Final = 250_000


@dataclass(frozen=True, slots=True)
class SimulatedChunk:
    """Consecutive simulated orders and what became of them, row by row.

    Attributes:
        orders: every field of the contract, as known at the end of the period. Typed (text,
            int64, timestamp[s, UTC]) when the plan has no faults; otherwise every column is
            text. A fault of the whole CSV line (`faults.LINE_FAULTS`) does not show here.
        truth: `order_id` (before any fault), `is_late` (bool), `delivery_date` (the true one,
            also of an order not delivered yet; of a cancelled order the one it would have
            had), `fault` (value of a `faults.Fault`, empty for a sound row).
    """

    orders: pa.Table
    truth: pa.Table


@dataclass(frozen=True, slots=True)
class FeatureBlock:
    """One block of model features, as integers.

    Attributes:
        cluster: index into `recipe.CLUSTERS`.
        is_late: the outcome.
        values: the ten features; a category is an index into its choices in the contract.
    """

    cluster: IntArray
    is_late: BoolArray
    values: Mapping[str, IntArray]


def _codes(field: str, *groups: Mapping[str, float]) -> Distribution:
    choices = BY_NAME[field].choices
    return Distribution(*({choices.index(name): p for name, p in g.items()} for g in groups))


def _uniform_pieces(pieces: Mapping[recipe.Range, float]) -> dict[int, float]:
    return {
        value: probability / (highest - lowest + 1)
        for (lowest, highest), probability in pieces.items()
        for value in range(lowest, highest + 1)
    }


_CLUSTERS = recipe.CLUSTERS
_LATE = Distribution(*({1: cluster.late, 0: 1 - cluster.late} for cluster in _CLUSTERS))
_BY_CLUSTER: Final[Mapping[str, Distribution]] = {
    "customer_care_calls": Distribution(*(cluster.care_calls for cluster in _CLUSTERS)),
    "prior_purchases": Distribution(*(cluster.prior_purchases for cluster in _CLUSTERS)),
    "product_importance": _codes("product_importance", *(c.importance for c in _CLUSTERS)),
    "cost_of_product": Distribution(*(_uniform_pieces(cluster.cost) for cluster in _CLUSTERS)),
}
_RANGE_BY_CLUSTER: Final[Mapping[str, UniformRange]] = {
    "discount_offered": UniformRange(*(cluster.discount for cluster in _CLUSTERS)),
    "weight_in_gms": UniformRange(*(cluster.weight for cluster in _CLUSTERS)),
}
_GLOBAL: Final[Mapping[str, Distribution]] = {
    "warehouse_block": _codes("warehouse_block", recipe.WAREHOUSE),
    "mode_of_shipment": _codes("mode_of_shipment", recipe.MODE),
    "customer_rating": Distribution(recipe.RATING),
    "gender": _codes("gender", recipe.GENDER),
}


class OrderBlock(NamedTuple):
    """One block of orders, drawn.

    Attributes:
        features: the model features and the outcome.
        journey: dates, carrier, status and payment.
        customer: number of each order's customer.
    """

    features: FeatureBlock
    journey: Journey
    customer: IntArray


def cluster_distribution(late_share: float | None) -> Distribution:
    """Distribution of an order's cluster; see `recipe.cluster_weights`."""
    return Distribution(dict(enumerate(recipe.cluster_weights(late_share).tolist())))


def draw_features(draws: Draws, clusters: Distribution) -> FeatureBlock:
    """Draw the features and outcomes of one block of orders."""
    cluster = clusters.draw(draws.uniform())
    is_late = _LATE.draw(draws.uniform(), cluster) == 1
    values = {name: table.draw(draws.uniform(), cluster) for name, table in _BY_CLUSTER.items()}
    values |= {name: r.draw(draws.uniform(), cluster) for name, r in _RANGE_BY_CLUSTER.items()}
    values |= {name: table.draw(draws.uniform()) for name, table in _GLOBAL.items()}
    return FeatureBlock(cluster, is_late, values)


def simulate(plan: SimulationPlan, *, chunk_rows: int = 100_000) -> Iterator[SimulatedChunk]:
    """Draw the orders of a plan in chunks; the orders do not depend on the chunks' size.

    Args:
        plan: what to simulate.
        chunk_rows: rows of each chunk but the last, which may be shorter.

    Raises:
        ValueError: `chunk_rows` is below 1.
    """
    if chunk_rows < 1:
        raise ValueError(f"chunk_rows must be at least 1, not {chunk_rows}")
    return _rechunk(_blocks(plan), chunk_rows)


def training_frame(count: int, seed: int) -> tuple[pa.Table, npt.NDArray[np.int8]]:
    """Draw orders with known outcomes to train or test a model.

    They are the features and outcomes of the plan with the same count and seed, so test a model
    on another seed than it was trained on.

    Args:
        count: number of orders.
        seed: 0 to 2**64 - 1.

    Returns:
        The ten features in contract order (`FEATURES`), typed as in a validated batch, and the
        labels: 1 for a late order, 0 for one on time.

    Raises:
        ValueError: the count or the seed is out of range.
    """
    plan = SimulationPlan(count=count, seed=seed, start=FIRST_START)
    clusters = cluster_distribution(None)
    blocks = [draw_features(draws, clusters) for _, draws in _streams(plan)]
    features = pa.concat_tables([_feature_table(block) for block in blocks])
    labels = np.concatenate([block.is_late for block in blocks]).astype(np.int8)
    return features.slice(0, count).combine_chunks(), labels[:count]


def drawn_blocks(plan: SimulationPlan) -> Iterator[tuple[int, OrderBlock, Draws]]:
    """The first row of each block, its orders, and its random stream, to be drawn from further.

    The last block is drawn whole too, not cut, so that the first orders of a plan do not depend
    on how many follow.
    """
    clusters = cluster_distribution(plan.late_share)
    days = order_days(plan)
    for first_row, draws in _streams(plan):
        features = draw_features(draws, clusters)
        values = features.values
        journey = draw_journeys(draws, plan, days, values["mode_of_shipment"], features.is_late)
        # A customer's gender never changes: it is the last digit's parity.
        customer = values["gender"] + 2 * scaled(squared(draws.uniform()), CUSTOMERS_PER_GENDER)
        yield first_row, OrderBlock(features, journey, customer), draws


def order_ids(seed: int, first: int, count: int) -> pa.Array:
    """Identifiers of consecutive orders, the first of which has the number `first`."""
    return numbered(f"ORD-{seed:04X}-", first + np.arange(count), 9)


def _streams(plan: SimulationPlan) -> Iterator[tuple[int, Draws]]:
    """The first row and the random stream of each block."""
    for number, first_row in enumerate(range(0, plan.count, BLOCK_ROWS)):
        yield first_row, Draws(plan.seed, number, BLOCK_ROWS)


def _blocks(plan: SimulationPlan) -> Iterator[SimulatedChunk]:
    for first_row, block, draws in drawn_blocks(plan):
        order_id = order_ids(plan.seed, first_row + 1, BLOCK_ROWS)
        orders = order_table(order_id, block)
        fault = pa.repeat("", BLOCK_ROWS)
        if plan.fault_share > 0:
            orders, fault = inject_faults(orders, draws.happens(plan.fault_share))
        truth = truth_table(order_id, block).append_column("fault", fault)
        rows = min(BLOCK_ROWS, plan.count - first_row)
        yield SimulatedChunk(orders.slice(0, rows), truth.slice(0, rows))


def truth_table(order_id: pa.Array, block: OrderBlock) -> pa.Table:
    """What becomes of orders: `order_id`, `is_late`, and the true `delivery_date`."""
    return pa.table(
        {
            "order_id": order_id,
            "is_late": pa.array(block.features.is_late),
            "delivery_date": timestamps(block.journey.delivered),
        }
    )


def order_table(order_id: pa.Array, block: OrderBlock) -> pa.Table:
    """Every field of the contract, as known at the end of the period, typed."""
    journey = block.journey
    columns = _feature_columns(block.features) | {
        "order_id": order_id,
        "customer_id": numbered("CUST-", block.customer, 6),
        "order_date": timestamps(journey.ordered),
        "promised_delivery_date": timestamps(journey.promised),
        "ship_date": timestamps(journey.shipped, journey.has_shipped),
        "delivery_date": timestamps(journey.delivered, journey.has_delivered),
        "carrier_name": named(CARRIER_NAMES, journey.carrier),
        "payment_status": named(BY_NAME["payment_status"].choices, journey.payment),
        "order_status": named(BY_NAME["order_status"].choices, journey.status),
    }
    return pa.table({field.name: columns[field.name] for field in FIELDS})


def _feature_columns(block: FeatureBlock) -> dict[str, pa.Array]:
    return {
        name: named(choices, values) if (choices := BY_NAME[name].choices) else pa.array(values)
        for name, values in block.values.items()
    }


def _feature_table(block: FeatureBlock) -> pa.Table:
    columns = _feature_columns(block)
    return pa.table(
        {name: columns[name].cast(ARROW_TYPES[BY_NAME[name].kind]) for name in FEATURES}
    )


def _rechunk(blocks: Iterator[SimulatedChunk], chunk_rows: int) -> Iterator[SimulatedChunk]:
    """Cut the stream of blocks into chunks of one size."""
    pending: SimulatedChunk | None = None
    for block in blocks:
        waiting = block if pending is None else _joined(pending, block)
        rows = waiting.orders.num_rows
        whole = rows - rows % chunk_rows
        for start in range(0, whole, chunk_rows):
            yield _sliced(waiting, start, chunk_rows)
        # No empty rest is carried on: pyarrow's CSV writer repeats stale memory for an empty
        # first piece of a table.
        pending = _sliced(waiting, whole, rows - whole) if whole < rows else None
    if pending is not None:
        yield pending


def _joined(first: SimulatedChunk, second: SimulatedChunk) -> SimulatedChunk:
    return SimulatedChunk(
        pa.concat_tables([first.orders, second.orders]),
        pa.concat_tables([first.truth, second.truth]),
    )


def _sliced(chunk: SimulatedChunk, start: int, rows: int) -> SimulatedChunk:
    return SimulatedChunk(chunk.orders.slice(start, rows), chunk.truth.slice(start, rows))
