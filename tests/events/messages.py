"""Messages as they stand in Kafka, to change one thing at a time."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from typing import Any, Final

from fulfillment_assets.events.messages import Message, RejectedMessage, decode_messages
from tests.orders.test_json_reader import typed_order

NOW: Final = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)
HOUR: Final = dt.timedelta(hours=1)
PRODUCED: Final = NOW - HOUR

Header = tuple[str, bytes | None]


def event(**changes: object) -> bytes:
    """A sound event: an order, but for the changes."""
    return json.dumps(typed_order(**changes)).encode()


def message(
    value: bytes | None = None,
    *,
    offset: int = 0,
    key: bytes | None = None,
    headers: Sequence[Header] = (),
    produced: dt.datetime = PRODUCED,
) -> Message:
    """A message; without a value that of a sound event."""
    value = event() if value is None else value
    return Message(offset, key, value, headers, int(produced.timestamp() * 1000), 0)


def accepted(*messages: Message) -> list[dict[str, Any]]:
    """The decoded orders of messages that must all be accepted."""
    decoded = decode_messages(messages, NOW)
    assert decoded.rejected == ()
    rows: list[dict[str, Any]] = decoded.orders.to_pylist()
    return rows


def rejected(one: Message) -> RejectedMessage:
    """A message that must be rejected."""
    decoded = decode_messages([one], NOW)
    assert decoded.orders.num_rows == 0
    (found,) = decoded.rejected
    assert found.message == one
    return found


def reasons(one: Message) -> str:
    """Why a message is rejected, with its place."""
    return rejected(one).describe("events", 3)
