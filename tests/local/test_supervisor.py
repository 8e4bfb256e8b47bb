"""The supervisor, with real processes, some of them ill-mannered."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from fulfillment_assets.local.errors import ServiceFailedError
from fulfillment_assets.local.health import HealthCheck
from fulfillment_assets.local.service import RestartPolicy, Service, State
from fulfillment_assets.local.supervisor import Supervisor

StartPython = Callable[..., subprocess.Popen[str]]

QUICK = RestartPolicy(limit=3, window_seconds=60, first_delay_seconds=0.02)

# It and its grandchild, which has forked twice and left the session, ignore SIGTERM.
STUBBORN = """
trap '' TERM INT
(setsid sh -c 'echo $$ > grandchild; while :; do sleep 1; done' &)
while [ ! -s grandchild ]; do sleep 0.01; done
echo $$ > child
while :; do sleep 1; done
"""

SUPERVISE = """
import signal, sys
from pathlib import Path
from fulfillment_assets.local.service import Service
from fulfillment_assets.local.supervisor import Supervisor, interruptible

directory = Path(sys.argv[1])
service = Service(
    "stubborn",
    ["sh", "-c", sys.argv[2]],
    health=lambda: None if (directory / "child").exists() else "not yet",
    cwd=directory,
)
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # else the tests would not run under nohup
with interruptible():
    try:
        with Supervisor([service], directory / "logs", grace_seconds=0.3) as supervisor:
            print("up", flush=True)
            supervisor.wait()
    except KeyboardInterrupt:
        print("interrupted", flush=True)
"""

FLAKY_SERVER = """
import http.server, sys

answers = iter([503, 500])

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(next(answers, 204))
        self.end_headers()

http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def file_exists(path: Path) -> HealthCheck:
    return lambda: None if path.exists() else f"{path.name} is not there"


def always_healthy() -> None:
    return None


def shell(name: str, script: str, cwd: Path, **options: object) -> Service:
    """A service that is a shell script, and ready once it has made the file `<name>.ready`."""
    settings: dict[str, object] = {"health": file_exists(cwd / f"{name}.ready"), **options}
    return Service(name, ["sh", "-c", script], cwd=cwd, **settings)  # type: ignore[arg-type]


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def eventually(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def pid_in(file: Path) -> int:
    return int(file.read_text())


@contextlib.contextmanager
def ignored(*numbers: signal.Signals) -> Iterator[None]:
    former = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def test_services_run_inside_the_block_and_are_gone_after_it(tmp_path: Path) -> None:
    service = shell(
        "api", "echo serving; touch api.ready; exec sleep 60", tmp_path, url="http://a/"
    )
    with Supervisor([service], tmp_path / "logs") as supervisor:
        [running] = supervisor.status()
        assert running.state is State.HEALTHY
        assert running.url == "http://a/"
        assert running.pid is not None
        assert is_alive(running.pid)
    [stopped] = supervisor.status()
    assert (stopped.state, stopped.pid) == (State.STOPPED, None)
    assert not is_alive(running.pid)
    assert running.log.read_text() == "serving\n"


def test_a_service_starts_only_when_those_it_waits_for_are_healthy(tmp_path: Path) -> None:
    first = shell("first", "sleep 0.3; touch first.ready; exec sleep 60", tmp_path)
    second = shell(
        "second",
        "test -e first.ready && touch second.ready; exec sleep 60",
        tmp_path,
        after=("first",),
        start_seconds=5,
    )
    with Supervisor([first, second], tmp_path) as supervisor:
        assert [status.state for status in supervisor.status()] == [State.HEALTHY] * 2


def test_services_that_wait_for_none_start_side_by_side(tmp_path: Path) -> None:
    script = (
        "touch {0}.began; while [ ! -e {1}.began ]; do sleep 0.01; done; "
        "touch {0}.ready; exec sleep 60"
    )
    left = shell("left", script.format("left", "right"), tmp_path, start_seconds=5)
    right = shell("right", script.format("right", "left"), tmp_path, start_seconds=5)
    with Supervisor([left, right], tmp_path) as supervisor:
        assert [status.state for status in supervisor.status()] == [State.HEALTHY] * 2


def test_a_url_is_healthy_once_a_get_succeeds(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    service = Service(
        "web", [sys.executable, "-c", FLAKY_SERVER, str(port)], health=f"http://127.0.0.1:{port}/"
    )
    with Supervisor([service], tmp_path):
        requests = (tmp_path / "web.log").read_text()
    assert [answer in requests for answer in ("503", "500", "204")] == [True] * 3


def test_environment_and_directory_are_the_service_s_own(tmp_path: Path) -> None:
    script = 'echo "$COLOUR in $(pwd)"; touch api.ready; exec sleep 60'
    with Supervisor([shell("api", script, tmp_path, env={"COLOUR": "red"})], tmp_path):
        pass
    assert (tmp_path / "api.log").read_text() == f"red in {tmp_path}\n"


def test_the_log_of_the_run_before_is_kept(tmp_path: Path) -> None:
    for text in ("first", "second"):
        (tmp_path / "api.ready").unlink(missing_ok=True)
        script = f"echo {text}; touch api.ready; exec sleep 60"
        with Supervisor([shell("api", script, tmp_path)], tmp_path):
            pass
    assert (tmp_path / "api.log").read_text() == "second\n"
    assert (tmp_path / "api.log.1").read_text() == "first\n"


@pytest.mark.parametrize(
    "services",
    [
        [("a", ()), ("a", ())],
        [("a", ("b",)), ("b", ())],
        [("a", ("nobody",))],
    ],
    ids=["same name twice", "waits for a later one", "waits for none of them"],
)
def test_services_that_cannot_be_ordered_are_refused(
    services: list[tuple[str, tuple[str, ...]]], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="'a'"):
        Supervisor(
            [Service(name, ["true"], always_healthy, after=after) for name, after in services],
            tmp_path,
        )


def test_services_get_default_signal_handling_where_the_supervisor_ignores_signals(
    tmp_path: Path,
) -> None:
    code = (
        "import signal, pathlib, time\n"
        "for name in ('SIGINT', 'SIGTERM', 'SIGHUP'):\n"
        "    print(name, signal.getsignal(getattr(signal, name)) is signal.SIG_IGN)\n"
        "pathlib.Path('api.ready').touch(); time.sleep(60)"
    )
    service = Service(
        "api", [sys.executable, "-u", "-c", code], file_exists(tmp_path / "api.ready"), cwd=tmp_path
    )
    with (
        ignored(signal.SIGINT, signal.SIGTERM, signal.SIGHUP),
        Supervisor([service], tmp_path),
    ):
        pass
    assert (tmp_path / "api.log").read_text() == "SIGINT False\nSIGTERM False\nSIGHUP False\n"


class TestStart:
    def test_a_service_that_is_not_healthy_in_time_is_an_error_with_reason_and_log(
        self, tmp_path: Path
    ) -> None:
        service = shell(
            "api", "echo $$ > pid; echo no luck; exec sleep 60", tmp_path, start_seconds=0.4
        )
        with pytest.raises(ServiceFailedError) as failed:
            Supervisor([service], tmp_path).start()
        message = str(failed.value)
        assert message.startswith("api was not healthy after 0.4 seconds: api.ready is not there.")
        assert str(tmp_path / "api.log") in message
        assert message.endswith("no luck")
        assert not is_alive(pid_in(tmp_path / "pid"))

    def test_a_service_that_ends_is_an_error_at_once_and_stops_the_others(
        self, tmp_path: Path
    ) -> None:
        good = shell("good", "echo $$ > pid; touch good.ready; exec sleep 60", tmp_path)
        bad = shell("bad", "echo cannot bind >&2; exit 3", tmp_path, after=("good",))
        with pytest.raises(
            ServiceFailedError, match=r"bad exited with status 3 while starting\.(.|\n)*cannot bind"
        ):
            Supervisor([good, bad], tmp_path).start()
        assert not is_alive(pid_in(tmp_path / "pid"))

    def test_a_program_that_does_not_exist_is_named(self, tmp_path: Path) -> None:
        service = Service("api", ["no-such-program"], always_healthy)
        with pytest.raises(ServiceFailedError, match="no-such-program: No such file"):
            Supervisor([service], tmp_path).start()

    def test_a_health_check_that_raises_is_an_error_not_a_hang(self, tmp_path: Path) -> None:
        def broken() -> str | None:
            raise ZeroDivisionError("in the check")

        with pytest.raises(ZeroDivisionError, match="in the check"):
            Supervisor([Service("api", ["sleep", "60"], broken)], tmp_path).start()


class TestCrash:
    def test_a_crashed_service_is_started_again(self, tmp_path: Path) -> None:
        service = shell("api", "echo up; touch api.ready; exec sleep 60", tmp_path)
        with Supervisor([service], tmp_path, policy=QUICK) as supervisor:
            [before] = supervisor.status()
            assert before.pid is not None
            os.kill(before.pid, signal.SIGKILL)
            assert eventually(lambda: supervisor.status()[0].restarts == 1)
            assert eventually(lambda: supervisor.status()[0].state is State.HEALTHY)
            [after] = supervisor.status()
            supervisor.wait(0)
        assert after.pid != before.pid
        assert (tmp_path / "api.log").read_text() == "up\nup\n"

    def test_what_a_crashed_service_leaves_is_ended_before_the_restart(
        self, tmp_path: Path
    ) -> None:
        script = "sleep 60 & echo $! >> workers; touch api.ready; wait"
        with Supervisor([shell("api", script, tmp_path)], tmp_path, policy=QUICK) as supervisor:
            os.kill(supervisor.status()[0].pid or 0, signal.SIGKILL)
            assert eventually(lambda: len((tmp_path / "workers").read_text().split()) > 1)
            first, second = map(int, (tmp_path / "workers").read_text().split())
            assert not is_alive(first)
            assert is_alive(second)

    def test_a_service_that_keeps_crashing_is_given_up_loudly(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        script = "touch api.ready; sleep 0.2; echo out of memory; exit 7"
        with Supervisor([shell("api", script, tmp_path)], tmp_path, policy=QUICK) as supervisor:
            with pytest.raises(ServiceFailedError) as failed:
                supervisor.wait(20)
            [status] = supervisor.status()
        assert (status.state, status.restarts) == (State.FAILED, QUICK.limit - 1)
        assert "api exited with status 7, 3 times within 60 seconds" in str(failed.value)
        assert str(failed.value).endswith("out of memory")
        errors = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
        assert len(errors) == 1
        assert "given up" in errors[0]


class TestStop:
    def test_a_service_may_end_in_its_own_way(self, tmp_path: Path) -> None:
        script = "trap 'echo goodbye; exit' TERM; touch api.ready; while :; do sleep 0.05; done"
        with Supervisor([shell("api", script, tmp_path)], tmp_path):
            pass
        assert "goodbye" in (tmp_path / "api.log").read_text()

    def test_what_ignores_sigterm_is_killed_with_its_descendants(self, tmp_path: Path) -> None:
        ready = file_exists(tmp_path / "child")
        service = shell("stubborn", STUBBORN, tmp_path, health=ready)
        with Supervisor([service], tmp_path, grace_seconds=0.3):
            pids = [pid_in(tmp_path / name) for name in ("child", "grandchild")]
            assert all(is_alive(pid) for pid in pids)
            assert os.getsid(pids[0]) != os.getsid(pids[1])
        assert not any(is_alive(pid) for pid in pids)

    def test_what_loses_its_environment_while_it_ends_is_waited_for(self, tmp_path: Path) -> None:
        script = (
            "echo $$ > pid; trap 'exec env -i sleep 60' TERM; touch api.ready; "
            "while :; do sleep 0.05; done"
        )
        with Supervisor([shell("api", script, tmp_path)], tmp_path, grace_seconds=0.3):
            pid = pid_in(tmp_path / "pid")
            assert is_alive(pid)
        assert not is_alive(pid)

    def test_stopping_twice_is_harmless(self, tmp_path: Path) -> None:
        supervisor = Supervisor([Service("api", ["sleep", "60"], always_healthy)], tmp_path)
        supervisor.start()
        supervisor.stop()
        supervisor.stop()

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_an_interrupted_supervisor_leaves_no_process(
        self, number: signal.Signals, tmp_path: Path, start_python: StartPython
    ) -> None:
        supervisor = start_python(SUPERVISE, tmp_path, STUBBORN)
        assert supervisor.stdout is not None
        assert supervisor.stdout.readline() == "up\n"
        tree = psutil.Process(supervisor.pid).children(recursive=True)
        pids = [pid_in(tmp_path / name) for name in ("child", "grandchild")]
        supervisor.send_signal(number)
        output, _ = supervisor.communicate(timeout=20)
        assert output == "interrupted\n"
        assert [p for p in (*pids, *(child.pid for child in tree)) if is_alive(p)] == []

    def test_a_killed_supervisor_takes_its_services_with_it(
        self, tmp_path: Path, start_python: StartPython
    ) -> None:
        supervisor = start_python(SUPERVISE, tmp_path, STUBBORN)
        assert supervisor.stdout is not None
        assert supervisor.stdout.readline() == "up\n"
        tree = psutil.Process(supervisor.pid).children(recursive=True)
        pids = [pid_in(tmp_path / name) for name in ("child", "grandchild")]
        supervisor.kill()
        supervisor.wait()
        everyone = {*pids, *(child.pid for child in tree)}
        assert eventually(lambda: not any(is_alive(pid) for pid in everyone))
        supervisor.communicate()
