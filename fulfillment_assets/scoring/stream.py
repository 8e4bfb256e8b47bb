"""The micro-batch: a range of a partition's messages becomes committed rows, exactly once.

    read → lock → decode → score → predictions, orders → kpi_rollups → deviations, outbox
                         ↘ rejected_records, outbox          → next_offset

Kafka is read first, with bounded waits, so that a silent broker never holds a transaction open.
Then one transaction writes all that follows from the messages and moves the partition's offset
past them. A run that dies leaves nothing, and its retry starts over; a range that is committed
already, or the part of one that is, is left as it is.

Predictions are dated by the transaction. A date of the message's own would be the same on every
retry, so that the unique index on (topic, partition, offset, created_at) could tell a repetition;
but it is the producer's word, and could name a day whose partition was dropped or will never be.
It is not needed either: who holds the row of the partition in `stream_offsets`, and finds the
offset unmoved, is the first and only one to commit what follows it.

Locks are taken in the order partition, orders by id, rollups by key; files take all but the
first in the same order, and no transaction holds two partitions, so none wait in a circle.
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, field

from sqlalchemy.engine import Engine

from fulfillment_assets.delay_model.scorer import DelayScorer
from fulfillment_assets.events import offsets
from fulfillment_assets.events.offsets import Commit, OffsetMismatchError
from fulfillment_assets.events.ranges import Gap, StreamRange
from fulfillment_assets.events.reader import Stretch, read_range
from fulfillment_assets.scoring import dead_letters
from fulfillment_assets.scoring.events import tell_applied, tell_scored
from fulfillment_assets.scoring.stream_writer import make_ready, write_messages
from fulfillment_assets.settings import Settings


@dataclass(frozen=True, slots=True)
class StreamResult:
    """What became of a range.

    Attributes:
        wanted: the range that was asked for.
        predicted: messages that this call made predictions of.
        dead_lettered: messages that it rejected.
        gaps: offsets that it passed over.
        seconds: how long it took.
        already_committed: the whole range had been committed before; this call did nothing.
    """

    wanted: StreamRange
    predicted: int
    dead_lettered: int
    gaps: tuple[Gap, ...]
    seconds: float
    already_committed: bool

    @property
    def messages(self) -> int:
        """How many messages this call committed."""
        return self.predicted + self.dead_lettered


@dataclass(slots=True)
class _Run:
    """One call, and what it has committed so far."""

    engine: Engine
    settings: Settings
    scorer: DelayScorer
    run_id: str
    attempt: int
    started: float = field(default_factory=time.monotonic)
    predicted: int = 0
    dead_lettered: int = 0
    gaps: list[Gap] = field(default_factory=list)
    commits: int = 0

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started


def score_range(
    engine: Engine,
    settings: Settings,
    scorer: DelayScorer,
    wanted: StreamRange,
    *,
    run_id: str,
    attempt: int = 1,
) -> StreamResult:
    """Read, score and commit a range of messages, and move the partition's offset to its end.

    A range is one transaction, unless its messages take more than `reader.STRETCH_BYTES`: then
    each stretch is one, and what a run that died had committed is not repeated.

    Raises:
        OffsetMismatchError: the partition stands before the range: something would be left out.
        TopicReplacedError: the topic was deleted and made again since it was looked at.
        LogTruncatedError: the log does not reach to the end of the range.
        KafkaUnavailableError: no broker answers.
        PartitionBusyError: another run has held the partition for a minute.
    """
    run = _Run(engine, settings, scorer, run_id, attempt)
    start = _start_of(engine, wanted)
    rest = StreamRange(wanted.topic, wanted.partition, start, wanted.end)
    with closing(read_range(settings, rest)) as stretches:
        for stretch in stretches:
            _commit(run, stretch)
    return StreamResult(
        wanted=wanted,
        predicted=run.predicted,
        dead_lettered=run.dead_lettered,
        gaps=tuple(run.gaps),
        seconds=run.seconds,
        already_committed=run.commits == 0,
    )


def _start_of(engine: Engine, wanted: StreamRange) -> int:
    """Where a range is to be read from: what is committed already is not read again."""
    with engine.connect() as connection:
        known = offsets.positions(connection, wanted.topic)
    stands = next((p.next_offset for p in known if p.partition == wanted.partition), 0)
    _check_start(wanted, stands)
    return max(wanted.start, stands)


def _check_start(wanted: StreamRange, stands: int) -> None:
    if stands < wanted.start:
        raise OffsetMismatchError(
            f"{wanted} cannot be committed: the partition stands at offset {stands}, and the "
            "messages between would be left out"
        )


def _commit(run: _Run, stretch: Stretch) -> None:
    """Commit what of a stretch is not committed yet, in one transaction."""
    span, stream = stretch.span, (stretch.span.topic, stretch.span.partition)
    make_ready(run.engine)
    begun = time.monotonic()
    with run.engine.begin() as connection:
        position = offsets.lock(connection, *stream, stretch.topic_id)
        if position.next_offset >= span.end:
            return
        _check_start(span, position.next_offset)
        rest = stretch.since(position.next_offset)
        received_at = position.receipt(offsets.server_time(connection))
        written = write_messages(connection, run.scorer, stream, rest.messages, received_at)
        rejected = written.rejected
        dead_letters.store(connection, run.settings.dlq_topic, stream, rejected, received_at)
        moments = [at for m in rest.messages if (at := m.produced_at) is not None]
        commit = Commit(
            messages=len(rest.messages),
            dead_lettered=len(rejected),
            oldest_message_at=min(moments, default=None),
            newest_message_at=max(moments, default=None),
            received_at=received_at,
            model_version=run.scorer.version,
            run_id=run.run_id,
            attempt=run.attempt,
            seconds=run.seconds,
        )
        offsets.advance(connection, rest.span, stretch.topic_id, commit, rest.gaps)
    tell_scored(
        "streaming",
        written.severities,
        rejected=len(rejected),
        model_version=run.scorer.version,
        seconds=time.monotonic() - begun,
        topic=rest.span.topic,
        partition=rest.span.partition,
        start=rest.span.start,
        end=rest.span.end,
    )
    tell_applied(written.predicted, written.applied_seconds)
    run.predicted += written.predicted
    run.dead_lettered += len(rejected)
    run.gaps += rest.gaps
    run.commits += 1
