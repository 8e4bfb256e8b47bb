"""The code location as a whole: what it defines, and that it loads fast and valid."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fulfillment_assets.settings import PROJECT_ROOT
from tests.defs.definitions_snapshot import PATH, snapshot

DEFINED = snapshot()
HEAVY = ("lightgbm", "sklearn", "scipy", "pandas", "sqlalchemy", "pyarrow")


def test_the_definitions_are_those_of_the_committed_snapshot() -> None:
    assert json.loads(PATH.read_text()) == DEFINED, (
        "the asset graph changed: if that is meant, run "
        "`python -m tests.defs.definitions_snapshot` and commit tests/defs/definitions.json"
    )


@pytest.mark.parametrize("name", DEFINED["assets"])
def test_every_asset_explains_itself_in_the_ui(name: str) -> None:
    asset: dict[str, Any] = DEFINED["assets"][name]
    assert len(asset["description"]) > 80
    assert asset["group"] in ("orders", "delay_model", "monitoring", "agents")
    assert asset["owners"]
    assert asset["kinds"]


@pytest.mark.parametrize("part", ["checks", "jobs"])
def test_every_check_and_job_has_a_description(part: str) -> None:
    assert all(one["description"] for one in DEFINED[part].values())


def test_sensors_and_schedules_run_from_the_start() -> None:
    automations = {**DEFINED["sensors"], **DEFINED["schedules"]}
    assert automations
    assert {one["default_status"] for one in automations.values()} == {"RUNNING"}


def test_loading_the_code_location_imports_nothing_heavy() -> None:
    code = (
        "import sys, fulfillment_assets.definitions; "
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_dagster_itself_finds_the_project_valid(variables: dict[str, str], tmp_path: Path) -> None:
    for name in ("dagster.yaml", "workspace.yaml"):  # a copy: Dagster obeys a `.env` in the root
        shutil.copy(PROJECT_ROOT / name, tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "dagster", "definitions", "validate"],
        cwd=tmp_path,
        env={**os.environ, **variables, "DAGSTER_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Validation successful for code location fulfillment_assets" in done.stdout
