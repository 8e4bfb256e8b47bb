"""The table `api_keys`: who may use the API. A key is shown once and kept as a hash only."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import re
import secrets
import uuid
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from fulfillment_api.roles import Role

_COLUMNS: Final = "id, name, role, prefix, hash, created_at, last_used_at, revoked_at"
_FORM: Final = re.compile(r"(ffk_[0-9a-f]{12})_[A-Za-z0-9_-]{43}")
_MAX_NAME: Final = 100

USED_EVERY: Final = dt.timedelta(minutes=1)
"""`last_used_at` is not written more often."""


class ApiKeyError(ValueError):
    """A key cannot be made or revoked as asked; the text is for the user."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key, without its secret.

    Attributes:
        prefix: how it begins, by which it is found.
        hash: SHA-256 of the whole key.
    """

    id: uuid.UUID
    name: str
    role: Role
    prefix: str
    hash: bytes
    created_at: dt.datetime
    last_used_at: dt.datetime | None
    revoked_at: dt.datetime | None

    def is_that_of(self, token: str) -> bool:
        """Whether a whole key is this one and not revoked; takes as long if it is not."""
        same = hmac.compare_digest(self.hash, _hash(token))
        return same and self.revoked_at is None


def create_key(connection: Connection, *, name: str, role: Role) -> tuple[ApiKey, str]:
    """Make a key; the second is the key itself, which nobody can read again.

    Raises:
        ApiKeyError: the name is empty or too long.
    """
    if not name.strip() or len(name) > _MAX_NAME or not name.isprintable():
        raise ApiKeyError(f"the name of a key has 1 to {_MAX_NAME} printable characters")
    prefix = f"ffk_{secrets.token_hex(6)}"
    token = f"{prefix}_{secrets.token_urlsafe(32)}"
    row = connection.execute(
        sa.text(
            "INSERT INTO api_keys (name, role, prefix, hash) VALUES (:name, :role, :prefix, :hash) "
            f"RETURNING {_COLUMNS}"
        ),
        {"name": name.strip(), "role": role.value, "prefix": prefix, "hash": _hash(token)},
    ).one()
    return _key(row), token


def list_keys(connection: Connection) -> list[ApiKey]:
    """Every key, revoked ones too, the newest first."""
    rows = connection.execute(sa.text(f"SELECT {_COLUMNS} FROM api_keys ORDER BY id DESC"))
    return [_key(row) for row in rows]


def revoke_key(connection: Connection, key_id: uuid.UUID) -> ApiKey:
    """Revoke a key for good; of one that is revoked already nothing changes.

    Raises:
        ApiKeyError: there is none with that id.
    """
    row = connection.execute(
        sa.text(
            "UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE id = :id "
            f"RETURNING {_COLUMNS}"
        ),
        {"id": key_id},
    ).one_or_none()
    if row is None:
        raise ApiKeyError(f"there is no key {key_id}; `fulfillment keys list` shows them")
    return _key(row)


def any_key(connection: Connection, *, valid: bool = False) -> bool:
    """Whether a key was ever made; with `valid`, whether there is one that is not revoked."""
    condition = "revoked_at IS NULL" if valid else "true"
    found = connection.scalar(sa.text(f"SELECT EXISTS (SELECT FROM api_keys WHERE {condition})"))
    return bool(found)


def use_key(connection: Connection, prefix: str) -> ApiKey | None:
    """The key that begins like that, noting that it is used; None if there is none."""
    row = connection.execute(
        sa.text(f"SELECT {_COLUMNS}, now() AS moment FROM api_keys WHERE prefix = :prefix"),
        {"prefix": prefix},
    ).one_or_none()
    if row is None:
        return None
    if row.last_used_at is None or row.moment - row.last_used_at > USED_EVERY:
        connection.execute(
            sa.text("UPDATE api_keys SET last_used_at = now() WHERE id = :id"), {"id": row.id}
        )
    return _key(row)


def key_with_id(connection: Connection, key_id: uuid.UUID) -> ApiKey | None:
    """The key with an id; None if there is none."""
    row = connection.execute(
        sa.text(f"SELECT {_COLUMNS} FROM api_keys WHERE id = :id"), {"id": key_id}
    ).one_or_none()
    return None if row is None else _key(row)


def prefix_of(token: str) -> str | None:
    """The prefix of a well-formed key; None of any other text."""
    found = _FORM.fullmatch(token)
    return None if found is None else found[1]


def _hash(token: str) -> bytes:
    """A plain hash will do: the key holds 256 random bits, which nobody can try out."""
    return hashlib.sha256(token.encode()).digest()


def _key(row: sa.Row[tuple[object, ...]]) -> ApiKey:
    values = {name: row._mapping[name] for name in ApiKey.__slots__}
    return ApiKey(**values | {"role": Role(row.role), "hash": bytes(row.hash)})
