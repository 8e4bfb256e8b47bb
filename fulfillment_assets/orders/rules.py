"""The rules of the order contract, for one value at a time.

This is the reference: the API's model asks it for every value, and the batch validation asks it
for every cell of which its vectorised path is not certain. Rules are sentences without a
subject, so that an error reads `discount_offered "150": must be between 0 and 100`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Final

from fulfillment_assets.orders.contract import BY_NAME, Field, Kind

Value = str | int | float | datetime | None
"""A canonical value: text, int, float, an aware datetime in UTC, or None where it is missing."""

MISSING: Final = frozenset({"", "nan", "nat", "null", "none", "<na>", "n/a"})
"""Lower-case spellings of a missing value, once surrounding space is trimmed."""

IS_MISSING: Final = "is missing"
NOT_UTF8: Final = "must be valid UTF-8 text"
NOT_ISO: Final = "must be an ISO 8601 date or date-time, such as 2026-03-01T09:30:00Z"
FIRST_INSTANT: Final = datetime(1970, 1, 1, tzinfo=UTC)
END_OF_TIME: Final = datetime(2101, 1, 1, tzinfo=UTC)
"""Exclusive end of the accepted timestamps."""

REPLACEMENT: Final = "\ufffd"
"""Stands for bytes that are not UTF-8, and for characters that PostgreSQL cannot store."""

# The separators U+001C to U+001F are space to Python, but control characters to the contract.
_SPACE: Final = "".join(
    char for char in map(chr, range(0x3001)) if char.isspace() and not "\x1c" <= char <= "\x1f"
)
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_TIMESTAMP: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?:[Tt ](?:[01][0-9]|2[0-3])(?::[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,9})?)?)?"
    r"(?:[Zz]|[+-](?:[01][0-9]|2[0-3])(?::?[0-5][0-9])?)?)?"
)
_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")
_SHOWN_CHARACTERS: Final = 60
_MOST_BITS: Final = 10_000  # str() refuses integers of more than 4,300 digits


class RuleBroken(ValueError):  # noqa: N818 - it names a verdict, not a failure of the program
    """A value breaks the contract; its text is the rule, in plain words."""


def canonical_value(field: Field, value: object) -> Value:
    """Read one value of an order as the contract stores it.

    Args:
        field: the field that the value is given for.
        value: text of a cell, or a decoded JSON value; integers are read as text in text
            fields, and dates as their ISO 8601 text.

    Returns:
        The canonical value, or None where an optional field is missing.

    Raises:
        RuleBroken: the value breaks a rule of the field, or is required and missing.
    """
    if _is_canonical(field, value):
        return value  # type: ignore[return-value]
    text = _as_text(field, value).strip(_SPACE)
    if text.lower() in MISSING:
        if field.required:
            raise RuleBroken(IS_MISSING)
        return None
    if REPLACEMENT in text:
        raise RuleBroken(NOT_UTF8)
    return _READERS[field.kind](field, text)


def _is_canonical(field: Field, value: object) -> bool:
    """Whether a value surely needs no reading: what most JSON orders hold."""
    kind = type(value)
    if kind is str:
        return value in field.choices
    if (kind is int and field.kind is Kind.INTEGER) or (
        kind is float and field.kind is Kind.NUMBER
    ):
        return _in_range(field, value) and value != 0  # type: ignore[arg-type]  # -0.0 is not
    return False


def predecessor(field: Field, values: Mapping[str, object]) -> str | None:
    """Name the timestamp that this one may not precede.

    Where the field named by `not_before` is missing, the one before that counts: a delivery
    with no known shipping date is held against the order date.

    Args:
        field: a timestamp field.
        values: the order's canonical values; missing and broken ones absent or None.
    """
    name = field.not_before
    while name is not None and values.get(name) is None:
        name = BY_NAME[name].not_before
    return name


def format_rule(field: Field) -> str:
    """Say how the text of a field must look."""
    match field.kind:
        case Kind.TEXT:
            return "must be printable characters only"
        case Kind.CATEGORY:
            return f"must be one of {', '.join(field.choices)}"
        case Kind.INTEGER:
            return "must be a whole number, without thousands separators"
        case Kind.NUMBER:
            return "must be a plain number such as 219.5, without thousands separators"
        case Kind.TIMESTAMP:
            return NOT_ISO


def limit_rule(field: Field) -> str:
    """Say between which limits a field must lie; empty for a category."""
    match field.kind:
        case Kind.TEXT:
            return f"must be at most {field.max_length} characters"
        case Kind.CATEGORY:
            return ""
        case Kind.TIMESTAMP:
            return f"must lie in the years {FIRST_INSTANT.year} to {END_OF_TIME.year - 1}"
        case _:
            return _range_rule(field)


def order_rule(other: str) -> str:
    """Say which timestamp a timestamp may not precede."""
    return f"must not be before {other}"


def clean_text(text: str, limit: int) -> str:
    """Make text storable in PostgreSQL `text` and `jsonb`, and at most `limit` characters long.

    NUL and lone surrogates become U+FFFD; a text that was cut ends in an ellipsis.
    """
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return _UNSTORABLE.sub(REPLACEMENT, cut)


def shown(text: str) -> str:
    """Give text as an error message shows it: short, with what is not printable escaped."""
    short = clean_text(text, _SHOWN_CHARACTERS)
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in short)


def decode(cell: bytes | str | None) -> str | None:
    """Give a cell's text, with U+FFFD where its bytes are not UTF-8."""
    return cell.decode("utf-8", "replace") if isinstance(cell, bytes) else cell


def _as_text(field: Field, value: object) -> str:
    match value:
        case None:
            return ""
        case str():
            return value
        case bool():
            raise RuleBroken(format_rule(field))
        case int() if field.kind in (Kind.TEXT, Kind.INTEGER, Kind.NUMBER):
            if value.bit_length() > _MOST_BITS:
                raise RuleBroken(limit_rule(field))
            return str(value)
        case float() if field.kind in (Kind.INTEGER, Kind.NUMBER):
            return repr(value)
        case date() if field.kind is Kind.TIMESTAMP:
            return value.isoformat()
        case _:
            raise RuleBroken(format_rule(field))


def _read_text(field: Field, text: str) -> str:
    if field.max_length is not None and len(text) > field.max_length:
        raise RuleBroken(limit_rule(field))
    if not text.isprintable():
        raise RuleBroken(format_rule(field))
    return text


def _read_category(field: Field, text: str) -> str:
    for choice in field.choices:
        if choice.lower() == text.lower():
            return choice
    raise RuleBroken(format_rule(field))


def _read_number(field: Field, text: str) -> float:
    if not _NUMBER.fullmatch(text):
        raise RuleBroken(format_rule(field))
    number = float(text) + 0.0  # -0.0 becomes 0.0
    if not math.isfinite(number):
        raise RuleBroken(format_rule(field))
    if not _in_range(field, number):
        raise RuleBroken(limit_rule(field))
    return number


def _in_range(field: Field, number: float) -> bool:
    """Whether a number is within the limits; an infinite one may be, where there is none."""
    return (
        (field.minimum is None or number >= field.minimum)
        and (field.above is None or number > field.above)
        and (field.maximum is None or number <= field.maximum)
    )


def _read_integer(field: Field, text: str) -> int:
    number = _read_number(field, text)
    if not number.is_integer():
        raise RuleBroken(format_rule(field))
    return int(number)


def _read_timestamp(field: Field, text: str) -> datetime:
    if not _TIMESTAMP.fullmatch(text):
        raise RuleBroken(NOT_ISO)
    try:
        moment = datetime.fromisoformat(text.upper())
    except ValueError:
        raise RuleBroken(NOT_ISO) from None
    offset = moment.utcoffset()
    try:
        moment = moment.replace(tzinfo=UTC) - offset if offset else moment.replace(tzinfo=UTC)
    except OverflowError:
        raise RuleBroken(limit_rule(field)) from None
    if not FIRST_INSTANT <= moment < END_OF_TIME:
        raise RuleBroken(limit_rule(field))
    return moment


def _range_rule(field: Field) -> str:
    if field.minimum is not None and field.maximum is not None:
        return f"must be between {field.minimum:,.15g} and {field.maximum:,.15g}"
    limits = (("at least", field.minimum), ("above", field.above), ("at most", field.maximum))
    return "must be " + " and ".join(
        f"{words} {limit:,.15g}" for words, limit in limits if limit is not None
    )


_READERS: Final[Mapping[Kind, Callable[[Field, str], Value]]] = {
    Kind.TEXT: _read_text,
    Kind.CATEGORY: _read_category,
    Kind.INTEGER: _read_integer,
    Kind.NUMBER: _read_number,
    Kind.TIMESTAMP: _read_timestamp,
}
