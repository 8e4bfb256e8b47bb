"""Finds out who asks: keys are read from the database, and remembered for a few seconds."""

from __future__ import annotations

import time
import uuid
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from anyio.to_thread import run_sync

from fulfillment_api.database import Database
from fulfillment_api.errors import UnauthenticatedError
from fulfillment_api.roles import Role
from fulfillment_api.security import tickets
from fulfillment_api.security.keys import ApiKey, any_key, key_with_id, prefix_of, use_key

REMEMBERED_SECONDS: Final = 5.0
"""So long a revoked key may still be taken."""

_MOST: Final = 1_000
_NO_KEY: Final = (
    "Send an API key: `Authorization: Bearer KEY` or `X-API-Key: KEY`. "
    "`fulfillment keys create` makes one."
)
_WRONG: Final = "The API key is unknown or revoked; `fulfillment keys list` shows those there are."
_WRONG_TICKET: Final = (
    "The ticket is unknown or has expired: get a new one with `POST /live/ticket`."
)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks.

    Attributes:
        key_id: of the key; None on loopback while there are no keys.
        name: of the key.
    """

    key_id: uuid.UUID | None
    name: str
    role: Role


LOCAL: Final = Principal(None, "local", Role.ADMIN)
"""Whoever uses this machine, before the first key was made."""


class KeyRing:
    """The keys of a database, as far as they were asked for; used by the event loop's thread.

    Args:
        database: where the keys are.
        clock: seconds; monotonic.
    """

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._found: OrderedDict[str, tuple[ApiKey | None, float]] = OrderedDict()
        self._keys_exist: tuple[bool, float] = (False, float("-inf"))

    async def is_open(self) -> bool:
        """Whether no key was ever made."""
        exist, checked = self._keys_exist
        if not exist and self._clock() - checked > REMEMBERED_SECONDS:
            exist = await run_sync(self._look)
            self._keys_exist = (exist, self._clock())
        return not exist

    async def principal(self, token: str | None) -> Principal:
        """Who has this key.

        Raises:
            UnauthenticatedError: there is no key, or it is unknown or revoked.
            sqlalchemy.exc.SQLAlchemyError: the database does not answer.
        """
        if token is None:
            raise UnauthenticatedError(_NO_KEY)
        prefix = prefix_of(token)
        key = None if prefix is None else await self._key(prefix)
        if key is None or not key.is_that_of(token):
            raise UnauthenticatedError(_WRONG)
        return Principal(key.id, key.name, key.role)

    async def ticket(self, key_id: uuid.UUID) -> tuple[str, int]:
        """Make a ticket for who has a key; the second is when it expires, in Unix time.

        Raises:
            UnauthenticatedError: the key is gone.
        """
        key = await run_sync(self._with_id, key_id)
        if key is None:
            raise UnauthenticatedError(_WRONG)
        expires = int(time.time()) + tickets.SECONDS
        return tickets.make_ticket(key, expires), expires

    async def holder_of(self, ticket: str) -> Principal:
        """Who has this ticket.

        Raises:
            UnauthenticatedError: it is none, or has expired, or its key is revoked.
            sqlalchemy.exc.SQLAlchemyError: the database does not answer.
        """
        found = tickets.Ticket.parse(ticket)
        key = None if found is None else await run_sync(self._with_id, found.key_id)
        if found is None or key is None or not found.is_good(key, time.time()):
            raise UnauthenticatedError(_WRONG_TICKET)
        return Principal(key.id, key.name, key.role)

    async def _key(self, prefix: str) -> ApiKey | None:
        known = self._found.get(prefix)
        if known is not None and self._clock() - known[1] <= REMEMBERED_SECONDS:
            return known[0]
        key = await run_sync(self._use, prefix)
        self._found[prefix] = (key, self._clock())
        self._found.move_to_end(prefix)
        if len(self._found) > _MOST:
            self._found.popitem(last=False)
        return key

    def _look(self) -> bool:
        with self._database.read() as connection:
            return any_key(connection)

    def _with_id(self, key_id: uuid.UUID) -> ApiKey | None:
        with self._database.read() as connection:
            return key_with_id(connection, key_id)

    def _use(self, prefix: str) -> ApiKey | None:
        with self._database.read() as connection:
            return use_key(connection, prefix)
