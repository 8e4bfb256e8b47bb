"""Finding out how a CSV file is laid out, from its first rows."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from fulfillment_assets.orders.contract import HEADERS, REQUIRED, normalise_header
from fulfillment_assets.orders.csv_source import OrderFileError
from fulfillment_assets.orders.formulas import restore
from fulfillment_assets.orders.headers import (
    BOOKKEEPING,
    DuplicateHeadersError,
    Header,
    read_headers,
)
from fulfillment_assets.orders.rules import shown

_DELIMITERS: Final = (",", ";", "\t", "|")
_HEADERS_SHOWN: Final = 40


@dataclass(frozen=True, slots=True)
class Layout:
    """How a CSV file is laid out.

    Attributes:
        delimiter: what separates cells: the one that yields the most known headers.
        headers: the columns.
        neutralised: the file is a `.rejected.csv`, whose formula-like cells have an apostrophe.
    """

    delimiter: str
    headers: tuple[Header, ...]
    neutralised: bool


def read_layout(head: bytes) -> tuple[Layout, int]:
    """Read the header.

    Args:
        head: the beginning of a file, as UTF-8.

    Returns:
        The layout, and how many bytes of the head the header takes.

    Raises:
        OrderFileError: there is no header with all required columns, each of them once.
    """
    if not head.strip():
        raise OrderFileError("the file is empty; it needs a header and a row for each order")
    found = [(delimiter, *_header_row(head, delimiter)) for delimiter in _DELIMITERS]
    delimiter, texts, length = max(found, key=lambda one: (_known(one[1]), len(one[1])))
    if not _known(texts) and b"\0" in head:
        raise OrderFileError("this is a binary file, not text; export the orders as CSV")
    fields = {HEADERS.get(normalise_header(text)) for text in texts}
    missing = [name for name in REQUIRED if name not in fields]
    if missing:
        raise OrderFileError(_missing_columns(missing, texts))
    neutralised = {normalise_header(text) for text in texts}.issuperset(BOOKKEEPING)
    try:
        headers = read_headers([restore(text) for text in texts] if neutralised else texts)
    except DuplicateHeadersError as error:
        raise OrderFileError(f"{error}; remove or rename one of them") from None
    return Layout(delimiter, headers, neutralised), length


def _header_row(head: bytes, delimiter: str) -> tuple[list[str], int]:
    """Split the first row that is not blank; give its cells, and how many bytes it ends after."""
    length = 0

    def lines() -> Iterator[str]:
        nonlocal length
        for line in head.splitlines(keepends=True):
            length += len(line)
            yield line.decode("utf-8", "replace")

    try:
        for cells in csv.reader(lines(), delimiter=delimiter):
            if any(cell.strip() for cell in cells):
                return cells, length
    except csv.Error:  # a cell beyond csv.field_size_limit()
        pass
    return [], length


def _known(texts: Iterable[str]) -> int:
    return sum(normalise_header(text) in HEADERS for text in texts)


def _missing_columns(missing: list[str], texts: list[str]) -> str:
    found = ", ".join(shown(text) for text in texts[:_HEADERS_SHOWN])
    if len(texts) > _HEADERS_SHOWN:
        found += f" and {len(texts) - _HEADERS_SHOWN} more"
    noun = "column is" if len(missing) == 1 else "columns are"
    return (
        f"required {noun} missing: {', '.join(missing)}. The first row, which must be the header, "
        f"has: {found or 'nothing'}"
    )
