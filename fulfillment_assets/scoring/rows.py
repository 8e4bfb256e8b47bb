"""Scored orders as rows: what goes into `predictions` and into the staging table."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fulfillment_assets.delay_model.metadata import ModelMetadata
from fulfillment_assets.delay_model.reasons import MOST, NO_FEATURE, Reasons
from fulfillment_assets.delay_model.scorer import DelayScorer
from fulfillment_assets.delay_model.wording import in_words
from fulfillment_assets.deviations.severity import Thresholds, severity_names
from fulfillment_assets.observability.correlation import current_correlation_id
from fulfillment_assets.orders.contract import BY_NAME, CLOSED_STATUSES, FEATURES, FIELDS, Kind
from fulfillment_assets.scoring import json_columns
from fulfillment_assets.scoring.identifiers import uuid7_column
from fulfillment_assets.scoring.json_columns import StringColumn

Source = Literal["batch", "streaming", "api"]

LIFECYCLE: Final = ("order_date", "ship_date", "delivery_date")
_INSTANT: Final = pa.timestamp("us", "UTC")


@dataclass(frozen=True, slots=True)
class Arrival:
    """Where a batch of orders came from, and when.

    Attributes:
        source: the way in.
        received_at: aware; the same on every retry of a file. It dates the predictions' partition.
        batch_job_id: the job of a file; with the row number it makes a replay a no-op.
        stream: topic and partition of messages, whose offsets stand for row numbers.
        correlation_id: of what brought the orders, if it is one for all; the one that is bound to
            the context, if not given.
    """

    source: Source
    received_at: dt.datetime
    batch_job_id: uuid.UUID | None = None
    stream: tuple[str, int] | None = None
    correlation_id: str | None = field(default_factory=current_correlation_id)


@dataclass(frozen=True, slots=True)
class ScoredOrders:
    """A batch of valid orders with what a model says of each. All columns have n rows.

    Attributes:
        correlation_id: of what brought each order; None where that is not known.
    """

    orders: pa.Table
    prediction_id: pa.Array
    event_time: pa.Array
    probability: npt.NDArray[np.float64]
    severity: npt.NDArray[np.int8]
    reasons: Reasons
    thresholds: Thresholds
    model: ModelMetadata
    correlation_id: pa.Array | None = None

    def __len__(self) -> int:
        return int(self.orders.num_rows)


def score_orders(
    orders: pa.Table, scorer: DelayScorer, thresholds: Thresholds, arrival: Arrival
) -> ScoredOrders:
    """Score valid orders (`ORDER_SCHEMA`), one or many, that have just arrived."""
    return score_known(
        orders,
        scorer,
        thresholds,
        prediction_id=uuid7_column(orders.num_rows),
        event_time=event_times(orders, arrival.received_at),
        correlation_id=_same_id(arrival, orders.num_rows),
    )


def score_known(
    orders: pa.Table,
    scorer: DelayScorer,
    thresholds: Thresholds,
    *,
    prediction_id: pa.Array,
    event_time: pa.Array,
    correlation_id: pa.Array | None = None,
) -> ScoredOrders:
    """Score orders that have their ids and times: the only place where batches are scored."""
    scores = scorer.score(orders)
    return ScoredOrders(
        orders=orders,
        prediction_id=prediction_id,
        event_time=event_time,
        probability=scores.probability,
        severity=thresholds.classify(scores.probability),
        reasons=scores.reasons,
        thresholds=thresholds,
        model=scorer.metadata,
        correlation_id=correlation_id,
    )


def _same_id(arrival: Arrival, count: int) -> pa.Array | None:
    known = arrival.correlation_id
    return None if known is None else _repeat(known, count, pa.string())


def event_times(orders: pa.Table, received_at: dt.datetime | pa.Array) -> pa.Array:
    """When each order's state became true: its last dated step that is not in the future.

    Without an order date the feed does not date its orders, and a state became true when it
    was received: else a delivery dated before the last receipt would pass for old news.

    Args:
        orders: n orders, as `ORDER_SCHEMA`.
        received_at: when they were received, all at once or each.
    """
    at_once = isinstance(received_at, dt.datetime)
    now = pa.scalar(received_at, _INSTANT) if at_once else received_at
    steps = [
        pc.cast(pc.if_else(pc.less_equal(orders[name], now), orders[name], None), pa.int64())
        for name in LIFECYCLE  # the maximum of timestamps with a zone is not implemented
    ]
    last = pc.if_else(orders["order_date"].is_valid(), pc.max_element_wise(*steps), None)
    return pc.coalesce(pc.cast(last, _INSTANT), now)


def prediction_rows(scored: ScoredOrders, arrival: Arrival) -> pa.Table:
    """The rows of `predictions` for orders that have just arrived."""
    count = len(scored)
    columns = {
        "created_at": _repeat(arrival.received_at, count, _INSTANT),
        "source": _repeat(arrival.source, count, pa.string()),
        **_origin(scored.orders, arrival),
        "order_id": scored.orders["order_id"],
        "event_time": scored.event_time,
        "order_status": scored.orders["order_status"],
        "features_json": json_columns.objects(_members(scored.orders, FEATURES)),
        "extra": scored.orders["extra"],
    }
    return pa.table(_verdicts(scored) | columns)


def _origin(orders: pa.Table, arrival: Arrival) -> dict[str, StringColumn]:
    """Where each order stands in what it came with."""
    count = orders.num_rows
    if arrival.stream is not None:
        topic, partition = arrival.stream
        return {
            "topic": _repeat(topic, count, pa.string()),
            "partition": _repeat(partition, count, pa.int32()),
            "offset": orders["row_number"],
            "produced_at": orders["produced_at"],
            "correlation_id": orders["correlation_id"],
        }
    job = None if arrival.batch_job_id is None else arrival.batch_job_id.hex
    return {
        "batch_job_id": _repeat(job, count, pa.string()),
        "row_number": orders["row_number"],
    }


def verdict_rows(scored: ScoredOrders) -> pa.Table:
    """The part of `predictions` that a new model changes, by `id`."""
    return pa.table(_verdicts(scored))


def _verdicts(scored: ScoredOrders) -> dict[str, StringColumn]:
    return {
        "id": scored.prediction_id,
        "delay_probability": pa.array(scored.probability),
        "severity": severity_names(scored.severity),
        "reasons": reasons_json(scored.reasons),
        "model_version": _repeat(scored.model.version, len(scored), pa.string()),
    }


def staged_rows(scored: ScoredOrders) -> pa.Table:
    """The rows of the staging table: the order's state, its prediction, and its context."""
    columns = {field.name: scored.orders[field.name] for field in FIELDS}
    columns |= {
        "prediction_id": scored.prediction_id,
        "event_time": scored.event_time,
        "delay_probability": pa.array(scored.probability),
        "severity": severity_names(scored.severity),
        "context": _contexts(scored),
    }
    return pa.table(columns)


def reasons_json(reasons: Reasons) -> StringColumn:
    """JSON arrays of `{"feature": ..., "contribution": ...}`, the greatest contribution first."""
    return _reason_arrays(reasons, [""] * MOST)


def worded_reasons_json(reasons: Reasons, orders: pa.Table, model: ModelMetadata) -> StringColumn:
    """The same, with each reason in plain words as `"text"`.

    Args:
        reasons: of n predictions.
        orders: the n orders that they are of.
        model: the one that made them.
    """
    texts = _texts(reasons, orders, model)
    return _reason_arrays(
        reasons, [pc.binary_join_element_wise('"text":"', text, '",', "") for text in texts]
    )


def _reason_arrays(reasons: Reasons, first_members: Sequence[StringColumn | str]) -> StringColumn:
    """JSON arrays of reasons; each slot's objects begin with that slot's first members."""
    named = pa.array([f'"feature":"{name}","contribution":' for name in FEATURES])
    slots = []
    for slot, first in enumerate(first_members):
        feature = reasons.feature[:, slot]
        name = named.take(pa.array(feature, mask=feature == NO_FEATURE))
        contribution = json_columns.number(pa.array(reasons.contribution[:, slot]))
        opening = ",{" if slot else "{"
        reason = pc.binary_join_element_wise(opening, first, name, contribution, "}", "")
        slots.append(pc.coalesce(reason, pa.scalar("")))
    return pc.binary_join_element_wise("[", *slots, "]", "")


def _texts(reasons: Reasons, orders: pa.Table, model: ModelMetadata) -> list[pa.Array]:
    """The reasons in words: a column for each slot, null where there is none.

    Many orders share a value, so each distinct one is put into words once.
    """
    features = reasons.feature.ravel()
    texts = np.full(features.shape, None, np.object_)
    for feature in np.unique(features[features != NO_FEATURE]):
        name, places = FEATURES[feature], np.flatnonzero(features == feature)
        values = orders[name].take(places // MOST).combine_chunks().dictionary_encode()
        words = [in_words(name, value, model) for value in values.dictionary.to_pylist()]
        texts[places] = np.array(words, np.object_)[values.indices.to_numpy()]
    return [pa.array(column, pa.string()) for column in texts.reshape(-1, MOST).T]


def _contexts(scored: ScoredOrders) -> pa.Array:
    """The full context, as JSON, of the orders that may deviate; null for the others."""
    grave = np.flatnonzero(scored.severity >= scored.thresholds.deviation_code)
    open_order = pc.invert(
        pc.is_in(scored.orders["order_status"].take(grave), pa.array(CLOSED_STATUSES))
    ).to_numpy(zero_copy_only=False)
    rows = grave[open_order]
    orders = scored.orders.take(rows)
    members = {
        "order": json_columns.objects(_members(orders, tuple(BY_NAME))),
        "delay_probability": json_columns.number(pa.array(scored.probability[rows])),
        "severity": json_columns.symbol(severity_names(scored.severity[rows])),
        "reasons": worded_reasons_json(scored.reasons.take(rows), orders, scored.model),
        "model_version": json_columns.text(_repeat(scored.model.version, len(rows), pa.string())),
    }
    if scored.correlation_id is not None:
        members["correlation_id"] = json_columns.text(scored.correlation_id.take(rows))
    position = np.full(len(scored), -1, np.int64)
    position[rows] = np.arange(len(rows))
    where = pa.array(position, mask=position < 0)
    return _combine(json_columns.objects(members)).take(where)


def _members(orders: pa.Table, names: tuple[str, ...]) -> dict[str, StringColumn]:
    return {name: _json(orders[name], BY_NAME[name].kind) for name in names}


def _json(column: pa.ChunkedArray, kind: Kind) -> StringColumn:
    match kind:
        case Kind.TEXT:
            return json_columns.text(column)
        case Kind.CATEGORY:
            return json_columns.symbol(column)
        case Kind.TIMESTAMP:
            return json_columns.instant(column)
        case _:
            return json_columns.number(column)


def _repeat(value: object, count: int, kind: pa.DataType) -> pa.Array:
    return pa.repeat(pa.scalar(value, kind), count)


def _combine(column: StringColumn) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
