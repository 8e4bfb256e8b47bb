"""The contract on the wire: what is read, what is refused, and with which words."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fulfillment_assets.events.messages import (
    MAX_MESSAGE_BYTES,
    VERSION_HEADER,
    Message,
    decode_messages,
)
from fulfillment_assets.orders.validation import FieldError, RejectedRow
from tests.events.messages import HOUR, NOW, PRODUCED, accepted, event, message, reasons, rejected
from tests.orders.examples import csv_text, order_row, read_file, saved
from tests.orders.test_json_reader import MANY, by_model, typed_order

MICROSECOND = dt.timedelta(microseconds=1)


def test_an_event_is_an_order_with_its_place_and_time() -> None:
    headers = [
        VERSION_HEADER,
        ("correlation-id", b"c-1"),
        ("event-time", b"2026-03-01T10:00:00+01:00"),
    ]
    (row,) = accepted(message(offset=1234, key=b"ORD-000017", headers=headers))
    assert row.pop("row_number") == 1234
    assert row.pop("event_time") == dt.datetime(2026, 3, 1, 9, tzinfo=dt.UTC)
    assert row.pop("produced_at") == PRODUCED
    assert row.pop("correlation_id") == "c-1"
    assert row == by_model(typed_order())


def test_nothing_but_the_value_is_needed() -> None:
    (row,) = accepted(message())
    assert (row["event_time"], row["correlation_id"]) == (None, None)


def test_an_event_has_the_verdict_of_the_same_order_in_a_file(tmp_path: Path) -> None:
    changes = [
        {},
        {"gender": "?"},
        {"order_date": "yesterday", "weight_in_gms": "-1"},
        {"payment_status": "in kind"},
        {"order_id": ""},
        {"delivery_date": "2026-01-01"},
    ]
    rows = [order_row(**change) for change in changes]
    sound, broken = read_file(saved(tmp_path, csv_text(rows)))
    decoded = decode_messages(
        [message(json.dumps(row).encode(), offset=place) for place, row in enumerate(rows, 1)], NOW
    )
    in_wire_only = ("event_time", "produced_at", "correlation_id")
    assert decoded.orders.drop_columns(in_wire_only).to_pylist() == sound
    assert [as_in_file(found.row) for found in decoded.rejected] == broken


def as_in_file(row: RejectedRow) -> RejectedRow:
    """A rejected row as a file gives it: an empty cell is none."""
    raw = {name: text or None for name, text in row.raw.items()}
    errors = tuple(FieldError(e.field, e.value or None, e.rule) for e in row.errors)
    return RejectedRow(row.row_number, raw, errors)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (b"", "value must be a JSON object: Expecting value at character 1"),
        (b"nonsense", 'value "nonsense": must be a JSON object: Expecting value at character 1'),
        (b"[1]", 'value "[1]": must be a JSON object, not an array'),
        (event()[:-1], "must be a JSON object: Expecting ',' delimiter at character"),
        (event().replace(b"ORD", b"\xff\xfe"), "must be valid UTF-8 text"),
        (event() + event(), "must be a JSON object: Extra data at character"),
        (b"[" * 10_000, "must be a JSON object that is not nested too deeply"),
        (event()[:-1] + b', "gender": "F"}', 'has each key once; "gender" repeats'),
        (event(weight_in_gms=float("nan")), "must be a JSON object: NaN is not a number in JSON"),
        (event(order_id="a\0b"), 'order_id "a\ufffdb": must be printable characters only'),
        (event(gender="?"), 'gender "?": must be one of F, M'),
        (event(customer_rating=9), 'customer_rating "9": must be between 1 and 5'),
        (event(customer_rating=True), 'customer_rating "true": must be a whole number'),
        (event(order_id=None), "order_id is missing"),
        (event(**{"Weight in gms": 5}), '"weight_in_gms" and "Weight in gms" both mean'),
    ],
)
def test_a_broken_event_is_refused_with_place_field_value_and_rule(
    value: bytes, words: str
) -> None:
    assert reasons(message(value, offset=17)).startswith("events[3] offset 17: ")
    assert words in reasons(message(value, offset=17))


def test_every_broken_rule_is_named() -> None:
    one = message(
        event(gender="?", customer_rating=9),
        headers=[("schema-version", b"2"), ("event-time", b"soon")],
    )
    assert [error.field for error in rejected(one).row.errors] == [
        "header schema-version",
        "header event-time",
        "customer_rating",
        "gender",
    ]


@pytest.mark.parametrize("key", [None, b"ORD-000017"])
def test_a_tombstone_is_refused_and_told_what_to_do_instead(key: bytes | None) -> None:
    tombstone = Message(5, key, None, (), 0, 0)
    assert reasons(tombstone) == (
        "events[3] offset 5: value is missing: a message without a value (a tombstone) tells "
        "nothing; to cancel an order, send it with order_status cancelled"
    )
    assert rejected(tombstone).row.raw == {"value": None}


@pytest.mark.parametrize("key", [None, b"ORD-000017", b" ORD-000017 "])
def test_the_key_is_the_order_or_absent(key: bytes | None) -> None:
    assert accepted(message(key=key))[0]["order_id"] == "ORD-000017"


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (b"ORD-000018", 'key "ORD-000018": must be the order_id, "ORD-000017"'),
        (b"ord-000017", 'key "ord-000017": must be the order_id, "ORD-000017"'),
        (b"", 'key must be the order_id, "ORD-000017"'),
        (b"\xff", "must be valid UTF-8 text"),
        (b"\0" * 100, 'must be the order_id, "ORD-000017"'),
    ],
)
def test_the_key_of_another_order_is_refused(key: bytes, words: str) -> None:
    assert words in reasons(message(key=key))


def test_a_number_as_order_id_has_its_digits_as_key() -> None:
    value = event(order_id=17)
    assert accepted(message(value, key=b"17"))[0]["order_id"] == "17"
    assert 'key "18": must be the order_id, "17"' in reasons(message(value, key=b"18"))


@pytest.mark.parametrize("version", [b"1", b" 1 ", None])
def test_the_present_schema_version_is_read(version: bytes | None) -> None:
    accepted(message(headers=[("schema-version", version)]))


@pytest.mark.parametrize("version", [b"2", b"999", b"0", b"-1", b"", b"one", b"1.0", b"\xff"])
def test_another_schema_version_is_refused(version: bytes) -> None:
    words = "must be 1, which is what this platform reads"
    assert words in reasons(message(headers=[("schema-version", version)]))


def test_the_last_of_headers_with_one_name_counts() -> None:
    headers = [("schema-version", b"2"), ("schema-version", b"1"), ("other", b"\xff"), ("", None)]
    accepted(message(headers=headers))


@pytest.mark.parametrize(
    ("header", "moment"),
    [
        ("2026-03-01T09:30:00Z", dt.datetime(2026, 3, 1, 9, 30, tzinfo=dt.UTC)),
        ("2026-03-01T09:30:00.123456-02:00", dt.datetime(2026, 3, 1, 11, 30, 0, 123456, dt.UTC)),
        ("1970-01-01", dt.datetime(1970, 1, 1, tzinfo=dt.UTC)),
        (NOW.isoformat(), NOW),
        ((NOW + MICROSECOND).isoformat(), NOW),
        ((NOW + 24 * HOUR).isoformat(), NOW),
        ("", None),
    ],
)
def test_an_event_time_that_is_not_past_counts_as_now(
    header: str, moment: dt.datetime | None
) -> None:
    (row,) = accepted(message(headers=[("event-time", header.encode())]))
    assert row["event_time"] == moment


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ((NOW + 24 * HOUR + MICROSECOND).isoformat(), "must not be more than 24 hours ahead"),
        ("2100-12-31", "must not be more than 24 hours ahead"),
        ("2101-01-01", "must lie in the years 1970 to 2100"),
        ("1772357400", "must be an ISO 8601 date or date-time"),
        ("yesterday", 'header event-time "yesterday": must be an ISO 8601 date'),
    ],
)
def test_a_wrong_event_time_is_refused(header: str, words: str) -> None:
    assert words in reasons(message(headers=[("event-time", header.encode())]))


@pytest.mark.parametrize(
    ("header", "kept"),
    [
        (b"c-1", "c-1"),
        ("ä/ö".encode(), "ä/ö"),
        (b"a\0\xff", "a\ufffd\ufffd"),
        (b"x" * 300, "x" * 199 + "…"),
        (None, None),
    ],
)
def test_a_correlation_id_is_kept_whatever_it_is(header: bytes | None, kept: str | None) -> None:
    (row,) = accepted(message(headers=[("correlation-id", header)]))
    assert row["correlation_id"] == kept


@pytest.mark.parametrize("timestamp", [-1, -(2**63), 2**63 - 1])
def test_a_timestamp_that_cannot_be_counts_as_none(timestamp: int) -> None:
    (row,) = accepted(message()._replace(timestamp=timestamp))
    assert row["produced_at"] is None
    assert message()._replace(timestamp=timestamp).produced_at is None


def test_a_message_is_read_up_to_its_largest_size() -> None:
    room = MAX_MESSAGE_BYTES - len(event(note=""))
    (row,) = accepted(message(event(note="x" * room)))
    assert len(row["extra"]) < 5_000, "long texts are cut"
    one = message(event(note="x" * room), key=b"1")
    assert reasons(one) == (
        "events[3] offset 0: message has 1,048,577 bytes; at most 1,048,576 are read"
    )


def test_a_message_of_many_megabytes_is_refused_with_its_beginning() -> None:
    found = rejected(message(event(note="x" * 5_000_000)))
    assert "has 5,000,559 bytes" in found.row.reasons
    assert found.row.raw["value"] is not None
    assert found.row.raw["value"].startswith('{"order_id": "ORD-000017"')
    assert len(found.row.raw["value"]) == 10_000


@pytest.mark.parametrize("place", [0, 1, MANY // 2, MANY - 1])
@pytest.mark.parametrize(
    "poison", [None, b"", b"\xff", b"[" * 10_000, event(gender="?"), event(order_id=[])]
)
def test_a_poison_message_rejects_itself_alone(place: int, poison: bytes | None) -> None:
    messages = [message(event(order_id=f"O{n}"), offset=2 * n) for n in range(MANY)]
    messages[place] = Message(2 * place, b"k", poison, (), 0, 0)
    decoded = decode_messages(messages, NOW)
    (found,) = decoded.rejected
    assert found.message == messages[place]
    others = [2 * n for n in range(MANY) if n != place]
    assert decoded.orders["row_number"].to_pylist() == others
    assert decoded.orders["order_id"].to_pylist() == [f"O{offset // 2}" for offset in others]


def test_headers_stay_with_their_message_where_others_are_rejected() -> None:
    messages = [
        message(
            event(order_id=f"O{n}", gender="?" if n % 3 == 0 else "F"),
            offset=n,
            key=b"wrong" if n % 5 == 0 else f"O{n}".encode(),
            headers=[("correlation-id", b"c-%d" % n)],
            produced=PRODUCED + n * MICROSECOND * 1000,
        )
        for n in range(100)
    ]
    decoded = decode_messages(messages, NOW)
    for row in decoded.orders.to_pylist():
        number = row["row_number"]
        assert (row["order_id"], row["correlation_id"]) == (f"O{number}", f"c-{number}")
        assert row["produced_at"] == PRODUCED + number * MICROSECOND * 1000
    refused = [found.message.offset for found in decoded.rejected]
    assert refused == [n for n in range(100) if n % 3 == 0 or n % 5 == 0]


def test_no_messages_give_no_orders() -> None:
    decoded = decode_messages([], NOW)
    assert (decoded.orders.num_rows, decoded.rejected) == (0, ())
    assert decoded.orders.schema.field("produced_at").type == pa.timestamp("us", "UTC")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
_VALUES = (
    st.none()
    | st.binary(max_size=40)
    | _JSON.map(lambda value: json.dumps(value).encode())
    | st.dictionaries(st.sampled_from(list(typed_order())), _JSON, max_size=4).map(
        lambda changes: event(**changes)
    )
)
_HEADERS = st.lists(
    st.tuples(
        st.sampled_from(["schema-version", "event-time", "correlation-id", "x"]),
        st.none() | st.binary(max_size=30) | st.sampled_from([b"1", b"2026-03-01"]),
    ),
    max_size=4,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.builds(
            Message,
            st.just(0),
            st.none() | st.binary(max_size=9) | st.just(b"ORD-000017"),
            _VALUES,
            _HEADERS,
            st.integers(-(2**63), 2**63 - 1),
            st.integers(0, 1),
        ),
        max_size=6,
    )
)
def test_whatever_comes_is_either_accepted_or_rejected(drawn: list[Message]) -> None:
    messages = [one._replace(offset=10 + place) for place, one in enumerate(drawn)]
    decoded = decode_messages(messages, NOW)
    offsets = decoded.orders["row_number"].to_pylist()
    offsets += [found.message.offset for found in decoded.rejected]
    assert sorted(offsets) == [one.offset for one in messages]
    for found in decoded.rejected:
        assert found.row.errors
        json.dumps(found.row.raw).encode()
        assert "\0" not in json.dumps(found.row.raw)
    for one in messages:
        single = decode_messages([one], NOW)
        assert single.orders.num_rows == (one.offset in decoded.orders["row_number"].to_pylist())
