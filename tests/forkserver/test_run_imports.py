"""What is imported before runs start leaves a process that can be forked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

from fulfillment_assets.forkserver.client import SINGLE_THREADED
from fulfillment_assets.forkserver.run_imports import PACKAGE, run_imports
from fulfillment_assets.settings import PROJECT_ROOT

IMPORT = """
import importlib, json, sys
import psutil
for name in sys.argv[1:]:
    importlib.import_module(name)
process = psutil.Process()
print(json.dumps({
    "threads": process.num_threads(),
    "connections": len(process.net_connections()),
    "files": [file.path for file in process.open_files()],
    "children": len(process.children()),
    "modules": sorted(sys.modules),
}))
"""


@pytest.fixture(scope="module")
def imported() -> dict[str, object]:
    """A process that has imported everything, in the environment of the forkserver."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORT, *run_imports(), "fulfillment_assets.definitions"],
        cwd=PROJECT_ROOT,
        env={**os.environ, **SINGLE_THREADED},
        stdout=subprocess.PIPE,
        check=True,
    )
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_the_imports_start_no_thread_and_open_nothing(imported: dict[str, object]) -> None:
    assert imported["threads"] == 1
    assert imported["connections"] == 0
    assert imported["files"] == []
    assert imported["children"] == 0


def test_no_migration_and_no_command_is_imported(imported: dict[str, object]) -> None:
    modules = imported["modules"]
    assert isinstance(modules, list)
    for absent in (f"{PACKAGE}.store.migrations", f"{PACKAGE}.cli", "typer"):
        assert [name for name in modules if name.startswith(absent)] == []


def test_each_of_them_is_there() -> None:
    assert [name for name in run_imports() if find_spec(name) is None] == []
