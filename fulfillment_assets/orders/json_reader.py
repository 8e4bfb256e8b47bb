"""Reading orders that come as JSON objects, many at a time.

Objects with the same keys are judged together, as columns. An object that stands alone with its
keys, or holds a value of an unusual type, is judged by the model. Both have the same rules.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NoReturn

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ValidationError

from fulfillment_assets.orders.cells import row_mask
from fulfillment_assets.orders.contract import BY_NAME, Kind
from fulfillment_assets.orders.extra import extra_text
from fulfillment_assets.orders.headers import (
    MAX_HEADER_CHARACTERS,
    DuplicateHeadersError,
    Header,
    read_headers,
)
from fulfillment_assets.orders.model import EnrichedOrder
from fulfillment_assets.orders.rules import NOT_UTF8, RuleBroken, Value, clean_text
from fulfillment_assets.orders.schema import ORDER_SCHEMA
from fulfillment_assets.orders.validation import (
    HEADER_KEY,
    FieldError,
    OrderBatch,
    RejectedRow,
    raw_text,
    validate_batch,
)

JsonObject = Mapping[str, object]

WHOLE: Final = "value"
"""Names the JSON text as a whole where a field of the contract would be named."""

_FEWEST_TOGETHER: Final = 24
"""Fewer objects with the same keys are judged faster one by one."""

_MOST_COLUMNS: Final = 256
_TEXT: Final[frozenset[type]] = frozenset({str, type(None)})
_PLAIN_TYPES: Final[Mapping[Kind, frozenset[type]]] = {
    Kind.TEXT: _TEXT | {int},
    Kind.CATEGORY: _TEXT,
    Kind.TIMESTAMP: _TEXT,
    Kind.INTEGER: _TEXT | {int, float},
    Kind.NUMBER: _TEXT | {int, float},
}
_ANY: Final[frozenset[type]] = frozenset()
"""Stands for the types of an unknown key's values."""

_TYPE_NAMES: Final = {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}


def parse_object(text: bytes) -> dict[str, object]:
    """Read one JSON object (RFC 8259) in UTF-8; its keys may not repeat.

    Raises:
        RuleBroken: it is something else; the message says what.
    """
    try:
        found = _DECODE(text.decode())
    except UnicodeDecodeError:
        raise RuleBroken(NOT_UTF8) from None
    except json.JSONDecodeError as error:
        problem = f"{error.msg} at character {error.pos + 1}"
        raise RuleBroken(f"must be a JSON object: {problem}") from None
    except RecursionError:
        raise RuleBroken("must be a JSON object that is not nested too deeply") from None
    except RuleBroken:
        raise
    except ValueError:  # an integer of more digits than Python converts
        raise RuleBroken("must be a JSON object without endless numbers") from None
    if not isinstance(found, dict):
        raise RuleBroken(f"must be a JSON object, not {_TYPE_NAMES.get(type(found), 'a number')}")
    return found


def validate_objects(
    objects: Sequence[JsonObject], row_numbers: npt.NDArray[np.int64]
) -> OrderBatch:
    """Hold decoded JSON objects against the order contract.

    Args:
        objects: n orders; keys may be any accepted header.
        row_numbers: number of each order, ascending.
    """
    batches = []
    alone: list[int] = []
    for keys, rows in _by_keys(objects).items():
        if len(rows) < _FEWEST_TOGETHER or len(keys) > _MOST_COLUMNS:
            alone += rows
            continue
        try:
            headers = read_headers(keys)
        except DuplicateHeadersError:
            alone += rows
            continue
        table, odd = _table(objects, rows, headers)
        alone += odd
        together = np.setdiff1d(rows, odd)
        batches.append(validate_batch(table, pa.array(row_numbers[together])))
    batches.append(_judged_alone(objects, sorted(alone), row_numbers))
    return _merged(batches)


def raw_cells(order: JsonObject) -> dict[str, str | None]:
    """The members of an object as a rejected row keeps them."""
    return {
        clean_text(key.strip(), MAX_HEADER_CHARACTERS): _raw_value(value)
        for key, value in order.items()
    }


class _OddValueError(TypeError):
    """A column holds a value of a type that its field does not usually have."""


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        counts = Counter(key for key, _ in pairs)
        twice = next(key for key, count in counts.items() if count > 1)
        quoted = json.dumps(clean_text(twice, MAX_HEADER_CHARACTERS), ensure_ascii=False)
        raise RuleBroken(f"must be a JSON object that has each key once; {quoted} repeats")
    return found


def _no_number(constant: str) -> NoReturn:
    raise RuleBroken(f"must be a JSON object: {constant} is not a number in JSON")


_DECODE: Final = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_number).decode


def _by_keys(objects: Sequence[JsonObject]) -> dict[tuple[str, ...], list[int]]:
    found: dict[tuple[str, ...], list[int]] = {}
    for row, order in enumerate(objects):
        found.setdefault(tuple(order), []).append(row)
    return found


def _table(
    objects: Sequence[JsonObject], rows: Sequence[int], headers: Sequence[Header]
) -> tuple[pa.Table, list[int]]:
    """Objects with the same keys as a table of texts, but for those that hold an odd value.

    Returns:
        The table, and the rows of the others.
    """
    columns = zip(*(objects[row].values() for row in rows), strict=True)
    cells: dict[Header, pa.Array] = {}
    odd: set[int] = set()
    for header, values in zip(headers, columns, strict=True):
        if not header.ignored:
            places, cells[header] = _cells(values, header.name)
            odd.update(places)
    fields = [
        pa.field(header.name or header.text, pa.string(), metadata={HEADER_KEY: header.text})
        for header in cells
    ]
    table = pa.table(list(cells.values()), schema=pa.schema(fields))
    places = sorted(odd)
    if places:
        table = table.filter(pc.invert(row_mask(np.array(places, np.intp), len(rows))))
    return table, [rows[place] for place in places]


def _cells(values: Sequence[object], name: str | None) -> tuple[list[int], pa.Array]:
    """A column as texts, and the places of its odd values, which are null there."""
    usual = _ANY if name is None else _PLAIN_TYPES[BY_NAME[name].kind]
    try:
        return [], _texts(values, usual)
    except _OddValueError:
        odd = [place for place, value in enumerate(values) if type(value) not in usual]
    except (OverflowError, UnicodeEncodeError):
        odd = [place for place, value in enumerate(values) if not _fits(value, usual)]
    rest = list(values)
    for place in odd:
        rest[place] = None
    more, texts = _cells(rest, name)
    return odd + more, texts


def _texts(values: Sequence[object], usual: frozenset[type]) -> pa.Array:
    """Values of usual types as texts.

    Raises:
        _OddValueError: one has another type.
        OverflowError: an integer has more than 64 bits.
        UnicodeEncodeError: a text has a lone surrogate.
    """
    types = set(map(type, values))
    if usual is not _ANY and not types <= usual:
        raise _OddValueError
    if int in types and usual is not _ANY:
        integers = pa.array([v for v in values if type(v) is int], pa.int64())
        if types == {int}:
            return integers.cast(pa.string())
    if not types <= _TEXT:
        as_text = extra_text if usual is _ANY else _number_text
        values = [v if isinstance(v, str) else as_text(v) for v in values]
    return pa.array(values, pa.string())


def _fits(value: object, usual: frozenset[type]) -> bool:
    try:
        _texts((value,), usual)
    except (OverflowError, UnicodeEncodeError):
        return False
    return True


def _number_text(value: object) -> str | None:
    return None if value is None else str(value)


def _judged_alone(
    objects: Sequence[JsonObject], rows: Iterable[int], row_numbers: npt.NDArray[np.int64]
) -> OrderBatch:
    accepted: list[dict[str, Value]] = []
    rejected = []
    for row in rows:
        number = int(row_numbers[row])
        try:
            order = EnrichedOrder.model_validate(objects[row])
        except ValidationError as failure:
            rejected.append(RejectedRow(number, raw_cells(objects[row]), _errors(failure)))
        else:
            accepted.append({"row_number": number, **order.record()})
    table = pa.Table.from_pylist(accepted, schema=ORDER_SCHEMA)
    return OrderBatch(table, tuple(rejected), len(accepted) + len(rejected))


def _errors(failure: ValidationError) -> tuple[FieldError, ...]:
    return tuple(
        FieldError(str(error["loc"][0]), _raw_value(error["input"]), error["msg"])
        if error["loc"]
        else FieldError(WHOLE, None, f"is ambiguous: {error['msg']}")
        for error in failure.errors()
    )


def _raw_value(value: object) -> str | None:
    return raw_text(value if isinstance(value, str) else extra_text(value))


def _merged(batches: Sequence[OrderBatch]) -> OrderBatch:
    filled = [batch for batch in batches if batch.received] or list(batches)
    if len(filled) == 1:
        return filled[0]
    rejected = sorted(
        (row for batch in filled for row in batch.rejected), key=lambda row: row.row_number
    )
    orders: Any = pa.concat_tables([batch.orders for batch in filled]).sort_by("row_number")
    return OrderBatch(orders, tuple(rejected), sum(batch.received for batch in filled))
