"""Breaking rows in every way that the contract rejects."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fulfillment_assets.orders.simulator.csv_text import with_iso_timestamps
from fulfillment_assets.orders.simulator.sampling import BoolArray


class Fault(StrEnum):
    """What is wrong with a row."""

    MISSING_ORDER_ID = "missing_order_id"
    OVERLONG_ORDER_ID = "overlong_order_id"
    CONTROL_CHARACTER_IN_ORDER_ID = "control_character_in_order_id"
    NUL_IN_ORDER_ID = "nul_in_order_id"
    EMPTY_REQUIRED_CELL = "empty_required_cell"
    UNKNOWN_WAREHOUSE = "unknown_warehouse"
    UNKNOWN_MODE = "unknown_mode"
    UNKNOWN_IMPORTANCE = "unknown_importance"
    UNKNOWN_GENDER = "unknown_gender"
    NEGATIVE_NUMBER = "negative_number"
    OUT_OF_RANGE = "out_of_range"
    NOT_A_NUMBER = "not_a_number"
    INFINITE_NUMBER = "infinite_number"
    TEXT_IN_NUMBER = "text_in_number"
    FRACTION_IN_INTEGER = "fraction_in_integer"
    NON_ISO_DATE = "non_iso_date"
    SHIPPED_BEFORE_ORDERED = "shipped_before_ordered"
    DELIVERED_BEFORE_SHIPPED = "delivered_before_shipped"
    PROMISED_BEFORE_ORDERED = "promised_before_ordered"
    TOO_FEW_CELLS = "too_few_cells"
    TOO_MANY_CELLS = "too_many_cells"
    INVALID_UTF8 = "invalid_utf8"


FAULTS: Final = tuple(Fault)

LINE_FAULTS: Final = frozenset({Fault.TOO_FEW_CELLS, Fault.TOO_MANY_CELLS, Fault.INVALID_UTF8})
"""Faults of the whole CSV line, which no table of cells can hold; see `break_line`."""

FIELD_FAULTS: Final = tuple(fault for fault in FAULTS if fault not in LINE_FAULTS)
"""Faults of a field, whatever carries the order; see `broken_fields`."""

# The cells that a fault replaces, one after the other as the fault comes round.
_CELLS: Final[Mapping[Fault, tuple[tuple[str, str | None], ...]]] = {
    Fault.MISSING_ORDER_ID: (("order_id", None),),
    Fault.OVERLONG_ORDER_ID: (("order_id", "ORD-" + "9" * 9_996),),
    Fault.CONTROL_CHARACTER_IN_ORDER_ID: (
        ("order_id", "ORD-\x07-1"),
        ("order_id", "ORD-\x1b[31m-1"),
        ("order_id", "ORD\t1"),
        ("order_id", "ORD-\x7f-1"),
    ),
    Fault.NUL_IN_ORDER_ID: (("order_id", "ORD-\x00-1"),),
    Fault.EMPTY_REQUIRED_CELL: (
        ("warehouse_block", None),
        ("customer_care_calls", None),
        ("gender", None),
        ("weight_in_gms", None),
    ),
    Fault.UNKNOWN_WAREHOUSE: (("warehouse_block", "G"), ("warehouse_block", "AB")),
    Fault.UNKNOWN_MODE: (("mode_of_shipment", "Pigeon"),),
    Fault.UNKNOWN_IMPORTANCE: (("product_importance", "urgent"),),
    Fault.UNKNOWN_GENDER: (("gender", "unknown"),),
    Fault.NEGATIVE_NUMBER: (
        ("cost_of_product", "-219"),
        ("discount_offered", "-1"),
        ("weight_in_gms", "-4120"),
        ("customer_care_calls", "-3"),
        ("prior_purchases", "-2"),
    ),
    Fault.OUT_OF_RANGE: (
        ("customer_rating", "6"),
        ("customer_rating", "0"),
        ("customer_care_calls", "51"),
        ("discount_offered", "100.5"),
        ("cost_of_product", "0"),
        ("weight_in_gms", "1e300"),
        ("prior_purchases", "99999999999999999999"),
    ),
    Fault.NOT_A_NUMBER: (("weight_in_gms", "NaN"), ("cost_of_product", "nan")),
    Fault.INFINITE_NUMBER: (("cost_of_product", "inf"), ("discount_offered", "-Infinity")),
    Fault.TEXT_IN_NUMBER: (("weight_in_gms", "heavy"), ("customer_care_calls", "three")),
    Fault.FRACTION_IN_INTEGER: (("customer_care_calls", "3.5"), ("prior_purchases", "2.25")),
    Fault.NON_ISO_DATE: (
        ("order_date", "03/14/2026 09:30"),
        ("promised_delivery_date", "2026-02-30T18:00:00Z"),
        ("ship_date", "yesterday"),
        ("delivery_date", "14.03.2026"),
    ),
}
# Dates that a fault sets, in days from the order's date.
_DAYS_FROM_ORDER: Final[Mapping[Fault, Mapping[str, int]]] = {
    Fault.SHIPPED_BEFORE_ORDERED: {"ship_date": -1},
    Fault.DELIVERED_BEFORE_SHIPPED: {"ship_date": 2, "delivery_date": 1},
    Fault.PROMISED_BEFORE_ORDERED: {"promised_delivery_date": -1},
}


def inject_faults(orders: pa.Table, faulty: BoolArray) -> tuple[pa.Table, pa.Array]:
    """Break the chosen rows, each kind of fault in turn.

    Args:
        orders: sound orders, typed.
        faulty: which rows to break.

    Returns:
        The orders with every column as text, and the fault of each row (empty for a sound one).
        Rows with a fault of the whole line come back sound: `break_line` is for them.
    """
    ordered = orders["order_date"].cast(pa.int64()).to_numpy()
    replaced: dict[str, dict[int, str | None]] = defaultdict(dict)
    names = np.full(orders.num_rows, "", dtype=object)
    for rank, row in enumerate(np.flatnonzero(faulty).tolist()):
        turn, kind = divmod(rank, len(FAULTS))
        fault = FAULTS[kind]
        names[row] = fault.value
        for column, text in broken_fields(fault, turn, int(ordered[row])).items():
            replaced[column][row] = text
    text_orders = with_iso_timestamps(orders)
    columns = [
        _with_cells(text_orders[name].cast(pa.string()), replaced[name])
        for name in orders.column_names
    ]
    return pa.table(columns, names=orders.column_names), pa.array(names, pa.string())


def break_line(line: bytes, fault: Fault) -> bytes:
    """Break a CSV line by one of `LINE_FAULTS`.

    Args:
        line: the line without its end; its first cell has four bytes at least.
        fault: one of `LINE_FAULTS`.
    """
    if fault is Fault.TOO_FEW_CELLS:
        return line.rsplit(b",", 1)[0]
    if fault is Fault.TOO_MANY_CELLS:
        return line + b",surplus"
    return line[:4] + b"\xff\xfe" + line[4:]


def broken_fields(fault: Fault, turn: int, ordered: int) -> Mapping[str, str | None]:
    """What a fault puts in place of an order's fields, as text; None for an empty field.

    Args:
        fault: the kind of fault; one of `LINE_FAULTS` replaces nothing.
        turn: how often the fault came before: its variants take turns.
        ordered: when the order was placed, in seconds since 1970.
    """
    if fault in _CELLS:
        variants = _CELLS[fault]
        column, text = variants[turn % len(variants)]
        return {column: text}
    days = _DAYS_FROM_ORDER.get(fault, {})
    return {column: _iso(ordered + number * 86_400) for column, number in days.items()}


def _iso(seconds: int) -> str:
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _with_cells(column: pa.ChunkedArray, replaced: Mapping[int, str | None]) -> pa.ChunkedArray:
    if not replaced:
        return column
    mask = np.zeros(len(column), dtype=bool)
    mask[list(replaced)] = True  # rows were added in ascending order
    return pc.replace_with_mask(column, pa.array(mask), pa.array(replaced.values(), pa.string()))
