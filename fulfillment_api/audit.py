"""Changes through the API: no change without its line in `api_audit`, in one transaction."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from fulfillment_api.database import Database
from fulfillment_api.request_id import current_request_id
from fulfillment_api.security.keyring import Principal

_INSERT: Final = """
INSERT INTO api_audit (api_key_id, actor, role, action, target, details, request_id)
VALUES (:api_key_id, :actor, :role, :action, :target, CAST(:details AS jsonb), :request_id)
"""


@dataclass(frozen=True, slots=True)
class Changes:
    """Makes changes in the name of who asks."""

    database: Database
    principal: Principal

    @contextmanager
    def change(self, action: str, target: str, **details: object) -> Iterator[Connection]:
        """A transaction that holds the change and its line in the audit, or neither.

        See `record` for the arguments.
        """
        with self.database.transaction() as connection:
            yield connection
            self.record(connection, action, target, **details)

    def record(self, connection: Connection, action: str, target: str, **details: object) -> None:
        """Write the line of a change in the transaction that makes it.

        Args:
            connection: in that transaction.
            action: what is done, such as `settings.set`.
            target: to what: a name or an id.
            details: what was asked for, as far as it is no secret.
        """
        line = {
            "api_key_id": self.principal.key_id,
            "actor": self.principal.name,
            "role": self.principal.role.value,
            "action": action,
            "target": target,
            "details": json.dumps(details, default=str, allow_nan=False),
            "request_id": current_request_id(),
        }
        connection.execute(sa.text(_INSERT), line)
