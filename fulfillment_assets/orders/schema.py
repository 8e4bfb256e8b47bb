"""The columns of a validated batch of orders, as Arrow types."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from fulfillment_assets.orders.contract import FIELDS, Kind

ARROW_TYPES: Final = {
    Kind.TEXT: pa.string(),
    Kind.CATEGORY: pa.string(),
    Kind.INTEGER: pa.int32(),
    Kind.NUMBER: pa.float64(),
    Kind.TIMESTAMP: pa.timestamp("us", "UTC"),
}

ORDER_SCHEMA: Final = pa.schema(
    [
        pa.field("row_number", pa.int64()),
        *(pa.field(field.name, ARROW_TYPES[field.kind]) for field in FIELDS),
        pa.field("extra", pa.string()),
    ]
)
"""`row_number`, every field of the contract in its order, and `extra`.

`extra` is a JSON object as text, or null: the texts of unknown columns, and of descriptive
fields that broke their rule. PostgreSQL takes it as `jsonb`.
"""
