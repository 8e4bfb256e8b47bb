"""Programs run in processes of their own, as the ones that use the local services are."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from fulfillment_assets.settings import PROJECT_ROOT

StartPython = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start_python() -> StartPython:
    """Starts a Python program that can import the project: `start_python(code, *arguments)`."""

    def start(
        code: str,
        *arguments: str | int | Path,
        prefix: Sequence[str] = (),
        path: Sequence[Path] = (),
        new_session: bool = False,
    ) -> subprocess.Popen[str]:
        import_path = os.pathsep.join(map(str, (*path, PROJECT_ROOT)))
        return subprocess.Popen(
            [*prefix, sys.executable, "-c", code, *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": import_path, "PYTHONDONTWRITEBYTECODE": "1"},
            cwd="/",
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=new_session,
        )

    return start


@pytest.fixture
def run_python(start_python: StartPython) -> Callable[..., str]:
    """Runs a Python program to its end and returns what it printed; it must succeed."""

    def run(
        code: str, *arguments: str | int | Path, **options: Sequence[str] | Sequence[Path]
    ) -> str:
        process = start_python(code, *arguments, **options)
        output, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        return output.strip()

    return run
