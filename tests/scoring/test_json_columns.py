"""JSON that is built column-wise parses to exactly the values that went in."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from fulfillment_assets.scoring import json_columns

UTC = pa.timestamp("us", "UTC")

storable = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
awkward = st.text("\"\\/\b\t\n\r\x01\x1f\x7f\x85\u2028é注🚚,'{}[]:", max_size=12)
texts = st.lists(st.none() | storable | awkward)
numbers = st.lists(st.none() | st.floats(allow_nan=False, allow_infinity=False))
integers = st.lists(st.none() | st.integers(-(2**31), 2**31 - 1))
instants = st.lists(
    st.none()
    | st.datetimes(dt.datetime(1970, 1, 1), dt.datetime(2100, 12, 31), timezones=st.just(dt.UTC))
)


def parsed(column: Any) -> list[Any]:
    return [json.loads(text) for text in column.to_pylist()]


def chunked(values: Sequence[Any], kind: pa.DataType) -> pa.ChunkedArray:
    """The values in two chunks, as the columns of a table often are."""
    half = len(values) // 2
    return pa.chunked_array([pa.array(values[:half], kind), pa.array(values[half:], kind)])


@given(texts)
def test_texts_survive_whatever_characters_they_hold(values: list[str | None]) -> None:
    assert parsed(json_columns.text(pa.array(values, pa.string()))) == values
    assert parsed(json_columns.text(chunked(values, pa.string()))) == values


@given(texts)
def test_no_control_character_stands_bare_in_the_json(values: list[str | None]) -> None:
    written = "".join(json_columns.text(pa.array(values, pa.string())).to_pylist())
    assert not any(ord(char) < 32 or ord(char) == 127 for char in written)


@given(numbers)
def test_floats_keep_every_bit(values: list[float | None]) -> None:
    assert parsed(json_columns.number(pa.array(values, pa.float64()))) == values
    assert parsed(json_columns.number(chunked(values, pa.float64()))) == values


@given(integers)
def test_integers_survive(values: list[int | None]) -> None:
    assert parsed(json_columns.number(pa.array(values, pa.int32()))) == values


@given(instants)
def test_instants_are_iso_8601_in_utc(values: list[dt.datetime | None]) -> None:
    for column in (pa.array(values, UTC), chunked(values, UTC)):
        texts = parsed(json_columns.instant(column))
        assert all(text is None or text.endswith("Z") for text in texts)
        assert [text and dt.datetime.fromisoformat(text) for text in texts] == values


@given(st.lists(st.sampled_from(["A", "medium", None])))
def test_symbols_are_plain_strings(values: list[str | None]) -> None:
    assert parsed(json_columns.symbol(pa.array(values, pa.string()))) == values


@given(st.lists(st.tuples(st.none() | awkward, st.none() | st.integers(0, 9)), max_size=5))
def test_objects_hold_their_members(rows: list[tuple[str | None, int | None]]) -> None:
    members = {
        "name": json_columns.text(pa.array([name for name, _ in rows], pa.string())),
        "count": json_columns.number(pa.array([count for _, count in rows], pa.int64())),
    }
    objects = parsed(json_columns.objects(members))
    assert objects == [{"name": name, "count": count} for name, count in rows]


def test_members_stand_in_the_order_of_jsonb_shorter_keys_first() -> None:
    one = json_columns.number(pa.array([1]))
    (text,) = json_columns.objects({"bbb": one, "c": one, "aaa": one}).to_pylist()
    assert text == '{"c":1,"aaa":1,"bbb":1}'
