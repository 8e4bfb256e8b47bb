"""What the header of a column, or the key of a JSON order, means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from fulfillment_assets.orders.contract import HEADERS, LATE_HEADER, normalise_header
from fulfillment_assets.orders.rules import clean_text

BOOKKEEPING: Final = ("row_number", "errors")
"""First columns of a `.rejected.csv`; they are not part of an order and are never stored."""

SURPLUS: Final = "surplus_cells"
"""Name under which a rejected row keeps the cells that it has beyond the header."""

MAX_HEADER_CHARACTERS: Final = 256

_REMEMBERED_CHARACTERS: Final = 4_096


class DuplicateHeadersError(ValueError):
    """Two headers are equal, or mean the same field; the message names them."""


@dataclass(frozen=True, slots=True)
class Header:
    """One column of orders.

    Attributes:
        text: the header as it came, or `column_<n>` where it is empty; storable, and at most
            `MAX_HEADER_CHARACTERS` long.
        name: the field that it means; None for an unknown column.
        ignored: the column is dropped on reading: the training label, which is an outcome and
            not part of an order, or the bookkeeping of a `.rejected.csv`.
    """

    text: str
    name: str | None
    ignored: bool


def read_headers(texts: Sequence[str]) -> tuple[Header, ...]:
    """Tell what each header means.

    Raises:
        DuplicateHeadersError: two headers are equal, or mean the same field.
    """
    if sum(map(len, texts)) > _REMEMBERED_CHARACTERS:
        return _headers(tuple(texts))
    return _remembered(tuple(texts))


def _headers(texts: tuple[str, ...]) -> tuple[Header, ...]:
    headers = tuple(_read_header(text, number) for number, text in enumerate(texts, 1))
    seen: dict[str, str] = {}
    for header in headers:
        if header.ignored:
            continue
        key = header.name or header.text
        if key in seen:
            raise DuplicateHeadersError(_duplicate(seen[key], header))
        seen[key] = header.text
    return headers


_remembered: Final = lru_cache(maxsize=256)(_headers)  # orders that follow have the same keys


def _read_header(text: str, number: int) -> Header:
    return _header(clean_text(text.strip(), MAX_HEADER_CHARACTERS) or f"column_{number}")


def _header(text: str) -> Header:
    normal = normalise_header(text)
    return Header(text, HEADERS.get(normal), normal in (LATE_HEADER, *BOOKKEEPING))


def _duplicate(first: str, second: Header) -> str:
    if first == second.text:
        return f'two columns are named "{first}"'
    return f'the columns "{first}" and "{second.text}" both mean {second.name}'
