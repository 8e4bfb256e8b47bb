from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any

import psycopg2.errors
import pyarrow as pa
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import Connection, Engine

from fulfillment_assets.local.postgres import EmbeddedPostgres
from fulfillment_assets.store.connection import DatabaseUnavailableError, create_engine
from fulfillment_assets.store.copy import copy_into, encode, without_zone

INSTANT = pa.timestamp("us", "UTC")
TYPES = {
    "label": ("text", pa.string()),
    "amount": ("double precision", pa.float64()),
    "number": ("bigint", pa.int64()),
    "flag": ("boolean", pa.bool_()),
    "moment": ("timestamptz", INSTANT),
}
CopyColumn = Callable[[str, Any], list[Any]]

NASTY_TEXTS = [
    "",
    " ",
    '"',
    '""',
    "'",
    ",",
    ";",
    "\n",
    "\r\n",
    "\r",
    "\t",
    "\\",
    "\\N",
    "\\.",
    "a\n\\.\nb",
    "NULL",
    "null",
    'She said "no", twice\nand \\left',
    "Größe 大きさ 🚚 e\u0301 \u202e",
    "\x01\x1f\x7f\ufeff\uffff",
    "=1+1",
    "x" * 100_000,
    None,
]

COUNT = sa.text("SELECT count(*) FROM stream_offsets")

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
moments = st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2200, 1, 1), timezones=st.just(dt.UTC))
rows = st.fixed_dictionaries(
    {
        "label": st.none() | st.sampled_from(NASTY_TEXTS) | texts,
        "amount": st.none() | st.floats(allow_nan=False),
        "number": st.none() | st.integers(-(2**63), 2**63 - 1),
        "flag": st.none() | st.booleans(),
        "moment": st.none() | moments,
    }
)


def as_table(listed: list[dict[str, Any]]) -> pa.Table:
    return pa.table(
        {name: pa.array([row[name] for row in listed], TYPES[name][1]) for name in TYPES}
    )


def copied(connection: Connection, rows: pa.Table) -> list[dict[str, Any]]:
    """What PostgreSQL holds after the rows were copied into a fresh table."""
    columns = ", ".join(f"{name} {TYPES[name][0]}" for name in rows.column_names)
    connection.execute(
        sa.text(f"CREATE TEMP TABLE t (place bigint GENERATED ALWAYS AS IDENTITY, {columns})")
    )
    copy_into(connection, "t", encode(rows))
    found = connection.execute(sa.text("SELECT * FROM t ORDER BY place")).mappings()
    listed = [{name: row[name] for name in rows.column_names} for row in found]
    connection.execute(sa.text("DROP TABLE t"))
    return listed


@pytest.fixture(scope="module")
def scratch(postgres: EmbeddedPostgres) -> Iterator[Engine]:
    """Engine for tests that make temporary tables and nothing else."""
    engine = create_engine(postgres.url)
    yield engine
    engine.dispose()


@pytest.fixture
def copied_column(scratch: Engine) -> CopyColumn:
    """Copies a column of `TYPES` into PostgreSQL: `copied_column(name, values)`."""

    def copy(name: str, values: list[Any] | pa.ChunkedArray) -> list[Any]:
        column = values if isinstance(values, pa.ChunkedArray) else pa.array(values, TYPES[name][1])
        with scratch.connect() as connection:
            return [row[name] for row in copied(connection, pa.table({name: column}))]

    return copy


def test_rows_arrive_as_they_were(scratch: Engine) -> None:
    with scratch.connect() as connection:

        @settings(max_examples=60, deadline=None)
        @given(st.lists(rows, max_size=8))
        def holds(listed: list[dict[str, Any]]) -> None:
            assert copied(connection, as_table(listed)) == listed

        holds()


def test_every_text_arrives_as_it_was(copied_column: CopyColumn) -> None:
    assert copied_column("label", NASTY_TEXTS) == NASTY_TEXTS


def test_an_empty_text_is_not_null(copied_column: CopyColumn) -> None:
    assert copied_column("label", ["", None, ""]) == ["", None, ""]


def test_a_column_of_nulls_arrives_as_nulls(copied_column: CopyColumn) -> None:
    for name in TYPES:
        assert copied_column(name, [None, None]) == [None, None]


def test_numbers_arrive_bit_for_bit(copied_column: CopyColumn) -> None:
    amounts = [1e300, 0.1, 1 / 3, -0.0, 5e-324, 1e-7, 123456789.123456, 1.7976931348623157e308]
    assert list(map(str, copied_column("amount", amounts))) == list(map(str, amounts))
    whole = [0, -(2**63), 2**63 - 1]
    assert copied_column("number", whole) == whole


def test_moments_arrive_to_the_microsecond_in_utc(copied_column: CopyColumn) -> None:
    listed = [
        dt.datetime(2026, 3, 29, 1, 30, 0, 1, dt.UTC),
        dt.datetime(1969, 12, 31, 23, 59, 59, 999999, dt.UTC),
        dt.datetime(2026, 3, 10, tzinfo=dt.UTC),
    ]
    arrived = copied_column("moment", listed)
    assert arrived == listed
    assert {moment.utcoffset() for moment in arrived} == {dt.timedelta(0)}


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu"])
def test_moments_of_any_unit_and_zone_are_the_same_moments(
    copied_column: CopyColumn, unit: str, zone: str
) -> None:
    moment = dt.datetime(2026, 3, 10, 12, 30, 15, tzinfo=dt.UTC)
    column = pa.chunked_array([pa.array([moment, None], pa.timestamp(unit, zone))])
    assert copied_column("moment", column) == [moment, None]


def test_a_moment_finer_than_a_microsecond_is_refused() -> None:
    with pytest.raises(pa.ArrowInvalid, match="lose data"):
        without_zone(pa.array([1], pa.timestamp("ns", "UTC")))


def test_an_empty_table_copies_nothing(scratch: Engine) -> None:
    with scratch.connect() as connection:
        assert copied(connection, as_table([])) == []


@pytest.mark.parametrize(
    "chunks",
    [[[], ["a", None]], [["a", None], []], [[], [], ["a"], [], [None]], [["a"], [None]], [[], []]],
    ids=str,
)
def test_empty_chunks_add_nothing(
    copied_column: CopyColumn, chunks: list[list[str | None]]
) -> None:
    column = pa.chunked_array([pa.array(chunk, pa.string()) for chunk in chunks])
    assert copied_column("label", column) == [value for chunk in chunks for value in chunk]


def test_a_slice_copies_only_its_rows(scratch: Engine) -> None:
    table = pa.table({"label": ["a", "b", "c"], "number": [1, 2, 3]}).slice(1, 1)
    with scratch.connect() as connection:
        assert copied(connection, table) == [{"label": "b", "number": 2}]


def test_json_texts_arrive_as_json(scratch: Engine) -> None:
    with scratch.connect() as connection:
        connection.execute(sa.text("CREATE TEMP TABLE j (value jsonb)"))
        copy_into(connection, "j", encode(pa.table({"value": ['{"a":"\\"x\\\\n"}', "[]", None]})))
        found = connection.execute(sa.text("SELECT value FROM j")).scalars().all()
    assert found == [{"a": '"x\\n'}, [], None]


def test_columns_are_matched_by_name(scratch: Engine) -> None:
    with scratch.connect() as connection:
        connection.execute(
            sa.text('CREATE TEMP TABLE s (id int DEFAULT 7, "offset" int, label text)')
        )
        copy_into(connection, "s", encode(pa.table({"label": ["a"], "offset": [1]})))
        assert connection.execute(sa.text("SELECT * FROM s")).one() == (7, 1, "a")


def test_a_copy_is_part_of_the_callers_transaction(engine: Engine) -> None:
    offsets = encode(pa.table({"topic": ["a"], "partition": [0], "next_offset": [1]}))
    with engine.begin() as connection, engine.connect() as other:
        copy_into(connection, "stream_offsets", offsets)
        assert connection.scalar(COUNT) == 1
        assert other.scalar(COUNT) == 0
        connection.rollback()
    with engine.begin() as connection:
        assert connection.scalar(COUNT) == 0
        copy_into(connection, "stream_offsets", offsets)
    with engine.connect() as connection:
        assert connection.scalar(COUNT) == 1


def test_a_row_that_breaks_a_constraint_leaves_nothing(engine: Engine) -> None:
    wrong = encode(pa.table({"topic": ["a", "a"], "partition": [0, 1], "next_offset": [1, -1]}))
    with pytest.raises(psycopg2.errors.CheckViolation), engine.begin() as connection:
        copy_into(connection, "stream_offsets", wrong)
    with engine.connect() as connection:
        assert connection.scalar(COUNT) == 0


def test_a_lost_connection_is_told_as_such_and_replaced(engine: Engine) -> None:
    offsets = encode(pa.table({"topic": ["a"], "partition": [0], "next_offset": [1]}))
    with (
        pytest.raises(DatabaseUnavailableError, match="lost while rows were written into stream_"),
        engine.begin() as connection,
    ):
        pid = connection.scalar(sa.text("SELECT pg_backend_pid()"))
        with engine.connect() as other:
            other.execute(sa.text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
        copy_into(connection, "stream_offsets", offsets)
    with engine.connect() as connection:
        assert connection.scalar(COUNT) == 0


def test_a_nul_character_is_refused_and_not_cut_off(copied_column: CopyColumn) -> None:
    with pytest.raises(psycopg2.Error, match="0x00"):
        copied_column("label", ["a\0b"])
