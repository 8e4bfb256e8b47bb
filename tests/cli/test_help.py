"""Every command explains itself."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from fulfillment_assets.cli import app
from tests.cli.commands import Fulfillment


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The path of every command and group below one."""
    yield path
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, (*path, name))


ALL = list(commands(typer.main.get_command(app)))


def test_the_commands_are_these() -> None:
    assert {" ".join(path) for path in ALL} == {
        "",
        "up",
        "demo",
        "score",
        "simulate",
        "train",
        "model",
        "model list",
        "model show",
        "model promote",
        "model rollback",
        "model register",
        "model export",
        "model holdout",
        "db",
        "db start",
        "db stop",
        "db status",
        "db upgrade",
        "stream",
        "stream status",
        "stream replay",
        "stream skip",
        "stream dlq",
        "stream dlq list",
        "stream dlq retry",
        "kpis",
        "kpis rebuild",
        "kpis show",
        "knowledge",
        "knowledge ingest",
        "knowledge search",
        "knowledge list",
        "knowledge retire",
        "knowledge reindex",
        "knowledge eval",
        "deviations",
        "deviations list",
        "deviations show",
        "agents",
        "agents run",
        "agents show",
        "agents approvals",
        "agents approve",
        "agents reject",
        "agents tickets",
        "agents close",
        "agents opt-out",
        "settings",
        "settings list",
        "settings get",
        "settings set",
        "settings history",
        "keys",
        "keys create",
        "keys list",
        "keys revoke",
        "bench",
        "bench api",
        "bench batch",
        "bench contract",
        "bench kpi",
        "bench live",
        "bench model",
        "bench startup",
        "bench stream",
        "bench upload",
    }


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_help_tells_what_a_command_does(path: tuple[str, ...], fulfillment: Fulfillment) -> None:
    outcome = fulfillment(*path, "--help")
    assert outcome.status == 0
    usage, _, described = outcome.out.strip().partition("\n")
    assert usage.strip().startswith(" ".join(("Usage: fulfillment", *path)))
    assert described.strip()
    assert outcome.err == ""


def test_an_unknown_command_is_named(fulfillment: Fulfillment) -> None:
    outcome = fulfillment("scor")
    assert outcome.status == 2
    assert "No such command 'scor'" in outcome.err


def test_the_installed_script_is_this_command() -> None:
    script = Path(sys.executable).with_name("fulfillment")
    done = subprocess.run([script, "--help"], capture_output=True, text=True, check=True)
    assert "simulate" in done.stdout
