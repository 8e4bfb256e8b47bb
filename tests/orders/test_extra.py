"""The audit JSON: valid for `jsonb`, whatever the cells hold."""

from __future__ import annotations

import json
from contextlib import closing

import psycopg2
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import make_url

from fulfillment_assets.orders.extra import (
    MAX_EXTRA_CHARACTERS,
    extra_column,
    extra_json,
    extra_text,
)
from tests.orders.examples import accepted, order_row, validated

NASTY = [
    'quote " and \\ backslash',
    "\\u0000",
    "nul \0 nul",
    "tab\t line\n bell\x07 delete\x7f",
    "\u2028 \u202e \ufeff \uffff",
    "emoji 🚚 and Zürich",
    '{"looks": "like json"}',
    "=cmd|' /C calc'!A0",
    "'",
]


def test_unknown_columns_are_kept_and_empty_cells_left_out() -> None:
    rows: list[dict[str, str | bytes | None]] = [
        {**order_row(), "Gift wrap": "yes", "note": None},
        {**order_row(), "Gift wrap": "  ", "note": ""},
        {**order_row(), "Gift wrap": "", "note": "call first"},
        {**order_row(), "Gift wrap": "no", "note": "x"},
    ]
    assert validated(*rows).orders["extra"].to_pylist() == [
        '{"Gift wrap":"yes"}',
        None,
        '{"note":"call first"}',
        '{"Gift wrap":"no","note":"x"}',
    ]


def test_broken_descriptive_fields_stand_before_the_unknown_columns() -> None:
    values = accepted(order_row(order_status="lost", carrier_name="x" * 65) | {"a": "1"})
    assert values["order_status"] is None
    assert values["carrier_name"] is None
    assert json.loads(values["extra"]) == {
        "carrier_name": "x" * 65,
        "order_status": "lost",
        "a": "1",
    }


@pytest.mark.parametrize("text", NASTY)
def test_any_text_survives_but_for_what_postgresql_cannot_store(text: str) -> None:
    extra = accepted(order_row() | {"note": text})["extra"]
    assert json.loads(extra) == {"note": text.replace("\0", "\ufffd")}


def test_bytes_that_are_not_utf8_are_kept_as_replacement_characters() -> None:
    extra = accepted(order_row() | {"note": b"caf\xe9 \xed\xa0\x80"})["extra"]
    assert json.loads(extra) == {"note": "caf\ufffd \ufffd\ufffd\ufffd"}


@pytest.mark.parametrize("char", ["x", "九", '"'])
def test_a_long_text_is_cut(char: str) -> None:
    whole, long = char * MAX_EXTRA_CHARACTERS, char * (MAX_EXTRA_CHARACTERS + 1)
    extra = json.loads(accepted(order_row() | {"whole": whole, "long": long})["extra"])
    assert extra["whole"] == whole
    assert extra["long"] == char * (MAX_EXTRA_CHARACTERS - 1) + "…"


def test_a_header_is_escaped_too() -> None:
    extra = accepted(order_row() | {'a "b"\\\n': "1"})["extra"]
    assert json.loads(extra) == {'a "b"\\\n': "1"}


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.fixed_dictionaries(
            {}, optional={name: st.none() | st.text(max_size=12) for name in ("a", 'b"', "ü")}
        ),
        max_size=6,
    )
)
def test_a_column_of_texts_is_written_as_each_alone(rows: list[dict[str, str | None]]) -> None:
    cells = {
        name: pa.array(
            [None if (text := row.get(name)) is None else text.encode() for row in rows],
            pa.binary(),
        )
        for name in ("a", 'b"', "ü")
    }
    alone = [
        extra_json({n: t for n in cells if (t := extra_text(row.get(n))) is not None})
        for row in rows
    ]
    assert extra_column(cells, len(rows)).to_pylist() == alone


def test_postgresql_accepts_it_as_jsonb(empty_database_url: str) -> None:
    rows = [order_row(carrier_name="\0") | {"note": text, "\0 key": text} for text in NASTY]
    extras = validated(*rows).orders["extra"].to_pylist()
    dsn = make_url(empty_database_url).set(drivername="postgresql")
    with closing(psycopg2.connect(dsn.render_as_string(hide_password=False))) as connection:
        for extra in extras:
            with connection.cursor() as cursor:
                cursor.execute("SELECT %s::jsonb", (extra,))
                assert cursor.fetchone() == (json.loads(extra),)
