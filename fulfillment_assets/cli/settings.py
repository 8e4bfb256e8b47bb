"""Commands about the settings that change while the platform runs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table
from sqlalchemy.engine import Engine

from fulfillment_assets.cli.opened import opened
from fulfillment_assets.cli.text import Json, print_json, results
from fulfillment_assets.cli.user import user_name
from fulfillment_assets.settings import Settings
from fulfillment_assets.store import settings_table
from fulfillment_assets.store.setting_specs import spec_of
from fulfillment_assets.store.settings_table import Setting, SettingChange

app = typer.Typer(
    no_args_is_help=True,
    help="Thresholds and targets; the next batch goes by a change.",
)

Name = Annotated[str, typer.Argument(help="As `fulfillment settings list` shows it.")]


@app.command("list")
def list_settings(as_json: Json = False) -> None:
    """List all settings with their values."""
    with _engine() as engine, engine.connect() as connection:
        found = settings_table.list_settings(connection)
    if as_json:
        print_json({"settings": [_summary(setting) for setting in found]})
    else:
        results.print(_table(found))


@app.command()
def get(name: Name, as_json: Json = False) -> None:
    """Show one setting: its value, what it may be, and who changed it last."""
    spec_of(name)
    with _engine() as engine, engine.connect() as connection:
        found = settings_table.find_setting(connection, name)
    if as_json:
        print_json(_summary(found))
        return
    results.print(f"{name} = {_shown(found.value)}", markup=False)
    results.print(f"{found.spec.description} It is {found.spec.rule}.", soft_wrap=True)
    results.print(
        f"Default {_shown(found.spec.default)}; set by {found.updated_by} at "
        f"{found.updated_at:%Y-%m-%d %H:%M:%S} UTC.",
        markup=False,
        soft_wrap=True,
    )


@app.command("set")
def set_value(
    name: Name,
    value: Annotated[str, typer.Argument(help="The new value.")],
    by: Annotated[
        str | None, typer.Option(metavar="WHO", help="Who changes it; unset: the user's name.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Change a setting; old value, new value and who are kept."""
    who = by if by is not None else user_name() or ""
    spec_of(name).checked(value)
    with _engine() as engine, engine.begin() as connection:
        change = settings_table.change_setting(connection, name, value, changed_by=who)
    if as_json:
        print_json(_line(change))
        return
    before, after = _shown(change.old_value), _shown(change.new_value)
    told = f"{name} is {after}, as it was" if before == after else f"{name}: {before} -> {after}"
    results.print(f"{told}; the next batch goes by it.", markup=False, soft_wrap=True)


@app.command()
def history(
    name: Annotated[str | None, typer.Argument(help="Unset: all settings.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many changes.")] = 100,
    as_json: Json = False,
) -> None:
    """List who changed what and when, the latest change first."""
    if name is not None:
        spec_of(name)
    with _engine() as engine, engine.connect() as connection:
        changes = settings_table.setting_history(connection, name, limit=limit)
    if as_json:
        print_json({"changes": [_line(change) for change in changes]})
        return
    table = Table(title="Changes, the latest first", title_justify="left")
    for heading in ("when (UTC)", "setting", "from", "to", "by"):
        table.add_column(heading)
    for change in changes:
        table.add_row(
            f"{change.changed_at:%Y-%m-%d %H:%M:%S}",
            change.name,
            _shown(change.old_value) if change.old_value is not None else "-",
            _shown(change.new_value),
            escape(change.changed_by),
        )
    results.print(table)


def _summary(setting: Setting) -> dict[str, Any]:
    spec = setting.spec
    return {
        "name": spec.name,
        "value": setting.value,
        "default": spec.default,
        "kind": spec.kind.value,
        "rule": spec.rule,
        "description": spec.description,
        "by_hand": spec.by_hand,
        "updated_at": setting.updated_at.isoformat(),
        "updated_by": setting.updated_by,
    }


def _line(change: SettingChange) -> dict[str, Any]:
    return {
        "name": change.name,
        "old_value": change.old_value,
        "new_value": change.new_value,
        "changed_at": change.changed_at.isoformat(),
        "changed_by": change.changed_by,
    }


def _table(found: Sequence[Setting]) -> Table:
    table = Table(title="Settings", title_justify="left")
    table.add_column("setting", no_wrap=True)
    table.add_column("value", no_wrap=True)
    table.add_column("default", no_wrap=True)
    table.add_column("meaning", overflow="fold")
    for setting in found:
        value, default = _shown(setting.value), _shown(setting.spec.default)
        table.add_row(
            setting.spec.name,
            value if value == default else f"[bold]{escape(value)}[/]",
            default,
            setting.spec.description,
        )
    return table


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


@contextmanager
def _engine() -> Iterator[Engine]:
    with opened(Settings()) as engine:
        yield engine
