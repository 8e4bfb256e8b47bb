"""Bytes that are no UTF-8, NUL bytes, control characters and oversized cells."""

from __future__ import annotations

import pytest

from fulfillment_assets.orders.contract import FEATURES
from fulfillment_assets.orders.validation import MAX_RAW_CHARACTERS
from tests.orders.examples import accepted, errors, order_row, validated


@pytest.mark.parametrize("field", ["order_id", "order_date", *FEATURES])
def test_bytes_that_are_not_utf8_reject_the_row(field: str) -> None:
    assert errors(order_row() | {field: b"M\xfcller"}) == {field: "must be valid UTF-8 text"}


def test_in_a_descriptive_field_they_become_null_and_are_kept() -> None:
    values = accepted(order_row() | {"carrier_name": b"M\xfcller"})
    assert values["carrier_name"] is None
    assert values["extra"] == '{"carrier_name":"M\ufffdller"}'


def test_one_damaged_cell_leaves_its_column_intact() -> None:
    texts = ("Zoë", b"\xff", "plain", None)
    rows: list[dict[str, str | bytes | None]] = [
        {**order_row(), "customer_id": text} for text in texts
    ]
    assert validated(*rows).orders["customer_id"].to_pylist() == ["Zoë", None, "plain", None]


def test_a_rejected_row_keeps_its_cells_as_they_came() -> None:
    (rejected,) = validated(order_row(gender="?") | {"Note": " a\nb ", "empty": None}).rejected
    assert rejected.raw == order_row(gender="?") | {"Note": " a\nb ", "empty": None}


def test_a_rejected_row_holds_no_nul_and_no_broken_bytes() -> None:
    row = order_row(gender="\0") | {"carrier_name": b"\xff\xfe"}
    (rejected,) = validated(row).rejected
    assert rejected.raw["gender"] == "\ufffd"
    assert rejected.raw["carrier_name"] == "\ufffd\ufffd"
    assert rejected.message == 'row 1: gender "\ufffd": must be one of F, M'


def test_a_rejected_row_keeps_at_most_a_fixed_length_of_a_cell() -> None:
    (rejected,) = validated(order_row(order_id="九" * 20_000)).rejected
    kept = rejected.raw["order_id"]
    assert kept is not None
    assert len(kept) == MAX_RAW_CHARACTERS
    assert kept.endswith("九…")
    assert rejected.errors[0].value == kept


def test_a_message_stays_short_and_shows_control_characters() -> None:
    (rejected,) = validated(order_row(order_id="\x1b[31m\n" + "x" * 10_000)).rejected
    assert rejected.message.startswith('row 1: order_id "\\x1b[31m\\nxxxx')
    assert len(rejected.message) < 150
