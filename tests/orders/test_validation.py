"""Validation of a batch: what is accepted as what, what is rejected and why."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest

from fulfillment_assets.orders.contract import FEATURES, FIELDS, REQUIRED
from fulfillment_assets.orders.schema import ORDER_SCHEMA
from fulfillment_assets.orders.validation import (
    HEADER_KEY,
    validate_batch,
)
from tests.orders.examples import accepted, errors, order_row, raw_table, validated

ISO = "must be an ISO 8601 date or date-time, such as 2026-03-01T09:30:00Z"
WHOLE = "must be a whole number, without thousands separators"
PLAIN = "must be a plain number such as 219.5, without thousands separators"
PRINTABLE = "must be printable characters only"
YEARS = "must lie in the years 1970 to 2100"


def utc(*parts: int) -> dt.datetime:
    return dt.datetime(*parts, tzinfo=dt.UTC)  # type: ignore[misc,arg-type]


def test_the_schema_is_the_row_number_the_contract_and_the_extra() -> None:
    assert ORDER_SCHEMA.names == ["row_number", *(field.name for field in FIELDS), "extra"]
    types = {field.name: str(field.type) for field in ORDER_SCHEMA}
    assert types["row_number"] == "int64"
    assert types["order_id"] == types["gender"] == types["extra"] == "string"
    assert types["prior_purchases"] == "int32"
    assert types["weight_in_gms"] == "double"
    assert types["ship_date"] == "timestamp[us, tz=UTC]"


def test_a_sound_row_is_accepted_with_typed_values() -> None:
    batch = validated(order_row())
    assert batch.orders.schema.equals(ORDER_SCHEMA)
    assert batch.orders.to_pylist() == [
        {
            "row_number": 1,
            "order_id": "ORD-000017",
            "customer_id": "CUST-0042",
            "order_date": utc(2026, 3, 1, 9, 30),
            "promised_delivery_date": utc(2026, 3, 6, 18),
            "ship_date": utc(2026, 3, 2, 14),
            "delivery_date": utc(2026, 3, 5, 11),
            "warehouse_block": "B",
            "mode_of_shipment": "Ship",
            "carrier_name": "Northline",
            "customer_care_calls": 3,
            "customer_rating": 4,
            "prior_purchases": 3,
            "gender": "F",
            "product_importance": "medium",
            "cost_of_product": 219.0,
            "discount_offered": 5.0,
            "weight_in_gms": 4120.0,
            "payment_status": "paid",
            "order_status": "shipped",
            "extra": None,
        }
    ]


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ("warehouse_block", " f ", "F"),
        ("mode_of_shipment", "FLIGHT", "Flight"),
        ("mode_of_shipment", "fLiGhT", "Flight"),
        ("product_importance", "High", "high"),
        ("gender", "\u00a0m\u00a0", "M"),
        ("customer_care_calls", "3.0", 3),
        ("customer_care_calls", " 3 ", 3),
        ("customer_care_calls", "\t3\n", 3),
        ("prior_purchases", "1e2", 100),
        ("prior_purchases", "007", 7),
        ("prior_purchases", "+7", 7),
        ("cost_of_product", ".5", 0.5),
        ("cost_of_product", "5.", 5.0),
        ("cost_of_product", "10000000", 10_000_000.0),
        ("discount_offered", "0", 0.0),
        ("discount_offered", "100", 100.0),
        ("discount_offered", " 1e1", 10.0),
        ("order_id", "  Bestellung №7 ", "Bestellung №7"),
        ("order_id", "注文-" + "九" * 61, "注文-" + "九" * 61),
        ("order_id", "=cmd|' /C calc'!A0", "=cmd|' /C calc'!A0"),
        ("carrier_name", "Zürich Express", "Zürich Express"),
        ("order_status", "CANCELLED", "cancelled"),
    ],
)
def test_a_tolerated_spelling_is_stored_canonically(field: str, text: str, value: object) -> None:
    assert accepted(order_row(**{field: text}))[field] == value


def test_minus_zero_is_zero() -> None:
    for text in ("-0", "-0.0", " -0"):
        assert str(accepted(order_row(discount_offered=text))["discount_offered"]) == "0.0"


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-02-01", utc(2026, 2, 1)),
        ("2024-02-29", utc(2024, 2, 29)),
        ("2026-02-01 09:30", utc(2026, 2, 1, 9, 30)),
        ("2026-02-01T09:30:15", utc(2026, 2, 1, 9, 30, 15)),
        ("2026-02-01T09:30:15.25", utc(2026, 2, 1, 9, 30, 15, 250_000)),
        ("2026-02-01T09:30:15.123456789Z", utc(2026, 2, 1, 9, 30, 15, 123_456)),
        ("2026-02-01T09:30:15Z", utc(2026, 2, 1, 9, 30, 15)),
        ("2026-02-01t09:30:15z", utc(2026, 2, 1, 9, 30, 15)),
        ("2026-02-01T09:30:15+05:30", utc(2026, 2, 1, 4, 0, 15)),
        ("2026-02-01T09:30:15-0800", utc(2026, 2, 1, 17, 30, 15)),
        ("2026-02-01T09:30+05", utc(2026, 2, 1, 4, 30)),
        ("1970-01-01", utc(1970, 1, 1)),
    ],
)
def test_an_iso_8601_date_is_read_and_a_naive_one_is_utc(text: str, moment: dt.datetime) -> None:
    assert accepted(order_row(order_date=text))["order_date"] == moment


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("03/04/2026", ISO),
        ("4.3.2026", ISO),
        ("2026-02-30", ISO),
        ("2023-02-29", ISO),
        ("2026-13-01", ISO),
        ("2026-3-1", ISO),
        ("20260301", ISO),
        ("2026-W10-1", ISO),
        ("2026-03-01T24:00:00", ISO),
        ("2026-03-01T09:30:60", ISO),
        ("2026-03-01T09:30:00+25:00", ISO),
        ("2026-03-01T09:30:00 Europe/Zurich", ISO),
        ("1772357400", ISO),
        ("yesterday", ISO),
        ("1969-12-31", YEARS),
        ("2101-01-01", YEARS),
        ("0001-01-01T00:00:00+10:00", YEARS),
        ("9999-12-31T23:59:59-10:00", YEARS),
        ("1970-01-01T00:00:00+01:00", YEARS),
    ],
)
def test_any_other_date_is_rejected(text: str, rule: str) -> None:
    assert errors(order_row(order_date=text)) == {"order_date": rule}


@pytest.mark.parametrize(
    ("field", "text", "rule"),
    [
        ("warehouse_block", "Z", "must be one of A, B, C, D, E, F"),
        ("warehouse_block", "AB", "must be one of A, B, C, D, E, F"),
        ("mode_of_shipment", "Teleport", "must be one of Ship, Flight, Road"),
        ("gender", "female", "must be one of F, M"),
        ("customer_care_calls", "3.5", WHOLE),
        ("customer_care_calls", "three", WHOLE),
        ("customer_care_calls", "0x3", WHOLE),
        ("customer_care_calls", "1_0", WHOLE),
        ("customer_care_calls", "٣", WHOLE),
        ("customer_care_calls", "inf", WHOLE),
        ("customer_care_calls", "1e400", WHOLE),
        ("customer_care_calls", "51", "must be between 0 and 50"),
        ("customer_care_calls", "-1", "must be between 0 and 50"),
        ("customer_rating", "0", "must be between 1 and 5"),
        ("prior_purchases", "1,000", WHOLE),
        ("prior_purchases", "1000001", "must be between 0 and 1,000,000"),
        ("cost_of_product", "0", "must be above 0 and at most 10,000,000"),
        ("cost_of_product", "-0.0", "must be above 0 and at most 10,000,000"),
        ("cost_of_product", "10000000.1", "must be above 0 and at most 10,000,000"),
        ("cost_of_product", "1,234.50", PLAIN),
        ("cost_of_product", "219,5", PLAIN),
        ("cost_of_product", "$219", PLAIN),
        ("cost_of_product", "Infinity", PLAIN),
        ("cost_of_product", "1e400", PLAIN),
        ("discount_offered", "150", "must be between 0 and 100"),
        ("discount_offered", "5%", PLAIN),
        ("order_id", "x" * 65, "must be at most 64 characters"),
        ("order_id", "x" * 10_000, "must be at most 64 characters"),
        ("order_id", "九" * 65, "must be at most 64 characters"),
        ("order_id", "ORD\n17", PRINTABLE),
        ("order_id", "ORD\t17", PRINTABLE),
        ("order_id", "ORD\x0017", PRINTABLE),
        ("order_id", "\x1fORD", PRINTABLE),
        ("order_id", "ORD\x7f", PRINTABLE),
        ("order_id", "ORD\u202e71", PRINTABLE),
        ("order_id", "ORD\u200b17", PRINTABLE),
        ("order_id", "ORD\ue00017", PRINTABLE),
        ("order_id", "ORD\u0378", PRINTABLE),
    ],
)
def test_a_broken_rule_rejects_the_row(field: str, text: str, rule: str) -> None:
    assert errors(order_row(**{field: text})) == {field: rule}


@pytest.mark.parametrize("text", ["", "  ", "\t\n", "NaN", "nan", "NULL", "None", "N/A", "<NA>"])
@pytest.mark.parametrize("field", REQUIRED)
def test_a_missing_required_field_rejects_the_row(field: str, text: str) -> None:
    assert errors(order_row(**{field: text})) == {field: "is missing"}


@pytest.mark.parametrize("text", ["", "  ", "\u00a0", "NaN", "NaT", "null", "None", " n/a "])
@pytest.mark.parametrize("field", [f.name for f in FIELDS if not f.required])
def test_a_missing_optional_field_is_null_and_leaves_no_trace(field: str, text: str) -> None:
    values = accepted(order_row(**{field: text}))
    assert values[field] is None
    assert values["extra"] is None


def test_a_word_for_missing_inside_a_longer_text_is_text() -> None:
    assert accepted(order_row(carrier_name="None Better"))["carrier_name"] == "None Better"


def test_every_broken_rule_of_a_row_is_named_in_contract_order() -> None:
    row = order_row(gender="", order_id="", discount_offered="150", ship_date="soon")
    (rejected,) = validated(row).rejected
    assert [error.field for error in rejected.errors] == [
        "order_id",
        "ship_date",
        "gender",
        "discount_offered",
    ]
    assert rejected.message == (
        "row 1: order_id is missing; "
        f'ship_date "soon": {ISO}; '
        "gender is missing; "
        'discount_offered "150": must be between 0 and 100'
    )


def test_the_features_and_the_id_are_all_that_is_required() -> None:
    assert set(REQUIRED) == {"order_id", *FEATURES}


def test_a_batch_with_only_the_features_and_the_id_is_accepted() -> None:
    row = {name: text for name, text in order_row().items() if name in REQUIRED}
    values = accepted(row)
    assert {name for name, value in values.items() if value is None} == {
        "extra",
        *(field.name for field in FIELDS if not field.required),
    }


def test_a_batch_without_a_required_column_is_rejected_row_by_row() -> None:
    rows = [order_row(), order_row(gender="?")]
    for row in rows:
        del row["discount_offered"]
    batch = validated(*rows)
    assert [row.message for row in batch.rejected] == [
        "row 1: discount_offered is missing",
        'row 2: gender "?": must be one of F, M; discount_offered is missing',
    ]


def test_an_empty_batch_stays_empty() -> None:
    batch = validate_batch(raw_table([order_row()]).slice(0, 0), pa.array([], pa.int64()))
    assert (batch.orders.num_rows, batch.rejected, batch.received) == (0, (), 0)
    assert batch.orders.schema.equals(ORDER_SCHEMA)


def test_good_and_bad_rows_of_a_batch_part_and_keep_their_numbers() -> None:
    rows = [order_row(order_id=f"O{n}", customer_rating=str(n)) for n in range(8)]
    batch = validate_batch(raw_table(rows), pa.array(range(101, 109), pa.int64()))
    assert batch.orders["row_number"].to_pylist() == [102, 103, 104, 105, 106]
    assert batch.orders["order_id"].to_pylist() == ["O1", "O2", "O3", "O4", "O5"]
    assert [row.row_number for row in batch.rejected] == [101, 107, 108]
    assert batch.received == batch.orders.num_rows + len(batch.rejected) == 8


def test_sliced_and_chunked_and_text_columns_read_the_same() -> None:
    rows = [order_row(order_id=f"O{n}", customer_rating=str(n)) for n in range(8)]
    table = raw_table(rows)
    text = pa.table({name: table[name].cast(pa.string()) for name in table.column_names})
    chunked = pa.concat_tables([table.slice(0, 3), table.slice(3, 0), table.slice(3)])
    expected = validated(*rows[2:7])
    for variant in (table, text, chunked):
        batch = validate_batch(variant.slice(2, 5), pa.array(range(1, 6), pa.int64()))
        assert batch.orders.equals(expected.orders)
        assert batch.rejected == expected.rejected


class TestOrderOfDates:
    """A timestamp may not precede the one that the contract names."""

    def test_a_delivery_before_the_shipping_is_rejected(self) -> None:
        row = order_row(ship_date="2026-03-05", delivery_date="2026-03-04")
        assert errors(row) == {"delivery_date": "must not be before ship_date"}

    def test_a_delivery_with_no_shipping_date_is_held_against_the_order_date(self) -> None:
        row = order_row(ship_date="", order_date="2026-03-05", delivery_date="2026-03-04")
        assert errors(row | {"promised_delivery_date": ""}) == {
            "delivery_date": "must not be before order_date"
        }

    def test_a_date_with_nothing_before_it_is_accepted(self) -> None:
        row = order_row(ship_date="", order_date="", delivery_date="1999-01-01")
        assert accepted(row)["delivery_date"] == utc(1999, 1, 1)

    def test_the_same_moment_is_accepted_across_offsets(self) -> None:
        row = order_row(ship_date="2026-03-01T10:30:00+01:00", order_date="2026-03-01T09:30:00Z")
        assert accepted(row)["ship_date"] == utc(2026, 3, 1, 9, 30)

    def test_a_shipping_or_a_promise_before_the_order_is_rejected(self) -> None:
        row = order_row(
            order_date="2026-03-10",
            ship_date="2026-03-09",
            promised_delivery_date="2026-03-08",
            delivery_date="2026-03-12",
        )
        assert errors(row) == {
            "promised_delivery_date": "must not be before order_date",
            "ship_date": "must not be before order_date",
        }


def test_original_headers_name_the_cells_of_a_rejected_row() -> None:
    table = raw_table([order_row(gender="?")])
    schema = pa.schema(
        field.with_metadata({HEADER_KEY: field.name.title().encode()}) for field in table.schema
    )
    (rejected,) = validate_batch(table.cast(schema), pa.array([1], pa.int64())).rejected
    assert rejected.raw["Gender"] == "?"
    assert [(e.field, e.value) for e in rejected.errors] == [("gender", "?")]
