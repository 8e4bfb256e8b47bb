"""The audit JSON of an order: texts that the contract has no column for.

Every member is a text, so the JSON says what came and not what it might mean. It is safe for
PostgreSQL's `jsonb`: no NUL, no lone surrogate, no oversized text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fulfillment_assets.orders.cells import Rows, row_mask, rows_with_bytes, true_rows
from fulfillment_assets.orders.rules import clean_text, decode

MAX_EXTRA_CHARACTERS: Final = 4_096
"""Longest text of one member; a longer one is cut and ends in an ellipsis."""

_ESCAPED: Final = np.ones(256, dtype=np.bool_)
_ESCAPED[0x20:0x7F] = False
_ESCAPED[[ord('"'), ord("\\")]] = True


def extra_text(value: object) -> str | None:
    """Give a value as the text that the audit JSON keeps; None where it is empty.

    Text stays as it is, but for what PostgreSQL cannot store; any other value is kept as its
    JSON text.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    return clean_text(value if isinstance(value, str) else _json(value), MAX_EXTRA_CHARACTERS)


def extra_json(members: Mapping[str, str]) -> str | None:
    """Write the audit JSON of one order; None where it has no members."""
    return f"{{{','.join(_member(*item) for item in members.items())}}}" if members else None


def extra_column(columns: Mapping[str, Any], length: int) -> Any:
    """Write the audit JSON of every row of a batch, all rows at once.

    Args:
        columns: binary arrays of the cells by name; empty cells are left out.
        length: how many rows there are.

    Returns:
        A string array; null where a row has no members.
    """
    if not columns:
        return pa.nulls(length, pa.string())
    members = [_members(name, cells) for name, cells in columns.items()]
    joined = pc.binary_join_element_wise(
        *members, "", null_handling="replace", null_replacement=""
    ).view(pa.binary())
    joined = pc.if_else(pc.equal(pc.binary_length(joined), 0), None, joined)
    opened = pc.binary_replace_slice(joined, start=0, stop=1, replacement=b"{")
    return pc.binary_join_element_wise(opened, b"}", b"").cast(pa.string())


def _json(value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except RecursionError:
        return "(nested too deeply to be kept)"


def _member(name: str, text: str) -> str:
    return f"{_quoted(name)}:{_quoted(text)}"


def _quoted(text: str) -> str:
    return json.dumps(clean_text(text, MAX_EXTRA_CHARACTERS), ensure_ascii=False)


def _members(name: str, cells: Any) -> Any:
    """Give `,"name":"text"` for every cell, null for the empty ones."""
    other = _not_verbatim(cells)
    verbatim = pc.if_else(row_mask(other, len(cells)), None, cells).cast(pa.string())
    quoted = pc.binary_join_element_wise('"', verbatim, '"', "")
    if other.size:
        distinct = cells.take(pa.array(other)).dictionary_encode()
        texts = [extra_text(decode(cell)) for cell in distinct.dictionary.to_pylist()]
        escaped = pa.array([None if text is None else _quoted(text) for text in texts], pa.string())
        mask = row_mask(other, len(cells))
        quoted = pc.replace_with_mask(quoted, mask, escaped.take(distinct.indices))
    return pc.binary_join_element_wise(f",{_quoted(name)}:", quoted, "")


def _not_verbatim(cells: Any) -> Rows:
    """Find the cells that cannot stand in JSON as they are, or that may be empty."""
    length = pc.binary_length(cells)
    odd = pc.or_(pc.greater(length, MAX_EXTRA_CHARACTERS), pc.equal(length, 0))
    blank = pc.starts_with(cells, " ")  # only such a cell can be nothing but space
    return np.union1d(rows_with_bytes(cells, _ESCAPED), true_rows(pc.or_(odd, blank)))
