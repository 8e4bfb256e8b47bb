"""`fulfillment db`: the embedded server for work by hand, and the schema."""

from __future__ import annotations

import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa

from fulfillment_assets.local.ports import any_port
from fulfillment_assets.local.postgres import EmbeddedPostgres
from fulfillment_assets.settings import PROJECT_ROOT
from fulfillment_assets.store import migrate
from tests.cli.commands import Fulfillment, Outcome, bare_environment
from tests.scoring.workplace import Workplace


@dataclass(frozen=True)
class Project:
    """A copy of the project, because `db start` writes a `.env` into its root."""

    root: Path
    port: int
    start_fulfillment: Fulfillment

    def db(self, command: str, **changes: str) -> Outcome:
        """Run `fulfillment db ...` in the copy."""
        environment = {
            "FULFILLMENT_DATA_DIR": str(self.root / "data"),
            "FULFILLMENT_POSTGRES_PORT": str(self.port),
        }
        return self.start_fulfillment(
            "db", command, environment=environment | changes, root=self.root
        )


@pytest.fixture
def project(start_fulfillment: Fulfillment, tmp_path: Path) -> Iterator[Project]:
    root = tmp_path / "project"
    shutil.copytree(
        PROJECT_ROOT / "fulfillment_assets",
        root / "fulfillment_assets",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    for name in ("dagster.yaml", "workspace.yaml"):
        shutil.copy(PROJECT_ROOT / name, root)
    yield Project(root, any_port(), start_fulfillment)
    EmbeddedPostgres(root / "data").stop()


def test_the_server_starts_stays_and_stops(project: Project) -> None:
    assert project.db("status").status == 1
    started = project.db("start")
    assert started.status == 0, started.err
    where = f"postgresql://fulfillment:***@127.0.0.1:{project.port}/fulfillment"
    assert f"PostgreSQL runs at {where}" in started.out
    status = project.db("status")
    assert (status.status, status.out.strip()) == (0, f"PostgreSQL runs at {where}")
    assert f"revision {migrate.head()}" in project.db("upgrade").out
    assert project.db("status").status == 0, "upgrade leaves a running server running"

    env_file = project.root / ".env"
    assert stat.S_IMODE(env_file.stat().st_mode) == 0o600
    url = dict(line.split("=", 1) for line in env_file.read_text().splitlines())["DATABASE_URL"]
    assert "predictions" in sa.inspect(sa.create_engine(url)).get_table_names("fulfillment")
    assert url.split(":")[2].split("@")[0] not in started.out, "the password is not shown"
    assert_dagster_finds_its_database(project.root)

    stopped = project.db("stop")
    assert (stopped.status, stopped.out) == (0, "PostgreSQL is stopped.\n")
    assert not env_file.exists()
    assert not EmbeddedPostgres(project.root / "data").is_running()


def assert_dagster_finds_its_database(root: Path) -> None:
    """A plain `dagster` command in the project's root takes everything from `.env`."""
    done = subprocess.run(
        [sys.executable, "-m", "dagster", "definitions", "validate"],
        cwd=root,
        env=bare_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("command", ["start", "stop", "status"])
def test_an_external_database_is_left_alone(
    command: str, fulfillment: Fulfillment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://elsewhere/orders")
    outcome = fulfillment("db", command)
    assert outcome.status == 1
    assert outcome.err == (
        "error: DATABASE_URL is set, so the embedded PostgreSQL is not used; unset it first\n"
    )


@pytest.mark.usefixtures("on_workplace")
def test_the_schema_of_an_external_database_is_upgraded(
    workplace: Workplace, fulfillment: Fulfillment
) -> None:
    workplace.engine.dispose()
    url = workplace.engine.url.render_as_string(hide_password=False)
    migrate.downgrade(url)
    outcome = fulfillment("db", "upgrade")
    assert outcome.out == f"The schema is at revision {migrate.head()}.\n"
    assert workplace.value("SELECT version_num FROM alembic_version") == migrate.head()
