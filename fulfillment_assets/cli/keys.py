"""Commands about the keys of the REST API."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table
from sqlalchemy.engine import Connection

from fulfillment_api.roles import Role
from fulfillment_api.security import keys
from fulfillment_api.security.keys import ApiKey
from fulfillment_assets.cli.text import Json, notes, print_json, results
from fulfillment_assets.local import platform
from fulfillment_assets.settings import Settings
from fulfillment_assets.store.connection import create_engine

app = typer.Typer(
    no_args_is_help=True,
    help="Keys of the REST API; once there is one, the API asks for a key.",
)


def _id(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text.strip())
    except ValueError as error:
        raise typer.BadParameter(
            f"{text!r} is no id of a key; `fulfillment keys list` shows them"
        ) from error


@app.command()
def create(
    role: Annotated[
        Role,
        typer.Option(
            help="viewer reads; operator also scores, uploads and triggers; admin also changes "
            "settings, models and documents."
        ),
    ],
    name: Annotated[str, typer.Option(help="Whose key it is, or what for.")],
    as_json: Json = False,
) -> None:
    """Make a key and print it: this once, as only its hash is kept."""
    with _connection() as connection:
        first = not keys.any_key(connection)
        key, token = keys.create_key(connection, name=name, role=role)
    if as_json:
        print_json({"key": token, **_summary(key)})
        return
    results.print(token, soft_wrap=True)
    notes.print(
        f"Keep it: nobody can show it again. It is the key of {escape(key.name)}, role "
        f"{key.role}, id {key.id}. Send it as `Authorization: Bearer KEY` or `X-API-Key: KEY`.",
        soft_wrap=True,
    )
    if first:
        notes.print("From now on the API asks for a key.")


@app.command("list")
def list_keys(as_json: Json = False) -> None:
    """List the keys, without their secrets."""
    with _connection() as connection:
        found = keys.list_keys(connection)
    if as_json:
        print_json({"keys": [_summary(key) for key in found]})
        return
    table = Table(title="API keys", title_justify="left")
    for heading in ("id", "name", "role", "made", "last used", "revoked"):
        table.add_column(heading, overflow="fold")
    for key in found:
        moments = (key.created_at, key.last_used_at, key.revoked_at)
        table.add_row(
            str(key.id),
            escape(key.name),
            key.role,
            *(f"{moment:%Y-%m-%d}" if moment else "-" for moment in moments),
        )
    results.print(table)


@app.command()
def revoke(
    key_id: Annotated[
        uuid.UUID,
        typer.Argument(parser=_id, metavar="ID", help="As `fulfillment keys list` shows it."),
    ],
    as_json: Json = False,
) -> None:
    """Revoke a key for good; the API refuses it within seconds."""
    with _connection() as connection:
        key = keys.revoke_key(connection, key_id)
    if as_json:
        print_json(_summary(key))
        return
    results.print(f"The key of {key.name} ({key.role}) is revoked.", markup=False)


def _summary(key: ApiKey) -> dict[str, Any]:
    moments = {
        "created_at": key.created_at,
        "last_used_at": key.last_used_at,
        "revoked_at": key.revoked_at,
    }
    return {
        "id": str(key.id),
        "name": key.name,
        "role": key.role.value,
        "prefix": key.prefix,
        **{name: None if at is None else at.isoformat() for name, at in moments.items()},
    }


@contextmanager
def _connection() -> Iterator[Connection]:
    with platform.database(Settings()) as url:
        engine = create_engine(url)
        try:
            with engine.begin() as connection:
                yield connection
        finally:
            engine.dispose()
