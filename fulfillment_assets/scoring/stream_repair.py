"""Messages out of turn: ranges read again, and dead letters judged again.

Both leave alone what has a prediction already, so both can be repeated at will.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from fulfillment_assets.delay_model.scorer import DelayScorer
from fulfillment_assets.events import offsets
from fulfillment_assets.events.ranges import StreamRange
from fulfillment_assets.events.reader import Stretch, read_range
from fulfillment_assets.scoring import dead_letters
from fulfillment_assets.scoring.dead_letters import Place
from fulfillment_assets.scoring.stream_writer import make_ready, write_messages
from fulfillment_assets.settings import Settings

_KNOWN: Final = """
SELECT "offset", produced_at FROM predictions
WHERE topic = :topic AND partition = :partition AND "offset" >= :start AND "offset" < :end
UNION ALL
SELECT "offset", message_time FROM rejected_records
WHERE topic = :topic AND partition = :partition AND "offset" >= :start AND "offset" < :end
"""


@dataclass(frozen=True, slots=True)
class RepairResult:
    """What became of messages out of turn.

    Attributes:
        predicted: those that are predictions now and were not before.
        dead_lettered: those that cannot be scored.
        known: those that were left alone, because they had been accounted for.
    """

    predicted: int
    dead_lettered: int
    known: int


def replay_range(
    engine: Engine, settings: Settings, scorer: DelayScorer, wanted: StreamRange
) -> RepairResult:
    """Read a range again that the partition has passed, and commit what is missing of it.

    That is what was skipped, or is in Kafka again. The offset stays where it is.

    Raises:
        ValueError: the partition has not passed the range.
        LogTruncatedError: the log does not reach to the end of the range.
        KafkaUnavailableError: no broker answers.
    """
    _check_passed(engine, wanted)
    found = [0, 0, 0]
    with closing(read_range(settings, wanted)) as stretches:
        for stretch in stretches:
            for place, count in enumerate(_replay(engine, settings, scorer, stretch)):
                found[place] += count
    return RepairResult(*found)


def retry_dead_letters(engine: Engine, scorer: DelayScorer, ids: Sequence[int]) -> RepairResult:
    """Judge dead letters again, by the rules of today; those that pass become predictions.

    The others stay as they are, as do those that another process holds.
    """
    make_ready(engine)
    with engine.connect() as connection:
        places = dead_letters.places(connection, ids)
    predicted = kept = 0
    for batch in _ascending(places):
        with engine.begin() as connection:
            passed, refused = _retry(connection, scorer, batch)
        predicted += passed
        kept += refused
    return RepairResult(predicted, kept, len(set(ids)) - predicted - kept)


def _check_passed(engine: Engine, wanted: StreamRange) -> None:
    with engine.connect() as connection:
        known = offsets.positions(connection, wanted.topic)
    stands = next((p.next_offset for p in known if p.partition == wanted.partition), 0)
    if wanted.end > stands:
        raise ValueError(
            f"{wanted} cannot be replayed: the partition stands at offset {stands}, and reads "
            "what comes after it anyway"
        )


def _replay(
    engine: Engine, settings: Settings, scorer: DelayScorer, stretch: Stretch
) -> tuple[int, int, int]:
    stream = (stretch.span.topic, stretch.span.partition)
    make_ready(engine)
    with engine.begin() as connection:
        position = offsets.lock(connection, *stream, stretch.topic_id)
        known = _known(connection, stretch.span)
        messages = [m for m in stretch.messages if (m.offset, m.produced_at) not in known]
        received_at = position.receipt(offsets.server_time(connection))
        written = write_messages(connection, scorer, stream, messages, received_at, belated=True)
        rejected, predicted = written.rejected, written.predicted
        dead_letters.store(connection, settings.dlq_topic, stream, rejected, received_at)
        offsets.credit(connection, *stream, predicted=predicted, dead_lettered=len(rejected))
    return predicted, len(rejected), len(stretch.messages) - len(messages)


def _known(connection: Connection, span: StreamRange) -> set[tuple[int, dt.datetime | None]]:
    """Position and time of the messages of a range that are accounted for.

    In a topic that was deleted and made again, an offset with another time is another message.
    """
    values = {name: getattr(span, name) for name in span.__slots__}
    return {(row[0], row[1]) for row in connection.execute(sa.text(_KNOWN), values)}


def _ascending(places: Sequence[Place]) -> Iterator[list[Place]]:
    """The places in batches of one partition each, in which no offset comes twice."""
    batch: list[Place] = []
    for place in places:
        if batch and (place.stream != batch[-1].stream or place.offset <= batch[-1].offset):
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch


def _retry(connection: Connection, scorer: DelayScorer, batch: Sequence[Place]) -> tuple[int, int]:
    """Judge dead letters of one partition; return how many passed, and how many did not."""
    stream = batch[0].stream
    position = offsets.lock(connection, *stream, None)
    letters = dead_letters.hold(connection, [place.id for place in batch])
    received_at = position.receipt(offsets.server_time(connection))
    messages = [letter.rejected.message for letter in letters]
    written = write_messages(connection, scorer, stream, messages, received_at, belated=True)
    rejected = written.rejected
    refused = {found.message.offset for found in rejected}
    passed = [letter.id for letter in letters if letter.rejected.message.offset not in refused]
    dead_letters.delete(connection, passed)
    offsets.credit(connection, *stream, predicted=len(passed), dead_lettered=-len(passed))
    return len(passed), len(rejected)
