"""Orders with chosen probabilities, carried through the real tables, and a naive model of them."""

from __future__ import annotations

import datetime as dt
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from typing import Any, Final

import numpy as np
import pyarrow as pa
import sqlalchemy as sa
from hypothesis import strategies as st
from sqlalchemy.engine import Connection, Engine

from fulfillment_assets.delay_model.reasons import MOST, NO_FEATURE, Reasons
from fulfillment_assets.delay_model.scorer import DelayScorer
from fulfillment_assets.deviations.severity import Thresholds, load_thresholds
from fulfillment_assets.orders.contract import FIELDS, Kind
from fulfillment_assets.orders.schema import ORDER_SCHEMA
from fulfillment_assets.scoring import staging
from fulfillment_assets.scoring.identifiers import uuid7_column
from fulfillment_assets.scoring.pipeline import apply_staged
from fulfillment_assets.scoring.rows import Arrival, ScoredOrders, event_times
from fulfillment_assets.settings import PROJECT_ROOT
from fulfillment_assets.store.partitions import ensure_partition

NOW: Final = dt.datetime(2024, 3, 10, 12, 30, tzinfo=dt.UTC)
HOUR: Final = dt.timedelta(hours=1)
DAY: Final = dt.timedelta(days=1)

CLOSED: Final = ("delivered", "cancelled")

_EXAMPLES: Final[dict[Kind, Callable[[str], Any]]] = {
    Kind.TEXT: str,
    Kind.CATEGORY: str,
    Kind.INTEGER: int,
    Kind.NUMBER: float,
    Kind.TIMESTAMP: lambda _: None,
}


@dataclass(frozen=True, slots=True)
class Event:
    """What is heard of one order, and how probable the model is made to find its delay.

    Attributes:
        at: when it was placed; from it follows the time of the event. None: when it is received.
    """

    order_id: str
    probability: float = 0.6
    at: dt.datetime | None = None
    order_status: str | None = "processing"
    warehouse_block: str = "A"
    mode_of_shipment: str = "Ship"
    product_importance: str = "low"

    def time(self, received_at: dt.datetime) -> dt.datetime:
        """When the order's state became true: a date in the future says nothing."""
        return received_at if self.at is None or self.at > received_at else self.at

    @property
    def severity(self) -> str:
        """By the thresholds that a new database has."""
        if self.probability > 0.7:
            return "critical"
        if self.probability > 0.5:
            return "warning"
        return "info" if self.probability > 0.3 else "none"

    @property
    def expected_on_time(self) -> bool:
        return self.probability <= 0.5

    @property
    def deviates_as(self) -> list[str]:
        """The kinds of deviation that a new database has for this state."""
        if self.expected_on_time or self.order_status in CLOSED:
            return []
        return ["delay_risk", *(["fulfillment_gap"] if self.order_status == "shipped" else [])]


@dataclass(frozen=True, slots=True)
class Batch:
    """Events that come together."""

    events: tuple[Event, ...]
    received_at: dt.datetime = NOW


def order_table(events: Sequence[Event]) -> pa.Table:
    """The events as validated orders, numbered from 1; the fields not named are examples."""
    example: dict[str, Any] = {f.name: _EXAMPLES[f.kind](f.example) for f in FIELDS}
    rows = [
        example
        | {name: getattr(event, name) for name in Event.__slots__ if name in example}
        | {"row_number": number, "order_date": event.at, "extra": None}
        for number, event in enumerate(events, start=1)
    ]
    return pa.Table.from_pylist(rows, schema=ORDER_SCHEMA)


def with_probabilities(
    events: Sequence[Event], received_at: dt.datetime, thresholds: Thresholds
) -> ScoredOrders:
    """The events as the model would leave them, had it found their probabilities."""
    orders = order_table(events)
    probability = np.array([event.probability for event in events])
    return ScoredOrders(
        orders=orders,
        prediction_id=uuid7_column(len(events)),
        event_time=event_times(orders, received_at),
        probability=probability,
        severity=thresholds.classify(probability),
        reasons=Reasons(
            np.full((len(events), MOST), NO_FEATURE, np.int8), np.zeros((len(events), MOST))
        ),
        thresholds=thresholds,
        model=committed_scorer().metadata,
    )


def write(
    connection: Connection,
    events: Sequence[Event],
    received_at: dt.datetime = NOW,
    batch_job_id: uuid.UUID | None = None,
) -> None:
    """Carry the events through every table, in the caller's transaction."""
    staging.open_staging(connection)
    thresholds = load_thresholds(connection)
    arrival = Arrival("api" if batch_job_id is None else "batch", received_at, batch_job_id)
    scored = with_probabilities(events, received_at, thresholds)
    staging.stage(connection, staging.encode_batch(scored, arrival), received_at.date())
    apply_staged(connection, thresholds, received_at, batch_job_id)


def commit(
    engine: Engine,
    *events: Event,
    received_at: dt.datetime = NOW,
    batch_job_id: uuid.UUID | None = None,
) -> None:
    """Carry the events through every table, in one transaction of their own."""
    with engine.begin() as connection:
        ensure_partition(connection, received_at.date())
    with engine.begin() as connection:
        write(connection, events, received_at, batch_job_id)


def wipe(engine: Engine) -> None:
    """Take all orders out of a database, and what came of them."""
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                "TRUNCATE predictions, orders, kpi_rollups, kpi_daily_rollups, deviations, outbox "
                "CASCADE"
            )
        )


@cache
def committed_scorer() -> DelayScorer:
    """The committed model."""
    return DelayScorer.load(PROJECT_ROOT / "models")


Segment = tuple[Any, str, str, str]
Totals = tuple[int, Decimal, int, int, int, int, int, int, Decimal]

_COUNTED: Final = (
    "warehouse_block, mode_of_shipment, product_importance, orders, probability_sum, critical, "
    "warning, info, gap, on_time, high_risk, probability_square_sum"
)
_COUNTING: Final = (
    "orders <> 0 OR probability_sum <> 0 OR probability_square_sum <> 0 OR critical <> 0 "
    "OR warning <> 0 OR info <> 0 OR gap <> 0"
)


def rollups_of(connection: Connection) -> dict[Segment, Totals]:
    """The rows of `kpi_rollups` that count something, by their hour and segment."""
    return _counted(connection, "bucket", "kpi_rollups")


def daily_rollups_of(connection: Connection) -> dict[Segment, Totals]:
    """The rows of `kpi_daily_rollups` that count something, by their day and segment."""
    return _counted(connection, "day", "kpi_daily_rollups")


def _counted(connection: Connection, period: str, table: str) -> dict[Segment, Totals]:
    query = f"SELECT {period}, {_COUNTED} FROM {table} WHERE {_COUNTING}"
    return {tuple(row[:4]): tuple(row[4:]) for row in connection.execute(sa.text(query))}


@dataclass
class NaivePlatform:
    """What the tables must hold, worked out an event at a time.

    Attributes:
        latest: the state of each order, with its rank: the highest so far.
        open: severity of each open deviation, by order and kind.
        announced: order, kind and severity of each event that was to be sent, in order.
    """

    latest: dict[str, tuple[tuple[dt.datetime, dt.datetime, int], Event]] = field(
        default_factory=dict
    )
    open: dict[tuple[str, str], str] = field(default_factory=dict)
    announced: list[tuple[str, str, str]] = field(default_factory=list)

    def take(self, batch: Batch) -> None:
        """Hear of a batch."""
        before = {order_id: event for order_id, (_, event) in self.latest.items()}
        for number, event in enumerate(batch.events):
            rank = (event.time(batch.received_at), batch.received_at, number)
            if event.order_id not in self.latest or rank > self.latest[event.order_id][0]:
                self.latest[event.order_id] = (rank, event)
        for order_id, (_, event) in sorted(self.latest.items()):
            if event is not before.get(order_id):
                self._watch(event)

    def _watch(self, event: Event) -> None:
        for kind in ("delay_risk", "fulfillment_gap"):
            known = self.open.pop((event.order_id, kind), None)
            if kind in event.deviates_as:
                self.open[event.order_id, kind] = event.severity
                if known != event.severity:
                    self.announced.append((event.order_id, kind, event.severity))

    def rollups(self) -> dict[Segment, Totals]:
        """What `kpi_rollups` must count."""
        return self._counted(lambda time: time.replace(minute=0, second=0, microsecond=0))

    def daily_rollups(self) -> dict[Segment, Totals]:
        """What `kpi_daily_rollups` must count."""
        return self._counted(dt.datetime.date)

    def _counted(self, period: Callable[[dt.datetime], Any]) -> dict[Segment, Totals]:
        members: dict[Segment, list[Event]] = defaultdict(list)
        for (time, _, _), event in self.latest.values():
            if event.order_status != "cancelled":
                segment = (
                    period(time.astimezone(dt.UTC)),
                    event.warehouse_block,
                    event.mode_of_shipment,
                    event.product_importance,
                )
                members[segment].append(event)
        return {segment: _totals(events) for segment, events in members.items()}


def _totals(events: Iterable[Event]) -> Totals:
    listed = list(events)
    graded = [sum(e.severity == name for e in listed) for name in ("critical", "warning", "info")]
    return (
        len(listed),
        sum((_exact(event.probability) for event in listed), Decimal(0)),
        graded[0],
        graded[1],
        graded[2],
        sum(e.order_status == "shipped" and not e.expected_on_time for e in listed),
        sum(e.expected_on_time for e in listed),
        graded[0],
        sum((_exact(event.probability * event.probability) for event in listed), Decimal(0)),
    )


def _exact(fraction: float) -> Decimal:
    return Decimal(round(fraction * 1e6)) / 1_000_000


_MOMENTS: Final = [NOW - 3 * DAY, NOW - 2 * HOUR, NOW - HOUR, NOW, NOW + 2 * DAY]

events: Final[st.SearchStrategy[Event]] = st.builds(
    Event,
    order_id=st.sampled_from(["O1", "O2", "O3", "Ö4"]),
    probability=st.sampled_from([0.001, 0.3, 0.300001, 0.5, 0.654321, 0.7, 0.700001, 0.999]),
    at=st.none() | st.sampled_from(_MOMENTS),
    order_status=st.sampled_from(
        [None, "processing", "shipped", "delivered", "delayed", "cancelled"]
    ),
    warehouse_block=st.sampled_from("AF"),
    mode_of_shipment=st.sampled_from(["Ship", "Road"]),
    product_importance=st.sampled_from(["low", "high"]),
)


@st.composite
def histories(draw: st.DrawFn) -> list[Batch]:
    """Batches of a few orders in the order of their scoring, which need not be that of receipt."""
    batches = draw(st.lists(st.lists(events, min_size=1, max_size=6), min_size=1, max_size=5))
    receipts = [NOW + number * 10 * HOUR for number in range(len(batches))]
    order = draw(st.permutations(receipts))
    return [
        Batch(tuple(batch), received_at) for batch, received_at in zip(batches, order, strict=True)
    ]
