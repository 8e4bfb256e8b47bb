"""Lists as CSV: the whole list, written while it is read."""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, Literal, TypeVar

from fastapi import Depends, Header, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from fulfillment_api.pagination import Slice
from fulfillment_api.routing import example, page_example
from fulfillment_assets.orders.formulas import neutralise

T = TypeVar("T", bound=BaseModel)
K = TypeVar("K")

MEDIA_TYPE: Final = "text/csv"
ROWS_AT_ONCE: Final = 2_000


def page_or_csv(item: Mapping[str, Any]) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that gives CSV, too, and whose items look like `item`."""
    found = example(page_example(item), "A page as JSON, or the whole list as CSV.")
    found[200]["content"][MEDIA_TYPE] = {"schema": {"type": "string"}}
    return found


async def _wants_csv(
    format: Annotated[
        Literal["json", "csv"] | None,
        Query(description="`csv` gives the whole list as CSV; so does `Accept: text/csv`."),
    ] = None,
    accept: Annotated[str, Header(include_in_schema=False)] = "",
) -> bool:
    return format == "csv" or (format is None and MEDIA_TYPE in accept.lower())


WantsCsv = Annotated[bool, Depends(_wants_csv)]
"""Whether the client asks for CSV."""


def every(read: Callable[[K | None], Slice[T, K]]) -> Iterator[T]:
    """All items of a list, slice by slice: no connection is held in between."""
    after: K | None = None
    while True:
        found = read(after)
        yield from found.items
        if found.last is None:
            return
        after = found.last


def csv_response(filename: str, model: type[T], items: Iterator[T]) -> StreamingResponse:
    """Items as a CSV download; nested values are JSON, and formulas are neutralised.

    The first rows are read before the response begins, so that an error is told as one.
    """
    chunks = _chunks(list(model.model_fields), items)
    started = itertools.chain([next(chunks)], chunks)
    return StreamingResponse(
        started,
        media_type=f"{MEDIA_TYPE}; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{filename}"'},
    )


def _chunks(columns: Sequence[str], items: Iterator[T]) -> Iterator[str]:
    header: list[list[str]] = [list(columns)]
    rows = ([_cell(value) for value in _values(item)] for item in items)
    lines = itertools.chain(header, rows)
    while some := list(itertools.islice(lines, ROWS_AT_ONCE)):
        text = io.StringIO()
        csv.writer(text).writerows(some)
        yield text.getvalue()


def _values(item: BaseModel) -> list[Any]:
    return list(item.model_dump(mode="json").values())


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return neutralise(value) if isinstance(value, str) else str(value)
