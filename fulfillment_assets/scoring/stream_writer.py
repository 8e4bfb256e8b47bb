"""Messages become predictions, orders, rollups and deviations, in the caller's transaction."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy.engine import Connection, Engine

from fulfillment_assets.delay_model.bands import SEVERITIES
from fulfillment_assets.delay_model.scorer import DelayScorer
from fulfillment_assets.deviations.severity import Thresholds, load_thresholds
from fulfillment_assets.events.messages import Message, RejectedMessage, decode_messages
from fulfillment_assets.events.offsets import server_time
from fulfillment_assets.scoring import progress, staging
from fulfillment_assets.scoring.ahead import ahead
from fulfillment_assets.scoring.identifiers import uuid7_column
from fulfillment_assets.scoring.pipeline import apply_staged
from fulfillment_assets.scoring.rows import Arrival, event_times, score_known
from fulfillment_assets.scoring.staging import EncodedBatch
from fulfillment_assets.store.partitions import ensure_partition

CHUNK_MESSAGES: Final = 8_192
"""Messages in flight at a time, as for rows of files."""


@dataclass(frozen=True, slots=True)
class _Prepared:
    encoded: EncodedBatch | None
    rejected: tuple[RejectedMessage, ...]
    count: int
    severities: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Written:
    """What became of messages.

    Attributes:
        severities: how many predictions there are of each severity.
        rejected: those that cannot be scored.
        applied_seconds: how long it took to carry the others into state, rollups and deviations.
    """

    severities: Mapping[str, int]
    rejected: Sequence[RejectedMessage]
    applied_seconds: float = 0.0

    @property
    def predicted(self) -> int:
        """How many predictions there are."""
        return sum(self.severities.values())


def make_ready(engine: Engine) -> None:
    """Make sure that predictions can be written now, and if midnight passes meanwhile."""
    with engine.begin() as connection:
        today = server_time(connection).date()
        for day in (today, today + dt.timedelta(days=1)):
            ensure_partition(connection, day)


def write_messages(
    connection: Connection,
    scorer: DelayScorer,
    stream: tuple[str, int],
    messages: Sequence[Message],
    received_at: dt.datetime,
    *,
    belated: bool = False,
) -> Written:
    """Score messages of one partition and write all that follows.

    Args:
        connection: in a transaction.
        scorer: the model.
        stream: topic and partition.
        messages: by offset.
        received_at: dates the predictions; their day must have its partition.
        belated: later messages may have been scored before. Orders that nobody dates are then
            dated by when their messages were produced, so that they do not pass for news.
    """
    rejected: list[RejectedMessage] = []
    severities = np.zeros(len(SEVERITIES), np.int64)
    if not messages:
        return Written(_counts(severities), rejected)
    staging.open_staging(connection)
    thresholds = load_thresholds(connection)
    arrival = Arrival("streaming", received_at, stream=stream)
    done = 0
    for chunk in ahead(_prepare(messages, scorer, thresholds, arrival, belated)):
        if chunk.encoded is not None:
            staging.stage(connection, chunk.encoded, received_at.date())
        rejected += chunk.rejected
        severities += chunk.severities
        done += chunk.count
        progress.report(done)
    staged = time.monotonic()
    apply_staged(connection, thresholds, received_at)
    return Written(_counts(severities), rejected, time.monotonic() - staged)


def _counts(severities: npt.NDArray[np.int64]) -> dict[str, int]:
    return dict(zip(SEVERITIES, severities.tolist(), strict=True))


def _prepare(
    messages: Sequence[Message],
    scorer: DelayScorer,
    thresholds: Thresholds,
    arrival: Arrival,
    belated: bool,
) -> Iterator[_Prepared]:
    # Ids ascend with the offset, so that of two events with one time the later wins.
    ids, kinds = uuid7_column(len(messages)), len(SEVERITIES)
    for first in range(0, len(messages), CHUNK_MESSAGES):
        chunk = messages[first : first + CHUNK_MESSAGES]
        decoded = decode_messages(chunk, arrival.received_at)
        orders = decoded.orders
        if not orders.num_rows:
            yield _Prepared(None, decoded.rejected, len(chunk), np.bincount([], minlength=kinds))
            continue
        places = np.searchsorted([m.offset for m in chunk], orders["row_number"].to_numpy())
        scored = score_known(
            orders,
            scorer,
            thresholds,
            prediction_id=ids.take(pa.array(first + places)),
            event_time=_event_times(orders, arrival.received_at, belated),
            correlation_id=_correlation_ids(orders, arrival),
        )
        severities = np.bincount(scored.severity, minlength=kinds)
        encoded = staging.encode_batch(scored, arrival)
        yield _Prepared(encoded, decoded.rejected, len(chunk), severities)


def _correlation_ids(orders: pa.Table, arrival: Arrival) -> pa.Array:
    """What the header says, else the position of the message."""
    position = pc.binary_join_element_wise(
        *map(str, arrival.stream or ()), pc.cast(orders["row_number"], pa.string()), ":"
    )
    return pc.coalesce(orders["correlation_id"], position)


def _event_times(orders: pa.Table, received_at: dt.datetime, belated: bool) -> pa.Array:
    moment: dt.datetime | pa.Array = received_at
    if belated:
        now = pa.scalar(received_at, pa.timestamp("us", "UTC"))
        past = pc.if_else(pc.less(orders["produced_at"], now), orders["produced_at"], now)
        moment = pc.coalesce(past, now)
    return pc.coalesce(orders["event_time"], event_times(orders, moment))
