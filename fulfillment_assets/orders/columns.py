"""Reading a whole column of cells by the rules of one field.

Cells that are plainly right are read all at once by Arrow. The fast readers are deliberately
narrow: they return null for every cell of which they are not certain, and those cells, each
distinct text once, go to `rules.canonical_value`, which alone decides what is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fulfillment_assets.orders.cells import holds_space, printable_ascii, row_mask, true_rows
from fulfillment_assets.orders.contract import Field, Kind
from fulfillment_assets.orders.rules import (
    END_OF_TIME,
    FIRST_INSTANT,
    IS_MISSING,
    MISSING,
    RuleBroken,
    Value,
    canonical_value,
    decode,
)
from fulfillment_assets.orders.schema import ARROW_TYPES

_UTC: Final = ARROW_TYPES[Kind.TIMESTAMP]
_NAIVE: Final = pa.timestamp("us")
_NUMBER: Final = r"^-?[0-9]+(?:\.[0-9]+)?$"
_DATE: Final = (  # 29 February is left to the rules
    r"^(?:19[7-9][0-9]|20[0-9]{2}|2100)-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    r"|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
)
_TIME: Final = r"[T ](?:[01][0-9]|2[0-3])(?::[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,6})?)?)?"
_OFFSET: Final = r"(?:Z|[+-](?:[01][0-9]|2[0-3])(?::?[0-5][0-9])?)"
_ZONED: Final = re.compile(f":.*{_OFFSET}$")
_LONGEST_MISSING: Final = max(map(len, MISSING))


@dataclass(frozen=True, slots=True)
class Column:
    """One field of every row of a batch.

    Attributes:
        values: canonical values in the field's Arrow type; null where missing or broken.
        broken: the rule that the cell breaks, by row index.
    """

    values: Any
    broken: Mapping[int, str]


def read_column(field: Field, cells: Any) -> Column:
    """Read a column of cells.

    Args:
        field: the field that the column holds.
        cells: binary array of the cells as they came.
    """
    plain = printable_ascii(cells)
    if holds_space(plain):
        plain = pc.ascii_trim(plain, characters=" ")
    values = _FAST[field.kind](field, plain)
    if values.null_count == (0 if field.required else cells.null_count):
        return Column(values, {})
    uncertain = values.is_null() if field.required else pc.and_(values.is_null(), cells.is_valid())
    return _read_uncertain(field, cells, values, uncertain)


def absent_column(field: Field, length: int) -> Column:
    """Give the column of a field that a batch does not have at all."""
    broken = dict.fromkeys(range(length), IS_MISSING) if field.required else {}
    return Column(pa.nulls(length, ARROW_TYPES[field.kind]), broken)


def _read_uncertain(field: Field, cells: Any, values: Any, uncertain: Any) -> Column:
    rows = true_rows(uncertain)
    distinct = cells.take(pa.array(rows)).dictionary_encode(null_encoding="encode")
    verdicts = [_verdict(field, decode(cell)) for cell in distinct.dictionary.to_pylist()]
    indices = np.asarray(distinct.indices)
    read = pa.array([value for value, _ in verdicts], values.type).take(distinct.indices)
    rules = [rule for _, rule in verdicts]
    broken = {
        row: rule
        for row, index in zip(rows.tolist(), indices.tolist(), strict=True)
        if (rule := rules[index]) is not None
    }
    return Column(pc.replace_with_mask(values, row_mask(rows, len(cells)), read), broken)


def _verdict(field: Field, text: str | None) -> tuple[Value, str | None]:
    try:
        return canonical_value(field, text), None
    except RuleBroken as broken:
        return None, str(broken)


def _fast_text(field: Field, plain: Any) -> Any:
    length = pc.binary_length(plain)
    certain = pc.and_(pc.greater(length, 0), pc.less_equal(length, field.max_length))
    shortest = pc.min(length).as_py()
    if shortest is not None and shortest <= _LONGEST_MISSING:
        missing = pc.is_in(pc.ascii_lower(plain), _missing_spellings())
        certain = pc.and_(certain, pc.invert(missing))
    return _only(certain, plain)


def _fast_category(field: Field, plain: Any) -> Any:
    spellings, choices = _spellings(field)
    indices = pc.index_in(plain, spellings)
    all_canonical = (
        indices.null_count == plain.null_count
        and pc.all(pc.less(indices, len(field.choices))).as_py()
    )
    return plain if all_canonical else choices.take(indices)


def _fast_number(field: Field, plain: Any) -> Any:
    numbers = pc.add(_numbers(plain), 0.0)  # -0.0 becomes 0.0
    certain = pc.is_finite(numbers)
    for holds, limit in (
        (pc.greater_equal, field.minimum),
        (pc.greater, field.above),
        (pc.less_equal, field.maximum),
    ):
        if limit is not None:
            certain = pc.and_(certain, holds(numbers, limit))
    return _only(certain, numbers)


def _fast_integer(field: Field, plain: Any) -> Any:
    numbers = _fast_number(field, plain)
    whole = pc.equal(pc.floor(numbers), numbers)
    return _only(whole, numbers).cast(ARROW_TYPES[Kind.INTEGER])


def _fast_timestamp(field: Field, plain: Any) -> Any:
    moments = _moments(plain)
    certain = pc.and_(
        pc.greater_equal(moments, pa.scalar(FIRST_INSTANT, _UTC)),
        pc.less(moments, pa.scalar(END_OF_TIME, _UTC)),
    )
    return _only(certain, moments)


def _moments(plain: Any) -> Any:
    first = pc.first(plain).as_py() or ""
    try:
        return plain.cast(_UTC if _ZONED.search(first) else _NAIVE).cast(_UTC)
    except pa.ArrowInvalid:
        zoned = _matching(plain, f"{_DATE}{_TIME}{_OFFSET}$")
        rest = pc.if_else(zoned.is_valid(), None, plain)
        naive = _matching(rest, f"{_DATE}(?:{_TIME})?$").cast(_NAIVE)
        return pc.coalesce(zoned.cast(_UTC), naive.cast(_UTC))


def _numbers(plain: Any) -> Any:
    try:
        return plain.cast(pa.float64())
    except pa.ArrowInvalid:
        return _matching(plain, _NUMBER).cast(pa.float64())


def _matching(plain: Any, pattern: str) -> Any:
    return pc.if_else(pc.match_substring_regex(plain, pattern), plain, None)


def _only(certain: Any, values: Any) -> Any:
    """Make null what is not certain."""
    return values if pc.all(certain).as_py() is not False else pc.if_else(certain, values, None)


@cache
def _missing_spellings() -> Any:
    return pa.array(sorted(MISSING))


@cache
def _spellings(field: Field) -> tuple[Any, Any]:
    """Give the usual spellings of a category, and the choice that each of them means.

    The choices themselves come first.
    """
    meant = {choice: choice for choice in field.choices}
    for choice in field.choices:
        for spelling in (choice.lower(), choice.upper(), choice.capitalize()):
            meant.setdefault(spelling, choice)
    return pa.array(meant.keys()), pa.array(meant.values())


_FAST: Final = {
    Kind.TEXT: _fast_text,
    Kind.CATEGORY: _fast_category,
    Kind.INTEGER: _fast_integer,
    Kind.NUMBER: _fast_number,
    Kind.TIMESTAMP: _fast_timestamp,
}
