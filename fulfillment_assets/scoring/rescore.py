"""Re-score the predictions of a day with the current model, in one transaction.

The day's rows keep their ids, times and orders; probability, severity, reasons and model
version are new. An order changes only if one of these predictions is its latest.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine, Row

from fulfillment_assets.delay_model.scorer import DelayScorer
from fulfillment_assets.deviations import rules
from fulfillment_assets.deviations.severity import Thresholds, load_thresholds
from fulfillment_assets.kpis import rollups
from fulfillment_assets.orders.contract import FIELDS, Kind
from fulfillment_assets.orders.schema import ORDER_SCHEMA
from fulfillment_assets.scoring import staging
from fulfillment_assets.scoring.rows import ScoredOrders, score_known, staged_rows, verdict_rows
from fulfillment_assets.store.copy import copy_into, encode
from fulfillment_assets.store.partitions import start_of

_LOCK: Final = 0x72657363
"""Advisory lock, with the day: two runs of one day follow one another."""

CHUNK_ROWS: Final = 50_000

_VERDICT: Final = ("delay_probability", "severity", "reasons", "model_version")
_SQL_TYPES: Final = {Kind.INTEGER: "integer", Kind.NUMBER: "double precision"}


def _column(name: str, kind: Kind, *, feature: bool) -> str:
    if feature:
        return f"(p.features_json ->> '{name}')::{_SQL_TYPES.get(kind, 'text')} AS {name}"
    return f"{'p' if name in ('order_id', 'order_status') else 'o'}.{name}"


_READ: Final = f"""
SELECT p.id, p.event_time, coalesce(p.row_number, 0) AS row_number, p.extra::text AS extra,
       coalesce(p.correlation_id, j.correlation_id,
                p.topic || ':' || p.partition || ':' || p."offset") AS correlation_id,
       {", ".join(_column(f.name, f.kind, feature=f.feature) for f in FIELDS)}
FROM predictions p
LEFT JOIN orders o ON o.order_id = p.order_id AND o.prediction_id = p.id
LEFT JOIN batch_jobs j ON j.id = p.batch_job_id
WHERE p.created_at >= :day AND p.created_at < :next_day
"""

_CREATE: Final = f"""
CREATE TEMP TABLE IF NOT EXISTS rescored ON COMMIT DELETE ROWS AS
SELECT id, {", ".join(_VERDICT)} FROM predictions WITH NO DATA
"""

_UPDATE: Final = f"""
UPDATE predictions p SET {", ".join(f"{name} = r.{name}" for name in _VERDICT)}
FROM rescored r
WHERE p.id = r.id AND p.created_at >= :day AND p.created_at < :next_day
"""


@dataclass(frozen=True, slots=True)
class RescoreResult:
    """How many predictions of a day were re-scored, and with which model."""

    day: dt.date
    predictions: int
    model_version: str


def rescore_day(engine: Engine, scorer: DelayScorer, day: dt.date) -> RescoreResult:
    """Score every prediction made on the UTC day `day` again; a second call changes nothing."""
    bounds = {"day": start_of(day), "next_day": start_of(day + dt.timedelta(days=1))}
    lock = {"key": _LOCK, "day": day.toordinal()}
    predictions = 0
    with engine.begin() as connection:
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key, :day)"), lock)
        staging.open_staging(connection)
        connection.execute(sa.text(_CREATE))
        thresholds = load_thresholds(connection)
        for rows in _chunks(connection, bounds):
            scored = _score(rows, scorer, thresholds)
            copy_into(connection, "rescored", encode(verdict_rows(scored)))
            copy_into(connection, "staged_orders", encode(staged_rows(scored)))
            predictions += len(scored)
        connection.execute(sa.text(_UPDATE), bounds)
        staging.update_verdicts(connection)
        rules.watch_orders(connection, thresholds)
        rollups.apply_changes(connection)
        rules.watch_changed_segments(connection, thresholds)
    return RescoreResult(day, predictions, scorer.version)


def _chunks(connection: Connection, bounds: dict[str, dt.datetime]) -> Iterator[Sequence[Row[Any]]]:
    result = connection.execute(sa.text(_READ), bounds, execution_options={"yield_per": CHUNK_ROWS})
    yield from result.partitions()


def _score(rows: Sequence[Row[Any]], scorer: DelayScorer, thresholds: Thresholds) -> ScoredOrders:
    columns = {name: [row._mapping[name] for row in rows] for name in rows[0]._fields}
    orders = pa.table({name: columns[name] for name in ORDER_SCHEMA.names}, schema=ORDER_SCHEMA)
    return score_known(
        orders,
        scorer,
        thresholds,
        prediction_id=pa.array([prediction_id.hex for prediction_id in columns["id"]]),
        event_time=pa.array(columns["event_time"], pa.timestamp("us", "UTC")),
        correlation_id=pa.array(columns["correlation_id"], pa.string()),
    )
