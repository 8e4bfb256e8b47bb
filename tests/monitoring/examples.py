"""Orders that are heard of several times, and outcomes by the thousand."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from fulfillment_assets.delay_model.label import Labels
from fulfillment_assets.orders.simulator import SimulationPlan, simulate, training_frame
from fulfillment_assets.orders.simulator.csv_text import with_iso_timestamps
from fulfillment_assets.store.copy import copy_into, encode
from tests.kpis.examples import committed_scorer
from tests.scoring.workplace import Workplace

DAY: Final = dt.date(2026, 3, 10)
"""When most outcomes become known."""

PROCESSING: Final = {
    "order_date": "2026-03-01T09:30:00Z",
    "promised_delivery_date": "2026-03-06T18:00:00Z",
    "ship_date": "",
    "delivery_date": "",
    "order_status": "processing",
}
SHIPPED: Final = PROCESSING | {"ship_date": "2026-03-02T14:00:00Z", "order_status": "shipped"}
ON_TIME: Final = SHIPPED | {"delivery_date": "2026-03-05T11:00:00Z", "order_status": "delivered"}
LATE: Final = ON_TIME | {"delivery_date": "2026-03-08T11:00:00Z"}
OVERDUE: Final = SHIPPED | {"order_status": "delayed"}
CANCELLED: Final = PROCESSING | {"order_status": "cancelled"}


def at(day: int, hour: int = 12) -> dt.datetime:
    """A moment in March 2026."""
    return dt.datetime(2026, 3, day, hour, tzinfo=dt.UTC)


def hear(workplace: Workplace, received: dt.datetime, *changes: Mapping[str, str]) -> None:
    """Score a file of orders that differ from the example, as received at a moment."""
    named = [{"order_id": "O1"} | dict(change) for change in changes]
    path = workplace.orders(*named, name=f"{received:%Y%m%d%H%M%S}.csv")
    result = workplace.score(path, received=received, again=True)
    assert result.predictions == len(changes)


def outcome(workplace: Workplace, order_id: str = "O1") -> dict[str, Any]:
    """What is known of an order."""
    (row,) = workplace.rows("SELECT * FROM outcomes WHERE order_id = :id", id=order_id)
    return row


def prediction(workplace: Workplace, received: dt.datetime, order_id: str = "O1") -> dict[str, Any]:
    """The prediction that was made of an order when a record of it was received."""
    (row,) = workplace.rows(
        "SELECT * FROM predictions WHERE order_id = :id AND created_at = :at",
        id=order_id,
        at=received,
    )
    return row


def told(
    engine: Engine,
    day: dt.date = DAY,
    count: int = 1_000,
    *,
    seed: int = 1,
    late: Labels | None = None,
    probability: np.ndarray[Any, np.dtype[np.float64]] | None = None,
    foreseen: bool = True,
    model_version: str | None = None,
    shuffled: bool = False,
) -> pa.Table:
    """Store outcomes of simulated orders that the committed model predicted; return them.

    Args:
        engine: of the database.
        day: on which they became known.
        count: how many.
        seed: of the orders; it is in their ids, too.
        late: what became of them, if not what the simulator says.
        probability: what was predicted, if not what the committed model says.
        foreseen: whether it was a forecast.
        model_version: who predicted, if not the committed model.
        shuffled: store them in another order.
    """
    scorer = committed_scorer()
    features, simulated = training_frame(count, seed)
    if probability is None:
        probability = scorer.score(features).probability
    known_at = dt.datetime.combine(day, dt.time(12), dt.UTC)
    columns = {
        "order_id": [f"S{seed}-{number}" for number in range(count)],
        "is_late": pa.array(simulated if late is None else late).cast(pa.bool_()),
        "decided_by": ["delivery_date"] * count,
        "known_at": pa.array([known_at] * count, pa.timestamp("us", "UTC")),
        "foreseen": [foreseen] * count,
        "prediction_id": [f"{number:032x}" for number in range(count)],
        "prediction_created_at": pa.array([known_at] * count, pa.timestamp("us", "UTC")),
        "delay_probability": probability,
        "severity": ["info"] * count,
        "model_version": [model_version or scorer.version] * count,
    }
    table = pa.table(columns | {name: features[name] for name in features.column_names})
    if shuffled:
        table = table.take(np.random.default_rng(seed).permutation(count))
    with engine.begin() as connection:
        copy_into(connection, "outcomes", encode(table))
    return table


def lifecycle(workplace: Workplace, count: int, received: tuple[dt.datetime, dt.datetime]) -> Any:
    """Hear of simulated orders twice: as they are placed, and when all have arrived.

    Returns:
        What became of the orders that were not cancelled, as the simulator says.
    """
    plan = SimulationPlan(count, seed=11, start=dt.date(2026, 3, 1), days=7)
    (chunk,) = simulate(plan)
    cancelled = pa.compute.equal(chunk.orders["order_status"], "cancelled")
    unknown = pa.nulls(count, pa.timestamp("s", "UTC"))
    placed = _with(
        chunk.orders,
        ship_date=unknown,
        delivery_date=unknown,
        order_status=pa.array(["processing"] * count),
    )
    arrived = _with(
        chunk.orders,
        delivery_date=pa.compute.if_else(cancelled, None, chunk.truth["delivery_date"]),
        order_status=pa.compute.if_else(cancelled, "cancelled", "delivered"),
    )
    for table, moment in zip((placed, arrived), received, strict=True):
        path = workplace.file("", f"{moment:%Y%m%d}.csv")
        pacsv.write_csv(with_iso_timestamps(table), path)
        workplace.score(path, received=moment)
    return chunk.truth.filter(pa.compute.invert(cancelled))


def _with(table: pa.Table, **columns: Any) -> pa.Table:
    for name, column in columns.items():
        table = table.set_column(table.column_names.index(name), name, column)
    return table


def waiting_backends(engine: Engine) -> int:
    """How many sessions of the database wait for a lock."""
    with engine.connect() as connection:
        return int(
            connection.scalar(
                sa.text(
                    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
                    "AND datname = current_database()"
                )
            )
            or 0
        )
