"""What could not be scored is kept whole, and announced with all that is needed to mend it."""

from __future__ import annotations

import base64
import datetime as dt
import json
import uuid
from typing import Any

import pytest

from fulfillment_assets.events.messages import Message, RejectedMessage, decode_messages
from fulfillment_assets.scoring import dead_letters
from fulfillment_assets.scoring.dead_letters import MAX_HEADER_BYTES, MAX_VALUE_BYTES, DeadLetter
from tests.events.messages import NOW, event, message, rejected
from tests.scoring.workplace import Workplace

STREAM = ("events", 3)
ODD_BYTES = bytes(range(256))


def kept(workplace: Workplace, *messages: Message) -> list[DeadLetter]:
    """Messages that were rejected and stored, as they are read back."""
    found = decode_messages(messages, NOW).rejected
    with workplace.engine.begin() as connection:
        dead_letters.store(connection, "dlq", STREAM, found, NOW)
        return dead_letters.dead_letters(connection, "events")


def announced(found: RejectedMessage) -> dict[str, Any]:
    """What the dead-letter topic is told, as it comes out of JSON."""
    event_id = str(uuid.uuid4())
    told = dead_letters.announcement(found, STREAM, event_id, NOW)
    read: dict[str, Any] = json.loads(json.dumps(told))
    assert read["event_id"] == event_id
    return read


@pytest.mark.parametrize(
    "one",
    [
        message(event(gender="?"), key=b"ORD-000017", headers=[("a", b"1"), ("a", b"2")]),
        message(ODD_BYTES, key=ODD_BYTES, headers=[("b", ODD_BYTES), ("c", None), ("d", b"")]),
        message(b"", key=b""),
        message(b"\0"),
        message(b'"' * 200_000),
        message(event(note="x" * 5_000_000)),
        Message(7, b"k", None, (), -1, 0),
        Message(7, None, b"?", (), 2**63 - 1, 1),
    ],
    ids=["broken", "odd bytes", "empty", "NUL", "quotes", "large", "tombstone", "endless time"],
)
def test_a_message_is_kept_whole(workplace: Workplace, one: Message) -> None:
    (letter,) = kept(workplace, one)
    again = letter.rejected.message
    assert (again.offset, again.key, again.value) == (one.offset, one.key, one.value)
    assert list(again.headers) == list(one.headers)
    assert again.produced_at == one.produced_at
    assert (letter.topic, letter.partition, letter.created_at) == ("events", 3, NOW)
    assert letter.rejected.row == rejected(one).row
    assert str(letter) == rejected(one).describe("events", 3)


def test_dead_letters_are_listed_page_by_page(workplace: Workplace) -> None:
    letters = kept(workplace, *(message(b"?", offset=offset) for offset in range(10)))
    assert [letter.rejected.message.offset for letter in letters] == list(range(10))
    with workplace.engine.connect() as connection:
        page = dead_letters.dead_letters(connection, "events", limit=3, after=letters[4].id)
        assert [letter.id for letter in page] == [letter.id for letter in letters[5:8]]
        assert dead_letters.dead_letters(connection, "other") == []


def test_a_message_cannot_be_kept_twice(workplace: Workplace) -> None:
    kept(workplace, message(b"?", offset=1))
    with pytest.raises(Exception, match="rejected_records_message"):
        kept(workplace, message(b"?", offset=1))
    with pytest.raises(Exception, match="rejected_records_message"):
        for _ in range(2):
            kept(workplace, message(b"?", offset=2)._replace(timestamp=-1))
    assert len(kept(workplace, message(b"?", offset=1, produced=NOW + dt.timedelta(1)))) == 2 + 1


def test_each_is_announced_once(workplace: Workplace) -> None:
    kept(workplace, message(b"?", offset=1, key=b"O1"), message(b"?", offset=2, key=b"\xff"))
    rows = workplace.rows("SELECT * FROM outbox ORDER BY id")
    assert [(row["topic"], row["key"]) for row in rows] == [("dlq", "O1"), ("dlq", "events:3:2")]
    assert [row["payload"]["offset"] for row in rows] == [1, 2]
    for row in rows:
        assert row["published_at"] is None
        assert row["payload"]["event_id"] == str(row["event_id"])


def test_the_announcement_tells_reason_place_key_value_and_headers() -> None:
    one = message(event(gender="?"), offset=17, key=b"ORD-000017", headers=[("a", b"1")])
    told = announced(rejected(one))
    assert (told["topic"], told["partition"], told["offset"]) == ("events", 3, 17)
    assert told["reason"] == 'gender "?": must be one of F, M'
    assert told["errors"] == [{"field": "gender", "value": "?", "rule": "must be one of F, M"}]
    assert told["key"] == {"encoding": "utf-8", "text": "ORD-000017"}
    assert told["headers"] == [{"name": "a", "encoding": "utf-8", "text": "1"}]
    assert told["value"] == {"encoding": "utf-8", "text": event(gender="?").decode()}
    assert told["value_bytes"] == len(event(gender="?"))
    assert dt.datetime.fromisoformat(told["timestamp"]) == one.produced_at
    assert dt.datetime.fromisoformat(told["rejected_at"]) == NOW
    assert told["schema_version"] == 1


@pytest.mark.parametrize("data", [ODD_BYTES, b"\xff", b"a\0b", b"\x1b[2J"])
def test_what_is_not_plain_text_is_announced_in_base64(data: bytes) -> None:
    told = announced(rejected(message(data, key=data, headers=[("a", data), ("b", None)])))
    encoded = {"encoding": "base64", "text": base64.b64encode(data).decode()}
    assert told["key"] == told["value"] == encoded
    assert told["headers"] == [{"name": "a", **encoded}, {"name": "b"}]


def test_a_tombstone_is_announced_without_a_value() -> None:
    told = announced(rejected(Message(7, b"k", None, (), -1, 0)))
    assert (told["value"], told["value_bytes"], told["timestamp"]) == (None, None, None)


@pytest.mark.parametrize("unit", [b"x", "é".encode(), "€".encode(), "𝄞".encode(), b"\xff", b'"'])
def test_of_a_large_message_the_beginning_is_announced(unit: bytes) -> None:
    header = ("a", b"x" * (MAX_HEADER_BYTES // 2 - 100))
    value = b"?" + unit * (5_000_000 // len(unit))
    told = announced(rejected(message(value, key=value, headers=[header] * 5)))
    text = told["value"]["text"]
    if told["value"]["encoding"] == "base64":
        assert value.startswith(base64.b64decode(text))
    else:
        assert value.startswith(text.encode())
        assert MAX_VALUE_BYTES - 4 < len(text.encode()) <= MAX_VALUE_BYTES
    assert told["value_bytes"] == len(value)
    assert len(told["headers"]) == 2
    assert len(json.dumps(told)) < 1024**2, "the announcement is not too large for any topic"
