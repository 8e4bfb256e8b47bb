"""Orders scored and written one at a time: the same rows as `rows` gives, for few orders.

A column of eight values costs Arrow about what one of eight thousand does. Up to some hundred
orders it is ten times as fast to go row by row; tests hold the rows of both ways against each
other.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from fulfillment_assets.delay_model.bands import SEVERITIES
from fulfillment_assets.delay_model.scorer import DelayScorer
from fulfillment_assets.delay_model.wording import WordedReason, worded
from fulfillment_assets.deviations.severity import Thresholds
from fulfillment_assets.orders.contract import BY_NAME, CLOSED_STATUSES, FEATURES
from fulfillment_assets.orders.model import EnrichedOrder
from fulfillment_assets.orders.rules import Value
from fulfillment_assets.scoring.identifiers import uuid7_column
from fulfillment_assets.scoring.rows import LIFECYCLE
from fulfillment_assets.store.partitions import partition_name
from fulfillment_assets.store.prepared import Message

_FEATURES: Final = sorted(FEATURES, key=lambda name: (len(name), name))
_FIELDS: Final = tuple(BY_NAME)

_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)

_Column = Callable[["ScoredOrder"], Any]


class NewOrder(NamedTuple):
    """A valid order that has just arrived.

    Attributes:
        correlation_id: of what brought it; None where that is not known.
    """

    order: EnrichedOrder
    correlation_id: str | None = None


@dataclass(frozen=True, slots=True)
class ScoredOrder:
    """A valid order with what a model says of it.

    Attributes:
        values: of the contract's fields, by name, and `extra`.
        prediction_id: 32 hexadecimal digits.
        reasons: the greatest first.
        correlation_id: of what brought the order; None where that is not known.
        context: of the deviation that it may be, as JSON; None for one that cannot be.
    """

    values: Mapping[str, Value]
    prediction_id: str
    row_number: int
    event_time: dt.datetime
    received_at: dt.datetime
    probability: float
    severity: str
    reasons: tuple[WordedReason, ...]
    model_version: str
    correlation_id: str | None
    context: str | None


def score_each(
    orders: Sequence[NewOrder],
    scorer: DelayScorer,
    thresholds: Thresholds,
    received_at: dt.datetime,
) -> list[ScoredOrder]:
    """Score valid orders that have just arrived; their ids ascend."""
    ids = uuid7_column(len(orders)).to_pylist()
    return [
        _score(new, number, prediction_id, scorer, thresholds, received_at)
        for number, (new, prediction_id) in enumerate(zip(orders, ids, strict=True), start=1)
    ]


def _score(
    new: NewOrder,
    row_number: int,
    prediction_id: str,
    scorer: DelayScorer,
    thresholds: Thresholds,
    received_at: dt.datetime,
) -> ScoredOrder:
    values = new.order.record()
    score = scorer.score_one(values)  # type: ignore[arg-type]  # features are never None
    severity = thresholds.severity_of(score.probability)
    reasons = worded(score.reasons, values, scorer.metadata)  # type: ignore[arg-type]
    deviates = SEVERITIES.index(severity) >= thresholds.deviation_code
    context = None
    if deviates and values["order_status"] not in CLOSED_STATUSES:
        verdict = {
            "severity": severity,
            "model_version": scorer.version,
            "delay_probability": score.probability,
        }
        context = _context(values, reasons, verdict, new.correlation_id)
    return ScoredOrder(
        values=values,
        prediction_id=prediction_id,
        row_number=row_number,
        event_time=_event_time(values, received_at),
        received_at=received_at,
        probability=score.probability,
        severity=severity,
        reasons=reasons,
        model_version=scorer.version,
        correlation_id=new.correlation_id,
        context=context,
    )


def _event_time(values: Mapping[str, Any], received_at: dt.datetime) -> dt.datetime:
    """As `rows.event_times`: the last dated step that is not in the future."""
    if values["order_date"] is None:
        return received_at
    steps = [values[name] for name in LIFECYCLE if values[name] is not None]
    return max((step for step in steps if step <= received_at), default=received_at)


def _context(
    values: Mapping[str, Value],
    reasons: Iterable[WordedReason],
    verdict: Mapping[str, object],
    correlation_id: str | None,
) -> str:
    known = {} if correlation_id is None else {"correlation_id": correlation_id}
    return _json(
        {
            "order": {name: _plain(values[name]) for name in _FIELDS},
            "reasons": [reason._asdict() for reason in reasons],
            **verdict,
            **known,
        }
    )


def add_each(message: Message, scored: Sequence[ScoredOrder], day: dt.date) -> None:
    """Insert orders that came through the API: their predictions on `day`, and staged."""
    for table, columns in ((partition_name(day), _PREDICTION), ("staged_orders", _STAGED)):
        readers = columns.values()
        message.add_rows(table, list(columns), [[read(one) for read in readers] for one in scored])


def _features_json(scored: ScoredOrder) -> str:
    return _json({name: _plain(scored.values[name]) for name in _FEATURES})


def _reasons_json(scored: ScoredOrder) -> str:
    return _json(
        [{"feature": one.feature, "contribution": one.contribution} for one in scored.reasons]
    )


def _value_of(name: str) -> _Column:
    return lambda scored: scored.values[name]


_PREDICTION: Final[Mapping[str, _Column]] = {
    "id": lambda scored: scored.prediction_id,
    "delay_probability": lambda scored: scored.probability,
    "severity": lambda scored: scored.severity,
    "reasons": _reasons_json,
    "model_version": lambda scored: scored.model_version,
    "created_at": lambda scored: scored.received_at,
    "source": lambda scored: "api",
    "row_number": lambda scored: scored.row_number,
    "correlation_id": lambda scored: scored.correlation_id,
    "order_id": _value_of("order_id"),
    "event_time": lambda scored: scored.event_time,
    "order_status": _value_of("order_status"),
    "features_json": _features_json,
    "extra": _value_of("extra"),
}
_STAGED: Final[Mapping[str, _Column]] = {
    **{name: _value_of(name) for name in BY_NAME},
    "prediction_id": lambda scored: scored.prediction_id,
    "event_time": lambda scored: scored.event_time,
    "delay_probability": lambda scored: scored.probability,
    "severity": lambda scored: scored.severity,
    "context": lambda scored: scored.context,
}


def _json(value: Any) -> str:
    return _ENCODER.encode(value)


def _plain(value: Value) -> Any:
    """A value as the columns write it into JSON: times in UTC, whole numbers without a point."""
    if isinstance(value, dt.datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
