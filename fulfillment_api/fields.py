"""Types of parameters: what PostgreSQL could not hold or no clock could show is refused."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Annotated, Final

from fastapi import Path, Query
from pydantic import AfterValidator, StringConstraints

_FIRST_YEAR: Final = 1970
_LAST_YEAR: Final = 2100


def _utc(moment: dt.datetime) -> dt.datetime:
    if not _FIRST_YEAR < moment.year < _LAST_YEAR:
        raise ValueError(f"must lie in the years {_FIRST_YEAR + 1} to {_LAST_YEAR - 1}")
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=dt.UTC)
    return aware.astimezone(dt.UTC)


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must hold printable characters only")
    return text


def _meaningful(text: str) -> str:
    if not text.strip() or "\0" in text:
        raise ValueError("must hold something to read, and no NUL character")
    return text


Moment = Annotated[dt.datetime, AfterValidator(_utc)]
"""A moment in ISO 8601; in UTC where it names no zone."""

Text = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_printable)]
"""A short text."""

Question = Annotated[
    str, StringConstraints(min_length=1, max_length=2_000), AfterValidator(_meaningful)
]
"""A longer text, of several lines maybe."""

OrderId = Annotated[
    str,
    StringConstraints(min_length=1, max_length=64),
    AfterValidator(_printable),
    Path(description="The order.", examples=["ORD-000017"]),
]

DeviationId = Annotated[uuid.UUID, Path(description="The deviation.")]

ApprovalId = Annotated[uuid.UUID, Path(description="The request for approval.")]

DocumentId = Annotated[uuid.UUID, Path(description="The document.")]

BatchId = Annotated[uuid.UUID, Path(description="The batch job, as the upload told it.")]

Since = Annotated[
    Moment | None, Query(description="Only from this moment on.", examples=["2026-03-01T00:00:00Z"])
]

Until = Annotated[
    Moment | None, Query(description="Only before it.", examples=["2026-04-01T00:00:00Z"])
]
