"""The `fulfillment` command, in this process or in one of its own, on a database of the test."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fulfillment_assets import cli
from fulfillment_assets.local.platform import environment
from fulfillment_assets.settings import PROJECT_ROOT
from tests.cli.commands import MAIN, Fulfillment, Outcome, bare_environment
from tests.scoring.fixtures import dagster_storage, scorer, workplace
from tests.scoring.workplace import Workplace

__all__ = ["dagster_storage", "scorer", "workplace"]


@pytest.fixture
def fulfillment(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Fulfillment:
    """Runs a command in this process."""

    def run(*arguments: str | int | Path) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["fulfillment", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capfd.readouterr()
        return Outcome(int(ended.value.code or 0), printed.out, printed.err)

    return run


@pytest.fixture
def start_fulfillment() -> Fulfillment:
    """Runs a command in a process of its own, in an environment that is given."""

    def run(
        *arguments: str | int | Path, environment: dict[str, str], root: Path = PROJECT_ROOT
    ) -> Outcome:
        done = subprocess.run(
            [sys.executable, "-c", MAIN, *map(str, arguments)],
            cwd=root,
            env={**bare_environment(), "PYTHONPATH": str(root), **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def on_workplace(
    workplace: Workplace, dagster_storage: str, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """Lets commands of this process use the test's database and folders; gives the variables."""
    url = workplace.engine.url.render_as_string(hide_password=False)
    variables = environment(workplace.settings, url) | {"DAGSTER_POSTGRES_URL": dagster_storage}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables
