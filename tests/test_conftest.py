"""What the test session itself promises."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import sqlalchemy as sa

from fulfillment_assets.settings import PROJECT_ROOT

SKIPPING = """
import pytest

def test_skipped():
    pytest.skip("no such hardware")

@pytest.mark.xfail(reason="known")
def test_expected_to_fail():
    assert False
"""

SKIPPED_MODULE = """
import pytest
pytest.skip("no such system", allow_module_level=True)
"""

WAITING = """
import time

def test_waiting(postgres):
    print("server is", postgres.log_path, flush=True)
    time.sleep(60)
"""


def start_session(directory: Path, source: str, *options: str, ci: str) -> subprocess.Popen[str]:
    """Run pytest with this project's conftest on one test file."""
    shutil.copy(PROJECT_ROOT / "tests" / "conftest.py", directory)
    (directory / "test_it.py").write_text(source)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rA", *options, directory],
        env={**kept, "CI": ci, "PYTHONPATH": str(PROJECT_ROOT), "TMPDIR": str(directory)},
        cwd=directory,
        stdout=subprocess.PIPE,
        text=True,
    )


def tables(url: str) -> set[str]:
    engine = sa.create_engine(url)
    try:
        return set(sa.inspect(engine).get_table_names("fulfillment"))
    finally:
        engine.dispose()


def test_a_database_is_migrated_and_of_one_test_alone(
    database_url: str, empty_database_url: str
) -> None:
    assert "predictions" in tables(database_url)
    assert tables(empty_database_url) == set()


@pytest.mark.parametrize("source", [SKIPPING, SKIPPED_MODULE], ids=["test", "module"])
def test_a_skip_is_a_failure_with_its_reason_where_ci_is_true(source: str, tmp_path: Path) -> None:
    session = start_session(tmp_path, source, ci="true")
    output, _ = session.communicate(timeout=60)
    assert session.returncode != 0
    assert "With CI=true no test may be skipped. Skipped: no such" in output
    assert ("1 xfailed" in output) == (source == SKIPPING)


def test_a_skip_is_a_skip_elsewhere(tmp_path: Path) -> None:
    session = start_session(tmp_path, SKIPPING, ci="")
    output, _ = session.communicate(timeout=60)
    assert session.returncode == 0
    assert "1 skipped, 1 xfailed" in output


def test_a_terminated_session_stops_its_server_and_removes_its_data(tmp_path: Path) -> None:
    session = start_session(tmp_path, WAITING, "--capture=no", ci="")
    assert session.stdout is not None
    log = next(line for line in session.stdout if "server is" in line).split()[-1]
    server = psutil.Process(int((Path(log).parent / "postmaster.pid").read_text().split()[0]))
    session.terminate()
    session.communicate(timeout=60)
    assert not server.is_running() or server.status() == psutil.STATUS_ZOMBIE
    assert list(tmp_path.glob("fulfillment-tests-*")) == []
