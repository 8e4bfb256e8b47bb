"""The relay: what waits in the outbox is published to Kafka, after its transaction was committed.

An event is marked as published only after the broker has acknowledged it. What dies in between is
published again under the same `event_id`, so each event arrives at least once, and consumers drop
those that they know. The events of a key are sent in their order; if one of them fails, those
after it are sent again after it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine, Row

from fulfillment_assets.events.client import (
    DELIVERY_SECONDS,
    KafkaUnavailableError,
    producer,
)
from fulfillment_assets.events.topics import DEVIATION_EVENTS
from fulfillment_assets.settings import Settings

EVENT_ID: Final = "event-id"
"""Header by which consumers know an event again."""

BATCH_BYTES: Final = 16 << 20
"""Events are taken from the outbox by at most so many bytes at a time, but one at least."""

_LOCK: Final = 0x72656C61
_MARGIN_SECONDS: Final = 5.0

_WAITING: Final = "published_at IS NULL AND refused IS NULL"

# One step in the index for each topic, however many events wait.
_TOPICS: Final = f"""
WITH RECURSIVE found AS (
    (SELECT topic FROM outbox WHERE {_WAITING} ORDER BY topic LIMIT 1)
    UNION ALL
    SELECT (SELECT topic FROM outbox WHERE {_WAITING} AND topic > found.topic
            ORDER BY topic LIMIT 1)
    FROM found WHERE found.topic IS NOT NULL
)
SELECT topic FROM found WHERE topic IS NOT NULL
"""

_NEXT: Final = f"""
SELECT id, event_id, topic, key, payload FROM (
    SELECT id, event_id, topic, key, payload, bytes, sum(bytes) OVER (ORDER BY id) AS total FROM (
        SELECT id, event_id, topic, key, payload::text AS payload,
               octet_length(payload::text) AS bytes
        FROM outbox WHERE {_WAITING} AND topic = :topic ORDER BY id LIMIT :limit
    ) AS oldest
) AS summed
WHERE total <= :bytes OR total = bytes
ORDER BY id
"""


@dataclass(frozen=True, slots=True)
class RelayResult:
    """What became of the outbox.

    Attributes:
        published: events that the broker has acknowledged.
        refused: events that it will never take; their row says why.
        failed: events that wait for the next attempt.
        error: why the first of these failed.
        busy: another relay is at work; this one did nothing.
    """

    published: int = 0
    refused: int = 0
    failed: int = 0
    error: str | None = None
    busy: bool = False


def relay_outbox(engine: Engine, settings: Settings, *, limit: int = 1_000) -> RelayResult:
    """Publish the oldest waiting events of each topic, at most `limit` of each.

    No transaction is open while the broker is waited for, and that for about a minute at most.
    The topics do not wait for one another. Nothing waiting, no broker is asked.

    Raises:
        KafkaUnavailableError: no broker answers.
    """
    with _alone(engine) as connection:
        if connection is None:
            return RelayResult(busy=True)
        events = [
            event
            for topic in connection.execute(sa.text(_TOPICS)).scalars().all()
            for event in _oldest(connection, topic, limit)
        ]
        if not events:
            return RelayResult()
        return _record(connection, events, _publish(settings, events))


def events_wait(connection: Connection) -> bool:
    """Whether any event waits to be published."""
    statement = f"SELECT EXISTS (SELECT FROM outbox WHERE {_WAITING})"
    return bool(connection.scalar(sa.text(statement)))


@contextlib.contextmanager
def _alone(engine: Engine) -> Iterator[Connection | None]:
    """A connection that holds the relay's lock, or None if another has it.

    It commits each statement; the lock ends with the connection, so a dead relay holds nothing.
    """
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if not connection.scalar(sa.text("SELECT pg_try_advisory_lock(:key)"), {"key": _LOCK}):
            yield None
            return
        try:
            yield connection
        finally:
            if not connection.invalidated:
                connection.execute(sa.text("SELECT pg_advisory_unlock(:key)"), {"key": _LOCK})


def _oldest(connection: Connection, topic: str, limit: int) -> Sequence[Row[Any]]:
    values = {"topic": topic, "limit": limit, "bytes": BATCH_BYTES}
    return connection.execute(sa.text(_NEXT), values).all()


def _publish(settings: Settings, events: Sequence[Row[Any]]) -> list[Exception | None]:
    """Send events and wait for their acknowledgements; what went wrong with each, or None.

    The broker refuses a whole batch for one event that is too large, and the client then refuses
    all that follow. So those that were refused are sent again, each by itself.
    """
    deadline = time.monotonic() + DELIVERY_SECONDS + _MARGIN_SECONDS
    outcomes = _attempt(settings, events, deadline)
    for place, error in enumerate(outcomes):
        if _is_refusal(error) and len(events) > 1:
            try:
                outcomes[place] = _attempt(settings, [events[place]], deadline)[0]
            except KafkaUnavailableError as unavailable:
                outcomes[place] = unavailable
    return outcomes


def _attempt(
    settings: Settings, events: Sequence[Row[Any]], deadline: float
) -> list[Exception | None]:
    """Send events with a producer of their own; what went wrong with each, or None."""
    names = {DEVIATION_EVENTS: settings.deviations_topic}
    unreachable: dict[str, Exception] = {}
    client = producer(settings)
    try:
        results = [
            _sent(client, names.get(event.topic, event.topic), event, unreachable)
            for event in events
        ]
        return [_outcome(result, deadline) for result in results]
    finally:
        _close(client)


def _sent(client: Any, topic: str, event: Row[Any], unreachable: dict[str, Exception]) -> Any:
    """The future of an event that was sent, or the error of one that could not be."""
    from kafka.errors import KafkaError  # type: ignore[import-untyped]

    if topic in unreachable:
        return unreachable[topic]
    try:
        return _send(client, topic, event)
    except KafkaError as error:
        if not _is_refusal(error):
            unreachable[topic] = error  # to wait for it once is enough
        return error


def _outcome(result: Any, deadline: float) -> Exception | None:
    from kafka.errors import KafkaError

    if isinstance(result, Exception):
        return result
    try:
        result.get(timeout=max(0.0, deadline - time.monotonic()))
    except KafkaError as error:
        failure: Exception = error
        return failure
    return None


def _send(client: Any, topic: str, event: Row[Any]) -> Any:
    return client.send(
        topic,
        key=event.key.encode(),
        value=event.payload.encode(),
        headers=[(EVENT_ID, str(event.event_id).encode())],
    )


def _close(client: Any) -> None:
    """Close a producer, whatever has become of its broker."""
    from kafka.errors import KafkaTimeoutError

    try:
        client.close(timeout=_MARGIN_SECONDS)
    except KafkaTimeoutError:
        # What was once tried and has expired since keeps the rest from expiring as long as no
        # broker answers, and the producer from closing.
        client._sender.force_close()
        client.close(timeout=_MARGIN_SECONDS)


def _is_refusal(error: Exception | None) -> bool:
    """Whether no later attempt can do better."""
    from kafka.errors import MessageSizeTooLargeError, RecordListTooLargeError

    return isinstance(error, MessageSizeTooLargeError | RecordListTooLargeError)


def _record(
    connection: Connection, events: Sequence[Row[Any]], outcomes: Sequence[Exception | None]
) -> RelayResult:
    published: list[int] = []
    refused: list[dict[str, Any]] = []
    failed: dict[tuple[str, str], Exception] = {}
    waiting = 0
    for event, error in zip(events, outcomes, strict=True):
        key = (event.topic, event.key)
        if _is_refusal(error):
            refused.append({"id": event.id, "reason": str(error)})
        elif error is None and key not in failed:
            published.append(event.id)
        else:
            waiting += 1
            if error is not None:
                failed.setdefault(key, error)
    mark_published(connection, published)
    if refused:
        statement = "UPDATE outbox SET refused = :reason WHERE id = :id"
        connection.execute(sa.text(statement), refused)
    first = next(iter(failed.values()), None)
    return RelayResult(
        published=len(published),
        refused=len(refused),
        failed=waiting,
        error=None if first is None else str(first),
    )


def mark_published(connection: Connection, ids: Sequence[int]) -> None:
    """Note that the broker has acknowledged these events."""
    connection.execute(
        sa.text("UPDATE outbox SET published_at = clock_timestamp() WHERE id = ANY(:ids)"),
        {"ids": list(ids)},
    )
