"""Formula-like cells: harmless in a spreadsheet, and back."""

from __future__ import annotations

import re

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fulfillment_assets.orders.formulas import neutralise, restore, restore_column

SIGNS = "=+-@\t\r\n＝＋－＠"


@pytest.mark.parametrize(
    "cell",
    [
        "=cmd|' /C calc'!A0",
        "+1",
        "-1+2",
        "-x",
        "--1",
        "-1e5",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "＝1",
        "-",
    ],
)
def test_a_cell_that_a_spreadsheet_would_run_gets_an_apostrophe(cell: str) -> None:
    assert neutralise(cell) == f"'{cell}"


@pytest.mark.parametrize(
    "cell", ["", "x", "-3", "-3.5", "3", "a=b", "'x", "it's", "2026-03-01", " ="]
)
def test_any_other_cell_stays(cell: str) -> None:
    assert neutralise(cell) == cell
    assert restore(cell) == cell


@given(st.text(st.sampled_from(f"'{SIGNS}a1. ")))
def test_it_can_be_undone_and_leaves_no_formula(cell: str) -> None:
    neutral = neutralise(cell)
    assert restore(neutral) == cell
    assert neutral[:1] not in tuple(SIGNS) or re.fullmatch(r"-[0-9]+(\.[0-9]+)?", neutral)


@given(st.lists(st.none() | st.text(st.sampled_from(f"'{SIGNS}ü1")), max_size=5))
def test_a_column_is_undone_as_each_cell(cells: list[str | None]) -> None:
    column = pa.array([None if cell is None else cell.encode() for cell in cells], pa.binary())
    restored = restore_column(column)
    assert restored.type == pa.binary()
    assert [None if cell is None else cell.decode() for cell in restored.to_pylist()] == [
        None if cell is None else restore(cell) for cell in cells
    ]
