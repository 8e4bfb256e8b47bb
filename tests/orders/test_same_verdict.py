"""A batch and the model judge every order alike, whatever is written in it."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from fulfillment_assets.orders.contract import FIELDS, Field, Kind
from fulfillment_assets.orders.model import EnrichedOrder
from fulfillment_assets.orders.validation import OrderBatch
from tests.orders.examples import Row, order_row, validated

# fmt: off
NUMBERS = (
    "0", "-0", "-0.0", "1", "3", "5", "3.0", "3.5", ".5", "5.", "50", "51", "100", "100.01",
    "1000000", "1000001", "10000000", "1e2", "1E+1", "1e-400", "1e400", "+7", "007", "-1", "1,000",
    "1_000", "0x1F", "1.5.2", "1e", "inf", "-inf", "Infinity", "٣", "３", "3f", "$5", "5%",
    "99999999999999999999",
)
DATES = (
    "2026-03-01", "2026-02-30", "2024-02-29", "1970-01-01", "1969-12-31", "2100-12-31",
    "2101-01-01", "0000-01-01", "0001-01-01", "9999-12-31T23:59:59-10:00", "2026-03-01T09",
    "2026-03-01T09Z", "2026-03-01T09:30", "2026-03-01T09:30:15.123456",
    "2026-03-01T09:30:15.1234567Z", "2026-03-01T09:30:15,5", "2026-03-01T09:30+05",
    "2026-03-01T09:30:00+0530", "2026-03-01T09:30:00+05:60", "2026-03-01T09:30:00-23:59",
    "2026-03-01T24:00", "2026-03-01T23:59:60", "2026-03-01Z", "20260301", "2026-060", "03/04/2026",
    "2026-03-01T093015", "+2026-03-01", "2026-03-01T09:30:00z", "2026-3-1", "２０26-03-01",
)
# fmt: on
TEXTS = ("ORD-1", "a b", "Zoë", "№ 7", "x" * 64, "x" * 65, "a\0b", "a\u202eb", "\u200b", "a\tb")
MISSING = ("", " ", "\n", "\u00a0", "nan", "NaN", "NULL", "None", "n/a", "<NA>", "NaT")
SPELLINGS = (*NUMBERS, *DATES, *TEXTS, *MISSING)
SPACE = ("", "", "", " ", "\t", "\u00a0", "\x1f")


def _plausible(field: Field) -> st.SearchStrategy[str]:
    match field.kind:
        case Kind.TEXT:
            return st.sampled_from(TEXTS) | st.text(max_size=8)
        case Kind.CATEGORY:
            return st.sampled_from(field.choices).flatmap(
                lambda choice: st.sampled_from(
                    (choice, choice.lower(), choice.upper(), choice + "x")
                )
            )
        case Kind.INTEGER | Kind.NUMBER:
            return (
                st.sampled_from(NUMBERS)
                | st.floats(allow_nan=False).map(repr)
                | st.integers(-2, 60).map(str)
            )
        case Kind.TIMESTAMP:
            offsets = st.sampled_from(("", "Z", "+02:00", "-0730"))
            moments = st.datetimes(dt.datetime(1969, 12, 30), dt.datetime(2101, 1, 3))
            return st.sampled_from(DATES) | st.builds(
                lambda moment, mark, offset: moment.isoformat(mark) + offset,
                moments,
                st.sampled_from("T "),
                offsets,
            )


def _cell(field: Field) -> st.SearchStrategy[str]:
    spaced = st.tuples(st.sampled_from(SPACE), _plausible(field), st.sampled_from(SPACE)).map(
        "".join
    )
    return spaced | st.sampled_from(MISSING) | st.sampled_from(SPELLINGS)


@st.composite
def _orders(draw: st.DrawFn) -> Row:
    """A sound order with some of its cells replaced, and perhaps an unknown one added."""
    row = order_row()
    for field in draw(st.lists(st.sampled_from(FIELDS), max_size=4, unique=True)):
        row[field.name] = draw(_cell(field))
    if draw(st.booleans()):
        row["note"] = draw(st.text(max_size=8))
    return row


def _by_batch(batch: OrderBatch) -> list[object]:
    """The verdict on each row: its canonical values, or its broken rules by field."""
    verdicts: dict[int, object] = {
        row.row_number: {error.field: error.rule for error in row.errors} for row in batch.rejected
    }
    for values in batch.orders.to_pylist():
        number = values.pop("row_number")
        verdicts[number] = values
    return [verdicts[number] for number in sorted(verdicts)]


def _by_model(row: Row) -> dict[str, Any]:
    try:
        return EnrichedOrder.model_validate(row).record()
    except ValidationError as failure:
        return {str(error["loc"][0]): error["msg"] for error in failure.errors()}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(_orders(), min_size=1, max_size=8))
def test_a_batch_and_the_model_agree_on_verdict_values_and_rules(rows: list[Row]) -> None:
    assert _by_batch(validated(*rows)) == [_by_model(row) for row in rows]


def test_they_agree_on_every_spelling_in_every_field() -> None:
    for field in FIELDS:
        rows = [order_row(**{field.name: text}) for text in SPELLINGS]
        assert _by_batch(validated(*rows)) == [_by_model(row) for row in rows]


@pytest.mark.parametrize("name", ["order_id", "order_date", "customer_care_calls", "weight_in_gms"])
def test_a_cell_is_judged_alike_in_whatever_company(name: str) -> None:
    rows = [order_row(**{name: text}) for text in SPELLINGS]
    alone = [verdict for row in rows for verdict in _by_batch(validated(row))]
    assert _by_batch(validated(*rows)) == alone
