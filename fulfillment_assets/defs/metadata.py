"""Metadata values that several domains show."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg


def table(rows: Sequence[Mapping[str, Any]]) -> dg.MetadataValue[Any]:
    """Rows of plain values as a table; nested values are shown as text."""
    records = [dg.TableRecord({name: _plain(value) for name, value in row.items()}) for row in rows]
    if not records:
        return dg.MetadataValue.text("no rows")
    columns = [dg.TableColumn(name) for name in rows[0]]
    return dg.MetadataValue.table(records, schema=dg.TableSchema(columns))


def _plain(value: Any) -> str | int | float | bool | None:
    return value if isinstance(value, (str, int, float, bool)) or value is None else str(value)


def picture(png: bytes) -> dg.MetadataValue[Any]:
    """A PNG file, shown in the UI."""
    return dg.MetadataValue.md(f"![](data:image/png;base64,{base64.b64encode(png).decode()})")
