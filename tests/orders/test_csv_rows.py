"""Splitting text into rows, wherever its blocks are cut."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fulfillment_assets.orders.csv_layout import Layout
from fulfillment_assets.orders.csv_rows import MAX_ROW_BYTES, RaggedRow, parse_rows
from fulfillment_assets.orders.csv_source import OrderFileError
from fulfillment_assets.orders.headers import read_headers

LAYOUT = Layout(",", read_headers(["a", "b"]), neutralised=False)

Rows = dict[int, tuple[bytes | None, ...] | str]


def rows_of(*blocks: bytes) -> Rows:
    """Each row by number: the cells of a sound one, the text of a ragged one."""
    rows: Rows = {}
    number = 1
    for block in parse_rows(blocks, LAYOUT):
        ragged = {row.number: row for row in block.ragged}
        sound = iter(zip(*(column.to_pylist() for column in block.sound.columns), strict=True))
        for current in range(number, number + block.count):
            rows[current] = ragged[current].text if current in ragged else next(sound)
        assert next(sound, None) is None
        number += block.count
    return rows


def test_rows_are_numbered_and_empty_cells_are_null() -> None:
    assert rows_of(b'1,2\n\n"x\n""y""",\nlone\n,"" \r\n1,2,3') == {
        1: (b"1", b"2"),
        2: (b'x\n"y"', None),
        3: "lone",
        4: (None, b" "),
        5: "1,2,3",
    }


def test_an_ignored_column_is_left_out() -> None:
    layout = Layout(";", read_headers(["a", "Reached.on.Time_Y.N", "b"]), neutralised=False)
    (block, end) = parse_rows([b"1;0;2\n"], layout)
    assert [column.to_pylist() for column in block.sound.columns] == [[b"1"], [b"2"]]
    assert end.count == 0


TEXT = b'1,2\r\n"a,\r\n""b""","\xc3\xbc"\n\nlone\n5" x,"y"z\n,\n"",""""\r1,2,3\r\n\r\n"\n\n",end'


def test_a_text_may_be_cut_anywhere() -> None:
    whole = rows_of(TEXT)
    assert len(whole) == 8
    for cut in range(len(TEXT)):
        if TEXT[cut] & 0xC0 != 0x80:  # not inside a character
            assert rows_of(TEXT[:cut], TEXT[cut:]) == whole
    text = TEXT.decode()
    assert rows_of(*(char.encode() for char in text)) == whole


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.text(st.sampled_from('",\r\n"x九')), max_size=8))
def test_any_text_reads_the_same_in_one_block_or_many(blocks: list[str]) -> None:
    def outcome(*parts: str) -> Rows | str:
        try:
            return rows_of(*(part.encode() for part in parts))
        except OrderFileError as error:
            return str(error)

    assert outcome(*blocks) == outcome("".join(blocks))


def test_a_row_of_several_blocks_is_put_together() -> None:
    cell = b"x" * 300_000
    assert rows_of(b"1,", cell, b'\n"', cell, b'\n"', b",", b"2\n") == {
        1: (b"1", cell),
        2: (cell + b"\n", b"2"),
    }


def test_a_row_beyond_the_limit_is_named() -> None:
    half = b"x" * (MAX_ROW_BYTES // 2 + 1)
    with pytest.raises(OrderFileError, match="row 2 is longer than 1 MiB"):
        rows_of(b'1,2\n3,"', half, half, half)


@pytest.mark.parametrize("text", [b'1,"2', b'"', b'1,2\n3,"4\n5,6\n', b'1,"a""'])
def test_a_quote_that_is_open_at_the_end_is_an_error(text: bytes) -> None:
    with pytest.raises(OrderFileError, match="opened and never closed"):
        rows_of(text)


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        ("a,b", ["a", "b"]),
        ('"a,b"', ["a,b"]),
        ('"a\nb",c', ["a\nb", "c"]),
        ("", [""]),
        ("x" * 200_000, ["x" * 200_000]),
    ],
    ids=["plain", "quoted", "newline", "empty", "beyond the csv module's limit"],
)
def test_a_ragged_row_is_split_or_is_one_cell(text: str, cells: list[str]) -> None:
    assert RaggedRow(1, 0, text).cells(",") == cells
