"""Cursor pagination: one envelope for every list, and an order that does not shift."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Generic, TypeVar

from fastapi import Depends, Query
from pydantic import BaseModel, Field

from fulfillment_api.errors import InvalidError

T = TypeVar("T")
K = TypeVar("K")

DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 500


class Pagination(BaseModel):
    """How to go on."""

    next: str | None = Field(description="The `cursor` of the next page; null on the last one.")
    limit: int = Field(description="How many items a page has at most.")


class Page(BaseModel, Generic[T]):
    """A page of a list."""

    items: list[T]
    pagination: Pagination


@dataclass(frozen=True, slots=True)
class Slice(Generic[T, K]):
    """Some items of a list, and the key of the last of them; None where no more follow."""

    items: list[T]
    last: K | None


def slice_of(found: Sequence[T], limit: int, key: Callable[[T], K]) -> Slice[T, K]:
    """The slice of up to `limit` items, of which one more was asked for."""
    items = list(found[:limit])
    return Slice(items, key(items[-1]) if len(found) > limit else None)


@dataclass(frozen=True, slots=True)
class Paging:
    """Which page is asked for."""

    limit: int
    cursor: str | None

    def after(self, listing: str, read: Callable[[str], K]) -> K | None:
        """The key after which the page begins; None for the first one.

        Args:
            listing: names the list, so that a cursor of another one is refused.
            read: makes the key of its text; a ValueError means that it is none.

        Raises:
            InvalidError: it is no cursor of this list.
        """
        if self.cursor is None:
            return None
        try:
            padded = self.cursor + "=" * (-len(self.cursor) % 4)
            name, key = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
            if name != listing or not isinstance(key, str) or not key.isprintable():
                raise ValueError(name)
            return read(key)
        except (ValueError, TypeError, binascii.Error) as error:
            rule = "take the cursor from `pagination.next` of the page before, as it is"
            raise InvalidError.of("query.cursor", rule) from error

    def page(self, listing: str, found: Slice[T, K]) -> Page[T]:
        """The envelope of a slice."""
        following = None if found.last is None else _cursor(listing, str(found.last))
        return Page(items=found.items, pagination=Pagination(next=following, limit=self.limit))


def row_id(text: str) -> int:
    """The key of a list by a bigint.

    Raises:
        ValueError: it is none.
    """
    found = int(text)
    if not 0 < found < 2**63:
        raise ValueError(text)
    return found


def _cursor(listing: str, key: str) -> str:
    packed = json.dumps([listing, key], ensure_ascii=False).encode()
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


async def _paging(
    limit: Annotated[
        int, Query(ge=1, le=MAX_LIMIT, description="How many items at most.")
    ] = DEFAULT_LIMIT,
    cursor: Annotated[
        str | None,
        Query(max_length=1_000, description="`pagination.next` of the page before."),
    ] = None,
) -> Paging:
    return Paging(limit, cursor)


Paged = Annotated[Paging, Depends(_paging)]
"""What an endpoint of a list declares."""
