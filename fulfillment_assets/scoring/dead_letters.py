"""Messages that could not be scored: kept in `rejected_records`, announced through the outbox."""

from __future__ import annotations

import base64
import datetime as dt
import json
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from fulfillment_assets.events.messages import Message, RejectedMessage
from fulfillment_assets.orders.rules import clean_text
from fulfillment_assets.orders.validation import FieldError, RejectedRow
from fulfillment_assets.scoring.identifiers import uuid7_column
from fulfillment_assets.store.copy import copy_into, encode

SCHEMA_VERSION: Final = 1

MAX_VALUE_BYTES: Final = 256 << 10
"""Of a longer value the announcement has the beginning; the table keeps it whole."""

MAX_KEY_BYTES: Final = 1 << 10
MAX_HEADER_BYTES: Final = 64 << 10
_TEXT: Final = pa.string()
_INSTANT: Final = pa.timestamp("us", "UTC")
_ROWS: Final = pa.schema(
    {
        "source": _TEXT,
        "topic": _TEXT,
        "partition": pa.int32(),
        "offset": pa.int64(),
        "raw": _TEXT,
        "errors": _TEXT,
        "created_at": _INSTANT,
        "message_key": _TEXT,
        "message_value": _TEXT,
        "message_headers": _TEXT,
        "message_time": _INSTANT,
    }
)
_EVENTS: Final = pa.schema(dict.fromkeys(("event_id", "topic", "key", "payload"), _TEXT))
_UNREADABLE: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that waits in `rejected_records` for somebody to look at it.

    Attributes:
        id: of its row.
        created_at: when it was rejected.
    """

    id: int
    topic: str
    partition: int
    created_at: dt.datetime
    rejected: RejectedMessage

    def __str__(self) -> str:
        return self.rejected.describe(self.topic, self.partition)


class Place(NamedTuple):
    """Where a dead letter stands in Kafka; `stream` is topic and partition."""

    id: int
    stream: tuple[str, int]
    offset: int


def store(
    connection: Connection,
    dlq_topic: str,
    stream: tuple[str, int],
    rejected: Sequence[RejectedMessage],
    rejected_at: dt.datetime,
) -> None:
    """Keep messages of a topic's partition with their errors, and announce each on a topic.

    Runs in the caller's transaction, which also moves the offset past them.
    """
    if not rejected:
        return
    rows = [_row(found, stream, rejected_at) for found in rejected]
    copy_into(connection, "rejected_records", encode(pa.Table.from_pylist(rows, _ROWS)))
    event_ids = [str(uuid.UUID(event_id)) for event_id in uuid7_column(len(rejected)).to_pylist()]
    events = [
        {
            "event_id": event_id,
            "topic": dlq_topic,
            "key": _key(found.message, stream),
            "payload": json.dumps(announcement(found, stream, event_id, rejected_at)),
        }
        for event_id, found in zip(event_ids, rejected, strict=True)
    ]
    copy_into(connection, "outbox", encode(pa.Table.from_pylist(events, _EVENTS)))


def announcement(
    rejected: RejectedMessage, stream: tuple[str, int], event_id: str, rejected_at: dt.datetime
) -> dict[str, Any]:
    """What the dead-letter topic is told of a message: why, and all that is needed to mend it."""
    message = rejected.message
    topic, partition = stream
    value = message.value
    return {
        "schema_version": SCHEMA_VERSION,
        "event_id": event_id,
        "topic": topic,
        "partition": partition,
        "offset": message.offset,
        "timestamp": _iso(message.produced_at),
        "rejected_at": _iso(rejected_at),
        "reason": rejected.row.reasons,
        "errors": _errors(rejected),
        "key": _portable(_cut(message.key, MAX_KEY_BYTES)),
        "headers": _headers(message, MAX_HEADER_BYTES),
        "value": _portable(_cut(value, MAX_VALUE_BYTES)),
        "value_bytes": None if value is None else len(value),
    }


def dead_letters(
    connection: Connection, topic: str, *, limit: int = 100, after: int = 0
) -> list[DeadLetter]:
    """Dead letters of a topic whose id is greater than `after`, by id."""
    rows = connection.execute(
        sa.text(
            f"SELECT {_COLUMNS} FROM rejected_records "
            "WHERE source = 'streaming' AND topic = :topic AND id > :after "
            "ORDER BY id LIMIT :limit"
        ),
        {"topic": topic, "after": after, "limit": limit},
    )
    return [_dead_letter(row) for row in rows]


def places(connection: Connection, ids: Sequence[int]) -> list[Place]:
    """Where dead letters with these ids stand in Kafka, by topic, partition and offset."""
    rows = connection.execute(
        sa.text(
            'SELECT id, topic, partition, "offset" FROM rejected_records '
            "WHERE source = 'streaming' AND id = ANY(:ids) "
            'ORDER BY topic, partition, "offset", id'
        ),
        {"ids": list(ids)},
    )
    return [Place(row.id, (row.topic, row.partition), row.offset) for row in rows]


def hold(connection: Connection, ids: Sequence[int]) -> list[DeadLetter]:
    """Lock dead letters until the end of the transaction, but for those that others hold."""
    rows = connection.execute(
        sa.text(
            f"SELECT {_COLUMNS} FROM rejected_records WHERE id = ANY(:ids) "
            'ORDER BY "offset" FOR UPDATE SKIP LOCKED'
        ),
        {"ids": list(ids)},
    )
    return [_dead_letter(row) for row in rows]


def delete(connection: Connection, ids: Sequence[int]) -> None:
    """Delete dead letters, in the transaction in which they become predictions."""
    connection.execute(
        sa.text("DELETE FROM rejected_records WHERE id = ANY(:ids)"), {"ids": list(ids)}
    )


_COLUMNS: Final = (
    'id, topic, partition, "offset", message_key, message_value, message_headers, message_time, '
    "raw, errors, created_at"
)


def _row(
    rejected: RejectedMessage, stream: tuple[str, int], rejected_at: dt.datetime
) -> dict[str, Any]:
    message = rejected.message
    topic, partition = stream
    return {
        "source": "streaming",
        "topic": topic,
        "partition": partition,
        "offset": message.offset,
        "raw": json.dumps(rejected.row.raw),
        "errors": json.dumps(_errors(rejected)),
        "created_at": rejected_at,
        "message_key": _bytea(message.key),
        "message_value": _bytea(message.value),
        "message_headers": json.dumps(_headers(message)),
        "message_time": message.produced_at,
    }


def _dead_letter(row: Row[Any]) -> DeadLetter:
    time = row.message_time
    message = Message(
        row.offset,
        None if row.message_key is None else bytes(row.message_key),
        None if row.message_value is None else bytes(row.message_value),
        [(header["name"], _bytes(header)) for header in row.message_headers],
        -1 if time is None else round(time.timestamp() * 1000),
        0,
    )
    errors = tuple(FieldError(e["field"], e["value"], e["rule"]) for e in row.errors)
    rejected = RejectedMessage(message, RejectedRow(row.offset, row.raw, errors))
    return DeadLetter(row.id, row.topic, row.partition, row.created_at, rejected)


def _errors(rejected: RejectedMessage) -> list[dict[str, str | None]]:
    return [{"field": e.field, "value": e.value, "rule": e.rule} for e in rejected.row.errors]


def _key(message: Message, stream: tuple[str, int]) -> str:
    """The key of the announcement: that of the message where it is text, else its position."""
    key = _portable(message.key)
    if key is not None and key["encoding"] == "utf-8" and len(key["text"]) <= MAX_KEY_BYTES:
        return key["text"]
    return f"{stream[0]}:{stream[1]}:{message.offset}"


def _headers(message: Message, most: int | None = None) -> list[dict[str, Any]]:
    """The headers, or as many of the first as take at most so many bytes."""
    headers, size = [], 0
    for name, value in message.headers:
        size += len(name.encode()) + len(value or b"")
        if most is not None and size > most:
            break
        headers.append({"name": clean_text(name, MAX_HEADER_BYTES), **(_portable(value) or {})})
    return headers


def _portable(data: bytes | None) -> dict[str, str] | None:
    """Bytes as JSON can hold them and PostgreSQL can keep them: text, or base64 of anything."""
    if data is None:
        return None
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = "\0"
    if _UNREADABLE.search(text):
        return {"encoding": "base64", "text": base64.b64encode(data).decode()}
    return {"encoding": "utf-8", "text": text}


def _cut(data: bytes | None, most: int) -> bytes | None:
    """At most so many bytes of the beginning, and no part of a character at the end."""
    if data is None or len(data) <= most:
        return data
    end = most
    while end > most - 3 and data[end] & 0xC0 == 0x80:
        end -= 1
    return data[:end]


def _bytes(portable: dict[str, str]) -> bytes | None:
    text = portable.get("text")
    if text is None:
        return None
    return base64.b64decode(text) if portable["encoding"] == "base64" else text.encode()


def _bytea(data: bytes | None) -> str | None:
    return None if data is None else f"\\x{data.hex()}"


def _iso(moment: dt.datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
