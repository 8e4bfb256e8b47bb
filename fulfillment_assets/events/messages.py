"""The contract on the wire: what a message of the events' topic must be, and its decoding.

The value is one order as a JSON object in UTF-8, under the rules that orders in files have. The
key is its `order_id`, so that the events of an order keep their order; a message without a key is
taken, too. Three headers are known, none is needed:

- `schema-version`: 1, which is also what its absence means. A higher one is refused: it may
  mean something else by what it says.
- `event-time`: when the order came to be as it is told, in ISO 8601, instead of its last date.
  Producers' clocks differ: a time that is not past counts as the time of receipt, and one that
  is more than a day ahead is refused, so that no wrong clock lets an old state win for ever.
- `correlation-id`: kept with the prediction, as it comes.

What breaks the contract is rejected with every broken rule, and never stops the others. So is a
tombstone, a key without a value: an order ends by `order_status`, not by silence.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fulfillment_assets.orders.cells import printable_ascii, true_rows
from fulfillment_assets.orders.columns import read_column
from fulfillment_assets.orders.contract import BY_NAME, Field, Kind
from fulfillment_assets.orders.json_reader import (
    WHOLE,
    parse_object,
    raw_cells,
    validate_objects,
)
from fulfillment_assets.orders.rules import (
    END_OF_TIME,
    NOT_UTF8,
    RuleBroken,
    canonical_value,
    clean_text,
    decode,
)
from fulfillment_assets.orders.validation import FieldError, RejectedRow, raw_text

SCHEMA_VERSION: Final = "schema-version"
CORRELATION_ID: Final = "correlation-id"
EVENT_TIME: Final = "event-time"

VERSION: Final = 1
VERSION_HEADER: Final = (SCHEMA_VERSION, str(VERSION).encode())

MAX_MESSAGE_BYTES: Final = 1 << 20
"""Largest message that is read, in bytes of key and value."""

MAX_CORRELATION_ID: Final = 200
MOST_AHEAD: Final = dt.timedelta(hours=24)

TOMBSTONE: Final = (
    "is missing: a message without a value (a tombstone) tells nothing; "
    "to cancel an order, send it with order_status cancelled"
)
TOO_FAR_AHEAD: Final = "must not be more than 24 hours ahead"
UNKNOWN_VERSION: Final = f"must be {VERSION}, which is what this platform reads"

_KNOWN: Final = (SCHEMA_VERSION, EVENT_TIME, CORRELATION_ID)
_INSTANT: Final = pa.timestamp("us", "UTC")
_LAST_MILLISECOND: Final = int(END_OF_TIME.timestamp() * 1000)
_SHOWN_CHARACTERS: Final = 200
_ORDER_ID: Final = BY_NAME["order_id"]
_EVENT_TIME: Final = Field(EVENT_TIME, Kind.TIMESTAMP, "When it happened.", "2026-03-01T09:30:00Z")


class Message(NamedTuple):
    """One message as Kafka holds it.

    Attributes:
        offset: its place in the partition.
        key: of any bytes.
        value: of any bytes; None for a tombstone.
        headers: names and values in their order; a name may repeat, then the last counts.
        timestamp: milliseconds since 1970 (UTC); negative where there is none.
        timestamp_type: 0, set by the producer, or 1, by the broker.
    """

    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]
    timestamp: int
    timestamp_type: int

    @property
    def size(self) -> int:
        """Bytes of key and value."""
        return len(self.key or b"") + len(self.value or b"")

    @property
    def produced_at(self) -> dt.datetime | None:
        """Its timestamp; None where there is none, or none that can be."""
        if not 0 <= self.timestamp < _LAST_MILLISECOND:
            return None
        return dt.datetime.fromtimestamp(self.timestamp / 1000, dt.UTC)


@dataclass(frozen=True, slots=True)
class RejectedMessage:
    """A message that cannot be scored, with its cells as they came and every broken rule.

    `row` has the offset as its row number.
    """

    message: Message
    row: RejectedRow

    def describe(self, topic: str, partition: int) -> str:
        """One line that names the position, and each field, value and rule."""
        return f"{topic}[{partition}] offset {self.message.offset}: {self.row.reasons}"


@dataclass(frozen=True, slots=True)
class DecodedMessages:
    """Messages held against the contract; each is either in `orders` or in `rejected`.

    Attributes:
        orders: as `ORDER_SCHEMA`, where `row_number` is the offset, and beside it `event_time`
            (null where no header tells it), `produced_at` and `correlation_id`.
        rejected: the others, by offset.
    """

    orders: Any
    rejected: tuple[RejectedMessage, ...]


def decode_messages(messages: Sequence[Message], received_at: dt.datetime) -> DecodedMessages:
    """Decode messages of one partition.

    Args:
        messages: n messages by offset.
        received_at: now; aware.
    """
    rejected: dict[int, RejectedMessage] = {}
    objects, sound = [], []
    for message in messages:
        try:
            objects.append(_object_of(message))
            sound.append(message)
        except _BrokenMessageError as broken:
            raw = {WHOLE: raw_text(decode(message.value))}
            rejected[message.offset] = _rejected(message, raw, (broken.error,))
    offsets = np.fromiter((message.offset for message in sound), np.int64, len(sound))
    batch = validate_objects(objects, offsets)
    headers = _read_headers(sound, received_at)
    for row in batch.rejected:
        place = int(np.searchsorted(offsets, row.row_number))
        errors = (*headers.errors.get(place, ()), *row.errors)
        rejected[row.row_number] = _rejected(sound[place], row.raw, errors)
    places = np.searchsorted(offsets, batch.orders["row_number"].to_numpy())
    errors_of = _with_wrong_keys(headers.errors, sound, places, batch.orders["order_id"])
    refused = [rank for rank, place in enumerate(places.tolist()) if place in errors_of]
    for place in places[refused].tolist():
        raw = raw_cells(objects[place])
        rejected[sound[place].offset] = _rejected(sound[place], raw, errors_of[place])
    orders = batch.orders
    if refused:
        kept = np.setdiff1d(np.arange(len(places)), refused)
        orders, places = orders.take(kept), places[kept]
    for name, column in headers.columns.items():
        orders = orders.append_column(name, column.take(pa.array(places)))
    return DecodedMessages(orders, tuple(rejected[offset] for offset in sorted(rejected)))


class _BrokenMessageError(ValueError):
    """A message that holds no order at all."""

    def __init__(self, error: FieldError) -> None:
        super().__init__(error.rule)
        self.error = error


@dataclass(frozen=True, slots=True)
class _Headers:
    """What the headers of n messages tell: columns of n rows, and broken rules by row."""

    columns: dict[str, pa.Array]
    errors: dict[int, tuple[FieldError, ...]]


def _object_of(message: Message) -> dict[str, object]:
    if message.value is None:
        raise _BrokenMessageError(FieldError(WHOLE, None, TOMBSTONE))
    if message.size > MAX_MESSAGE_BYTES:
        rule = f"has {message.size:,} bytes; at most {MAX_MESSAGE_BYTES:,} are read"
        raise _BrokenMessageError(FieldError("message", None, rule))
    try:
        return parse_object(message.value)
    except RuleBroken as broken:
        text = clean_text(message.value.decode("utf-8", "replace"), _SHOWN_CHARACTERS)
        raise _BrokenMessageError(FieldError(WHOLE, text, str(broken))) from None


def _rejected(
    message: Message, raw: dict[str, str | None], errors: tuple[FieldError, ...]
) -> RejectedMessage:
    return RejectedMessage(message, RejectedRow(message.offset, raw, errors))


def _read_headers(messages: Sequence[Message], received_at: dt.datetime) -> _Headers:
    versions, times, correlation_ids = _known_headers(messages)
    errors: dict[int, tuple[FieldError, ...]] = {}
    if not {None, VERSION_HEADER[1]}.issuperset(versions):
        for row, version in enumerate(versions):
            if version is not None and version.strip() != VERSION_HEADER[1]:
                errors[row] = (_header_error(SCHEMA_VERSION, version, UNKNOWN_VERSION),)
    event_time, broken = _event_times(times, received_at)
    for row, rule in broken.items():
        errors[row] = (*errors.get(row, ()), _header_error(EVENT_TIME, times[row], rule))
    columns = {
        "event_time": event_time,
        "produced_at": _produced_at(messages),
        "correlation_id": _correlation_ids(correlation_ids),
    }
    return _Headers(columns, errors)


def _known_headers(messages: Sequence[Message]) -> tuple[list[bytes | None], ...]:
    """The values of the headers that are known, as a column for each."""
    columns: tuple[list[bytes | None], ...] = tuple([None] * len(messages) for _ in _KNOWN)
    places = dict(zip(_KNOWN, columns, strict=True))
    for row, message in enumerate(messages):
        for name, value in message.headers:
            if name in places:
                places[name][row] = value
    return columns


def _header_error(name: str, value: bytes | None, rule: str) -> FieldError:
    return FieldError(f"header {name}", raw_text(decode(value)), rule)


def _event_times(
    values: Sequence[bytes | None], received_at: dt.datetime
) -> tuple[pa.Array, dict[int, str]]:
    column = read_column(_EVENT_TIME, pa.array(values, pa.binary()))
    too_far = pc.greater(column.values, pa.scalar(received_at + MOST_AHEAD, _INSTANT))
    broken = dict(column.broken) | dict.fromkeys(true_rows(too_far).tolist(), TOO_FAR_AHEAD)
    now = pa.scalar(received_at, _INSTANT)
    past = pc.if_else(pc.greater(column.values, now), now, column.values)
    return past, broken


def _produced_at(messages: Sequence[Message]) -> pa.Array:
    times = np.fromiter((message.timestamp for message in messages), np.int64, len(messages))
    known = (times >= 0) & (times < _LAST_MILLISECOND)
    return pa.array(np.where(known, times, 0) * 1000, pa.int64(), mask=~known).cast(_INSTANT)


def _correlation_ids(values: Sequence[bytes | None]) -> pa.Array:
    cells = pa.array(values, pa.binary())
    texts = printable_ascii(cells)
    texts = pc.if_else(pc.greater(pc.binary_length(texts), MAX_CORRELATION_ID), None, texts)
    odd = true_rows(pc.and_(texts.is_null(), cells.is_valid()))
    if not odd.size:
        return texts
    mended = texts.to_pylist()
    for row in odd.tolist():
        mended[row] = clean_text(decode(values[row]) or "", MAX_CORRELATION_ID)
    return pa.array(mended, pa.string())


def _with_wrong_keys(
    errors: dict[int, tuple[FieldError, ...]],
    messages: Sequence[Message],
    places: npt.NDArray[np.intp],
    order_ids: pa.ChunkedArray,
) -> dict[int, tuple[FieldError, ...]]:
    """The errors, and those of sound orders whose key is that of another."""
    keys = pa.array([messages[place].key for place in places.tolist()], pa.binary())
    differs = true_rows(pc.not_equal(keys, order_ids.combine_chunks().cast(pa.binary())))
    found = dict(errors)
    for rank in differs.tolist():
        place, order_id = int(places[rank]), order_ids[rank].as_py()
        if (error := _key_error(messages[place].key or b"", order_id)) is not None:
            found[place] = (*found.get(place, ()), error)
    return found


def _key_error(key: bytes, order_id: str) -> FieldError | None:
    text = decode(key) or ""
    try:
        if canonical_value(_ORDER_ID, text) == order_id:
            return None
        rule = f'must be the order_id, "{order_id}"'
    except RuleBroken as broken:
        rule = NOT_UTF8 if str(broken) == NOT_UTF8 else f'must be the order_id, "{order_id}"'
    return FieldError("key", raw_text(text), rule)
