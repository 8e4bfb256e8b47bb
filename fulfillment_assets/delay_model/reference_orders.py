"""Invented orders whose score is known beforehand, or is pinned when the model is trained."""

from __future__ import annotations

from itertools import product
from typing import Final

import pyarrow as pa

from fulfillment_assets.orders.contract import BY_NAME, FEATURES, Kind

_GOLDEN: Final = (
    # block, mode, calls, rating, prior, gender, importance, cost, discount, weight
    ("A", "Ship", 4, 3, 3, "F", "low", 150, 5, 4500),
    ("B", "Flight", 3, 1, 2, "M", "medium", 210, 8, 5250),
    ("C", "Road", 5, 5, 4, "F", "high", 260, 2, 4100),
    ("D", "Ship", 6, 2, 4, "M", "low", 285, 7, 1500),
    ("E", "Ship", 4, 4, 3, "F", "medium", 240, 4, 4800),
    ("F", "Ship", 4, 4, 3, "F", "medium", 240, 4, 4800),
    ("F", "Flight", 4, 3, 3, "M", "low", 160, 45, 1600),
    ("A", "Road", 3, 5, 2, "F", "medium", 225, 30, 3100),
    ("B", "Ship", 2, 1, 6, "M", "high", 130, 10, 2900),
    ("C", "Ship", 7, 3, 4, "F", "low", 300, 1, 1200),
    ("D", "Flight", 5, 4, 5, "M", "medium", 245, 9, 1850),
    ("E", "Road", 2, 2, 10, "F", "high", 99, 65, 1050),
    ("F", "Road", 3, 5, 7, "M", "high", 110, 3, 5900),
    ("A", "Flight", 6, 1, 3, "M", "medium", 275.5, 6.5, 5600.25),
    ("B", "Road", 0, 4, 0, "F", "low", 20, 0, 250),
    ("C", "Ship", 50, 3, 400, "M", "high", 15000, 100, 90000),
)


def _table(rows: list[tuple[str | int | float, ...]]) -> pa.Table:
    columns = zip(*rows, strict=True)
    return pa.table(
        {
            name: pa.array(values, pa.string() if _is_category(name) else pa.float64())
            for name, values in zip(FEATURES, columns, strict=True)
        }
    )


def _is_category(name: str) -> bool:
    return BY_NAME[name].kind is Kind.CATEGORY


def golden_orders() -> pa.Table:
    """Orders of every category and region of the features, extremes of the contract included."""
    return _table(list(_GOLDEN))


def surely_late_orders() -> pa.Table:
    """Orders with a discount above 10 %, all of which are late in the public data.

    Every warehouse block, mode and importance, with weights, costs and discounts as such orders
    have them.
    """
    blocks, modes, importances = (
        BY_NAME[name].choices
        for name in ("warehouse_block", "mode_of_shipment", "product_importance")
    )
    return _table(
        [
            (block, mode, 4, 3, 3, "F", importance, cost, discount, weight)
            for block, mode, importance in product(blocks, modes, importances)
            for discount, (cost, weight) in product((15, 35, 60), ((160, 1500), (230, 3000)))
        ]
    )
