"""JSON built column-wise: whole Arrow columns in, a column of JSON texts out.

A JSON text per row in Python would cost more than scoring the row.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from fulfillment_assets.store.copy import without_zone

StringColumn: TypeAlias = Any
"""A column of texts: `pa.Array` or `pa.ChunkedArray` (pyarrow has no types)."""

_NEEDS_ESCAPE: Final = r'["\\\x00-\x1f\x7f]'
_ESCAPES: Final = (
    ("\\", "\\\\"),
    ('"', '\\"'),
    *((chr(code), f"\\u{code:04x}") for code in (*range(1, 32), 127)),
)
_NULL: Final = pa.scalar("null")


def text(column: StringColumn) -> StringColumn:
    """JSON strings of a text column; null gives `null`. NUL characters must not occur."""
    if pc.any(pc.match_substring_regex(column, _NEEDS_ESCAPE)).as_py():
        for char, escape in _ESCAPES:
            column = pc.replace_substring(column, char, escape)
    return symbol(column)


def symbol(column: StringColumn) -> StringColumn:
    """JSON strings of a column whose values need no escaping, such as categories."""
    return pc.coalesce(pc.binary_join_element_wise('"', column, '"', ""), _NULL)


def number(column: StringColumn) -> StringColumn:
    """JSON numbers of a finite numeric column; null gives `null`."""
    return pc.coalesce(pc.cast(column, pa.string()), _NULL)


def instant(column: StringColumn) -> StringColumn:
    """JSON strings in ISO 8601 of a UTC timestamp column; null gives `null`."""
    written = pc.cast(without_zone(column), pa.string())
    dashed = pc.replace_substring(written, " ", "T", max_replacements=1)
    return pc.coalesce(pc.binary_join_element_wise('"', dashed, 'Z"', ""), _NULL)


def objects(members: Mapping[str, StringColumn]) -> StringColumn:
    """JSON objects whose members are columns of JSON texts.

    Members stand in the order in which jsonb keeps them, which spares PostgreSQL the sorting.
    """
    parts: list[StringColumn | str] = []
    opening = "{"
    for key, column in sorted(members.items(), key=lambda member: (len(member[0]), member[0])):
        parts += [f'{opening}"{key}":', column]
        opening = ","
    return pc.binary_join_element_wise(*parts, "}", "")
