"""The queue of ragged rows."""

from __future__ import annotations

import pytest

from fulfillment_assets.orders import ragged
from fulfillment_assets.orders.ragged import RaggedRow, RaggedRows


@pytest.mark.parametrize("in_memory", [1, 1 << 20])
def test_rows_come_out_as_they_went_in_whether_or_not_they_fit_in_memory(
    in_memory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ragged, "_IN_MEMORY_BYTES", in_memory)
    rows = [RaggedRow(n, n % 7, f'row {n} "q"\r\n九\0') for n in range(1, 101)]
    taken: list[RaggedRow] = []
    with RaggedRows() as queue:
        for row in rows[:60]:
            queue.add(row)
        for _ in range(50):
            assert queue.next_number() == len(taken) + 1
            taken.append(queue.pop())
        for row in rows[60:]:
            queue.add(row)
        while queue.next_number() is not None:
            taken.append(queue.pop())
        queue.add(rows[0])
        assert queue.pop() == rows[0]
    assert taken == rows


def test_an_empty_queue_says_so() -> None:
    with RaggedRows() as queue:
        assert queue.next_number() is None
        with pytest.raises(IndexError):
            queue.pop()


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
def test_a_row_is_split_or_is_one_cell(text: str, cells: list[str]) -> None:
    assert RaggedRow(1, 0, text).cells(",") == cells
