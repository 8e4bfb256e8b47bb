"""The forkserver, and the children that it forks."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from fulfillment_assets.forkserver.client import ForkServer, ForkServerError
from fulfillment_assets.settings import PROJECT_ROOT
from tests.programs import StartPython

WAIT_SECONDS = 20.0
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(PROJECT_ROOT)}


def wait_for(condition: Callable[[], Any]) -> Any:
    """The first true value of a condition."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not (value := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return value


@dataclass
class Forks:
    """A forkserver, and what became of its children."""

    folder: Path
    modules: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=lambda: dict(ENVIRONMENT))
    ended: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.server = ForkServer(
            "tests.forkserver.forked:act", self.modules, self.environment, self.ended.__setitem__
        )

    def start(self, action: str, key: str = "child") -> int:
        """Fork a child; returns its process id."""
        argument = f"{action} {self.folder / key}"
        return self.server.fork(key, argument, self.environment)

    def end_of(self, key: str = "child") -> int:
        """The status with which a child ended."""
        wait_for(lambda: key in self.ended)
        return self.ended[key]

    def text(self, key: str = "child") -> str:
        """What a child wrote."""
        path = self.folder / key
        wait_for(path.exists)
        return path.read_text()

    def report(self, key: str = "child") -> dict[str, Any]:
        """Run a child that reports, to its end."""
        self.start("report", key)
        assert self.end_of(key) == 0
        seen: dict[str, Any] = json.loads(self.text(key))
        return seen


@pytest.fixture
def forks(tmp_path: Path) -> Iterator[Forks]:
    started = Forks(tmp_path)
    yield started
    started.server.kill()


@pytest.fixture
def heavy_forks(tmp_path: Path) -> Iterator[Forks]:
    """Those with libraries that start threads when they can."""
    started = Forks(tmp_path, modules=("pyarrow.csv", "lightgbm"))
    yield started
    started.server.kill()


def test_a_child_finds_everything_imported(heavy_forks: Forks) -> None:
    seen = heavy_forks.report()
    assert seen["imported_in"] == heavy_forks.server.pid != seen["pid"]
    assert {"pyarrow.csv", "lightgbm", "sklearn"} <= set(seen["modules"])


def test_a_child_has_the_environment_of_its_request(forks: Forks) -> None:
    forks.environment = {**ENVIRONMENT, "COLOUR": "green"}
    assert forks.report("first")["environment"] == forks.environment
    forks.environment = {**ENVIRONMENT, "SHAPE": "round"}
    assert forks.report("second")["environment"] == forks.environment


def test_children_draw_different_random_numbers(forks: Forks) -> None:
    first, second = (forks.report(key)["drawn"] for key in ("first", "second"))
    assert set(first).isdisjoint(second)


def test_the_server_has_one_thread_and_no_connection_to_the_network(heavy_forks: Forks) -> None:
    heavy_forks.report()
    server = psutil.Process(heavy_forks.server.pid)
    assert server.num_threads() == 1
    assert server.net_connections() == []


def test_a_server_with_threads_is_refused(tmp_path: Path) -> None:
    (tmp_path / "busy.py").write_text(
        "import threading, time\n"
        "threading.Thread(target=time.sleep, args=[60], daemon=True).start()\n"
    )
    environment = {**ENVIRONMENT, "PYTHONPATH": f"{tmp_path}{os.pathsep}{PROJECT_ROOT}"}
    forks = Forks(tmp_path, ("busy",), environment)
    with pytest.raises(ForkServerError, match="has 2 threads after its imports"):
        forks.start("report")
    assert not forks.server.alive
    assert not psutil.pid_exists(forks.server.pid)


def test_a_module_that_cannot_be_imported_is_left_to_the_children(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    forks = Forks(tmp_path, ("no_such_module", "pyarrow"))
    assert "pyarrow" in forks.report()["modules"]
    assert "No module named 'no_such_module'" in capfd.readouterr().err
    forks.server.kill()


def test_the_end_of_each_child_is_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    forks = Forks(tmp_path)
    forks.start("fail", "failing")
    forks.start("leave", "leaving")
    forks.start("report", "sound")
    killed = forks.start("wait", "killed")
    forks.text("killed")
    os.kill(killed, signal.SIGKILL)
    ends = {key: forks.end_of(key) for key in ("failing", "leaving", "sound", "killed")}
    assert ends == {"failing": 1, "leaving": 7, "sound": 0, "killed": -9}
    assert f"ValueError: nothing is in {tmp_path / 'failing'}" in capfd.readouterr().err
    forks.server.kill()


def test_an_interrupt_reaches_the_child_and_spares_the_server(forks: Forks) -> None:
    child = forks.start("wait")
    forks.text()
    for pid in (forks.server.pid, child):
        os.kill(pid, signal.SIGINT)
    assert forks.end_of() == 0
    assert forks.text() == "interrupted"
    forks.report("next")


def test_a_child_ends_its_threads_and_calls_its_exit_functions(forks: Forks) -> None:
    forks.start("tidy")
    assert forks.end_of() == 0
    assert forks.text() == "first the thread, then the exit function"


def test_many_children_at_once_leave_nothing_behind(heavy_forks: Forks) -> None:
    seen = heavy_forks.report("warm up")
    server = psutil.Process(heavy_forks.server.pid)
    before = server.num_fds(), server.memory_full_info().uss
    descriptors = psutil.Process().num_fds()
    keys = [str(number) for number in range(40)]
    threads = [
        threading.Thread(target=heavy_forks.start, args=["swell" if key < "2" else "report", key])
        for key in keys
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [heavy_forks.end_of(key) for key in keys] == [0] * len(keys)
    assert heavy_forks.report("last")["descriptors"] == seen["descriptors"]
    assert server.children() == []
    after = server.num_fds(), server.memory_full_info().uss
    assert after[0] == before[0]
    assert after[1] < before[1] + 5_000_000
    assert psutil.Process().num_fds() == descriptors


def test_a_retired_server_ends_after_its_last_child(forks: Forks) -> None:
    child = forks.start("wait")
    forks.server.retire()
    time.sleep(0.1)
    assert psutil.pid_exists(forks.server.pid)
    assert not forks.server.alive
    with pytest.raises(ForkServerError, match="retired"):
        forks.start("report")
    os.kill(child, signal.SIGKILL)
    assert forks.end_of() == -signal.SIGKILL
    wait_for(lambda: not psutil.pid_exists(forks.server.pid))


def test_children_survive_a_killed_server(forks: Forks) -> None:
    child = forks.start("wait")
    forks.text()
    os.kill(forks.server.pid, signal.SIGKILL)
    wait_for(lambda: not forks.server.alive)
    with pytest.raises(ForkServerError):
        forks.start("report")
    assert psutil.pid_exists(child)
    os.kill(child, signal.SIGKILL)


def test_a_server_that_hangs_is_given_up(forks: Forks, monkeypatch: pytest.MonkeyPatch) -> None:
    forks.report()
    monkeypatch.setattr("fulfillment_assets.forkserver.client._FORK_SECONDS", 0.2)
    os.kill(forks.server.pid, signal.SIGSTOP)
    with pytest.raises(ForkServerError, match=r"did not answer within 0\.2 seconds"):
        forks.start("report", "next")
    assert not forks.server.alive


def test_server_and_child_outlive_the_process_that_started_them(
    start_python: StartPython, tmp_path: Path
) -> None:
    process = start_python(
        "import os, sys, time\n"
        "from pathlib import Path\n"
        "from tests.forkserver.test_client import Forks\n"
        "forks = Forks(Path(sys.argv[1]))\n"
        "print(forks.server.pid, forks.start('wait'), flush=True)\n"
        "time.sleep(60)\n",
        tmp_path,
    )
    assert process.stdout is not None
    server, child = (psutil.Process(int(pid)) for pid in process.stdout.readline().split())
    wait_for((tmp_path / "child").exists)
    process.kill()
    process.wait()
    process.stdout.close()
    time.sleep(0.1)
    assert server.is_running()
    assert child.is_running()
    child.kill()
    wait_for(lambda: not server.is_running() or server.status() == psutil.STATUS_ZOMBIE)


def test_servers_that_have_ended_leave_no_descriptor(tmp_path: Path) -> None:
    before = psutil.Process().num_fds()
    for number in range(3):
        forks = Forks(tmp_path)
        forks.report(str(number))
        forks.server.retire()
        wait_for(lambda: psutil.Process().num_fds() == before)


def test_an_error_in_the_callback_is_logged_and_the_server_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    forks = Forks(tmp_path)

    def fail(key: str, status: int) -> None:
        if key == "first":
            raise RuntimeError("the callback fails")
        forks.ended[key] = status

    forks.server.kill()
    forks.server = ForkServer("tests.forkserver.forked:act", (), ENVIRONMENT, fail)
    forks.start("report", "first")
    wait_for(lambda: "the callback fails" in caplog.text)
    forks.report("second")
    forks.server.kill()
