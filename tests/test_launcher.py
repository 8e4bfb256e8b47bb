"""The warm run launcher: real runs in real processes, on Dagster's storage in PostgreSQL."""

from __future__ import annotations

import inspect
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import psycopg2
import pytest
import sqlalchemy as sa
import yaml
from dagster._cli.api import _execute_run_command_body
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.launcher import CheckRunHealthResult, LaunchRunContext, WorkerStatus
from dagster._core.workspace.context import BaseWorkspaceRequestContext, WorkspaceProcessContext
from dagster._core.workspace.load_target import ModuleTarget
from dagster._serdes import deserialize_value, serialize_value
from dagster._utils.interrupts import capture_interrupts

from fulfillment_assets.forkserver.sources import SourceWatch
from fulfillment_assets.launcher import WarmRunLauncher
from fulfillment_assets.local.service import RestartPolicy, Service, State
from fulfillment_assets.local.supervisor import Supervisor
from fulfillment_assets.run_worker import NICE_TAG, WORKER_TAG, worker_of
from fulfillment_assets.settings import PROJECT_ROOT
from tests.scoring.fixtures import dagster_storage
from tests.warm_runs import JOBS, Runs, make_home, wait_for

__all__ = ["dagster_storage"]

SPEAKER = """
import dagster as dg

@dg.op
def speak(context):
    context.log.info("the colour is {colour}")

@dg.job
def speak_job():
    speak()

defs = dg.Definitions(jobs=[speak_job], executor=dg.in_process_executor)
"""

DISCONNECT = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, dagster_storage: str) -> Iterator[Runs]:
    """An instance of Dagster that launches the jobs of these tests."""
    home = make_home(tmp_path_factory.mktemp("warm") / "home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(home))
        patch.setenv("DAGSTER_POSTGRES_URL", dagster_storage)
        patch.setenv("PYTHONPATH", str(PROJECT_ROOT))
        with dg.DagsterInstance.get() as instance:
            yield Runs(instance)


@pytest.fixture
def fresh(runs: Runs) -> Iterator[Runs]:
    """The same instance as another process would open it, with a launcher of its own."""
    with dg.DagsterInstance.from_ref(runs.instance.get_ref()) as instance:
        yield Runs(instance)


@pytest.fixture(scope="module")
def workspace(runs: Runs) -> Iterator[BaseWorkspaceRequestContext]:
    """A workspace with a code server of these jobs."""
    target = ModuleTarget(JOBS, None, str(PROJECT_ROOT), "jobs")
    with WorkspaceProcessContext(runs.instance, target) as context:
        yield context.create_request_context()


@pytest.fixture
def table(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[psycopg2.extensions.cursor]:
    """A cursor on the database of the runs, where they have the table `work`."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    connection = psycopg2.connect(database_url.replace("+psycopg2", ""))
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE work (number int)")
        yield cursor
    connection.close()


def test_a_run_starts_soon_and_succeeds(runs: Runs) -> None:
    assert runs.end(runs.launch("speak")) == "SUCCESS"
    run_id = runs.launch("speak")
    assert runs.end(run_id) == "SUCCESS"
    assert psutil.Process(runs.server_pid).ppid() == os.getpid()
    assert runs.worker(run_id).pid not in {os.getpid(), runs.server_pid}
    seconds = runs.times(run_id)
    assert seconds["STEP_START"] < 5, "it takes 0.25 s on a machine with nothing else to do"


def test_a_run_has_the_environment_of_its_launch(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    for colour in ("green", "blue"):
        monkeypatch.setenv("COLOUR", colour)
        run_id = runs.launch("speak")
        assert runs.end(run_id) == "SUCCESS"
        assert runs.said(run_id, f"the colour is {colour}")


def test_a_run_that_can_wait_is_nicer_than_the_others(runs: Runs) -> None:
    nice = runs.create("speak")
    runs.instance.add_run_tags(nice, {NICE_TAG: "7"})
    runs.instance.launch_run(nice, None)  # type: ignore[arg-type]
    usual = runs.launch("speak")
    for run_id, niceness in ((nice, os.nice(0) + 7), (usual, os.nice(0))):
        assert runs.end(run_id) == "SUCCESS"
        assert runs.said(run_id, f"the niceness is {niceness}")


def test_what_a_run_prints_is_kept(runs: Runs) -> None:
    run_id = runs.launch("speak")
    assert runs.end(run_id) == "SUCCESS"
    assert runs.output(run_id) == "a printed line\n"


def test_a_run_that_raises_has_failed_by_itself(runs: Runs) -> None:
    run_id = runs.launch("fail")
    assert runs.end(run_id) == "FAILURE"
    assert runs.said(run_id, "Steps failed")
    runs.launcher.join()
    assert not runs.said(run_id, "before the run was finished")


def test_a_run_survives_the_loss_of_its_connections(runs: Runs, dagster_storage: str) -> None:
    run_id = runs.launch("pause")
    runs.waiting(run_id)
    engine = sa.create_engine(dagster_storage, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        lost = connection.execute(sa.text(DISCONNECT)).scalar_one()
    engine.dispose()
    assert lost > 0
    assert runs.end(run_id) == "SUCCESS"


def test_the_end_of_a_killed_run_is_known_at_once(
    runs: Runs, table: psycopg2.extensions.cursor
) -> None:
    run_id = runs.launch("insert_and_wait")
    os.kill(runs.waiting(run_id).pid, signal.SIGKILL)
    killed = time.monotonic()
    assert runs.end(run_id) == "FAILURE"
    assert time.monotonic() - killed < 5
    assert runs.said(run_id, "was killed by signal 9 (Killed) before the run was finished")
    assert committed(table) == 0


def test_a_cancelled_run_is_rolled_back(runs: Runs, table: psycopg2.extensions.cursor) -> None:
    run_id = runs.launch("insert_and_wait")
    worker = runs.waiting(run_id)
    assert runs.launcher.check_run_worker_health(runs.get(run_id)).status is WorkerStatus.RUNNING
    assert runs.launcher.terminate(run_id)
    assert runs.end(run_id) == "CANCELED"
    wait_for(lambda: not worker.is_alive, "its process ends")
    assert not runs.said(run_id, "was killed")
    assert committed(table) == 0
    assert not runs.launcher.terminate(run_id)


def test_a_cancelled_run_that_hears_nothing_is_killed(
    runs: Runs, table: psycopg2.extensions.cursor
) -> None:
    run_id = runs.launch("insert_and_block")
    worker = runs.waiting(run_id)
    assert runs.launcher.terminate(run_id)
    assert runs.status(run_id) == "CANCELING"
    assert runs.end(run_id) == "CANCELED"
    assert not worker.is_alive
    assert runs.said(run_id, "was killed by signal 9 (Killed)")
    assert committed(table) == 0


def test_another_process_can_cancel_a_run(runs: Runs, fresh: Runs) -> None:
    run_id = runs.launch("wait")
    runs.waiting(run_id)
    assert fresh.launcher.terminate(run_id)
    assert runs.end(run_id) == "CANCELED"


def test_a_run_that_is_cancelled_before_it_begins_never_does(runs: Runs) -> None:
    run_id = runs.create("wait")
    assert runs.launcher.terminate(run_id)
    runs.launcher.launch_run(LaunchRunContext(runs.get(run_id), None))
    assert runs.end(run_id) == "CANCELED"
    assert not runs.said(run_id, "waiting")


def test_a_run_whose_process_ended_unseen_is_cancelled_all_the_same(runs: Runs) -> None:
    run_id = runs.launch("wait")
    worker = runs.waiting(run_id)
    later = replace(worker, ticks=worker.ticks + 1)
    runs.instance.add_run_tags(
        run_id, {WORKER_TAG: json.dumps({"run_id": run_id, **asdict(later)})}
    )
    health = runs.launcher.check_run_worker_health(runs.get(run_id))
    assert health.status is WorkerStatus.FAILED
    assert f"process {worker.pid}" in str(health)
    assert runs.launcher.terminate(run_id)
    assert runs.status(run_id) == "CANCELED"
    assert worker.is_alive, "another process of the same id is none of the run's"
    worker.end(grace_seconds=0)


def test_a_run_elsewhere_is_out_of_reach(runs: Runs) -> None:
    run_id = runs.launch("wait")
    worker = runs.waiting(run_id)
    elsewhere = {"run_id": run_id, **asdict(replace(worker, host="elsewhere"))}
    runs.instance.add_run_tags(run_id, {WORKER_TAG: json.dumps(elsewhere)})
    assert not runs.launcher.terminate(run_id)
    assert runs.said(run_id, "is on elsewhere, out of reach")
    assert worker.is_alive
    worker.end(grace_seconds=0)
    assert runs.end(run_id) == "CANCELED"


def test_a_retry_does_not_inherit_the_process(runs: Runs) -> None:
    run_id = runs.launch("speak")
    assert runs.end(run_id) == "SUCCESS"
    first = runs.get(run_id)
    assert worker_of(first) is not None
    retry = runs.get(runs.create("speak")).with_tags(first.tags)
    assert worker_of(retry) is None
    assert runs.launcher.check_run_worker_health(retry).status is WorkerStatus.RUNNING


def test_runs_survive_a_crashed_daemon_and_end_with_the_platform(
    runs: Runs, table: psycopg2.extensions.cursor, tmp_path: Path
) -> None:
    told = tmp_path / "told"
    daemon = Service(
        "daemon",
        [sys.executable, "-m", "tests.warm_runs", str(told), *["insert_and_wait"] * 2],
        health=lambda: None if told.exists() else "not yet",
        cwd=PROJECT_ROOT,
    )
    with Supervisor([daemon], tmp_path, policy=RestartPolicy(limit=1)) as supervisor:
        first, second = json.loads(told.read_text())
        (status,) = supervisor.status()
        assert status.pid is not None
        os.kill(status.pid, signal.SIGKILL)
        wait_for(lambda: supervisor.status()[0].state is State.FAILED, "the crash is noticed")
        runs.monitor()
        assert [runs.status(run_id) for run_id in (first, second)] == ["STARTED", "STARTED"]
        os.kill(runs.worker(first).pid, signal.SIGKILL)
        wait_for(lambda: not runs.worker(first).is_alive)
        runs.monitor()
        assert [runs.status(run_id) for run_id in (first, second)] == ["FAILURE", "STARTED"]
        assert runs.said(first, f"process {runs.worker(first).pid} on")
        assert runs.worker(second).is_alive
    assert not runs.worker(second).is_alive
    assert runs.status(second) == "FAILURE"
    assert runs.said(second, "Execution was interrupted unexpectedly")
    assert committed(table) == 0


def test_the_next_run_replaces_a_killed_forkserver(fresh: Runs) -> None:
    lasting = fresh.launch("wait")
    worker = fresh.waiting(lasting)
    killed = fresh.server_pid
    os.kill(killed, signal.SIGKILL)
    run_id = fresh.launch("speak")
    assert fresh.server_pid != killed
    assert fresh.end(run_id) == "SUCCESS"
    assert worker.is_alive
    assert fresh.launcher.terminate(lasting)
    assert fresh.end(lasting) == "CANCELED"


def test_changed_code_is_run_as_it_is_on_disk(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "coloured_jobs.py"
    source.write_text(SPEAKER.format(colour="red"))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{PROJECT_ROOT}")
    monkeypatch.setenv("DAGSTER_HOME", str(make_home(tmp_path / "home", "coloured_jobs")))
    with dg.DagsterInstance.get() as instance:
        coloured = Runs(instance)
        first = coloured.launch("speak", "coloured_jobs", tmp_path)
        assert coloured.end(first) == "SUCCESS"
        server = psutil.Process(coloured.server_pid)
        source.write_text(SPEAKER.format(colour="yellow"))
        time.sleep(1.1)
        second = coloured.launch("speak", "coloured_jobs", tmp_path)
        assert coloured.end(second) == "SUCCESS"
        assert coloured.said(first, "the colour is red")
        assert coloured.said(second, "the colour is yellow")
        assert coloured.server_pid != server.pid
        wait_for(lambda: not server.is_running(), "the old forkserver ends")


def test_twenty_runs_at_once_leave_nothing_behind(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SourceWatch, "changed", lambda watch: False)  # someone may be editing
    assert runs.end(runs.launch("speak")) == "SUCCESS"
    runs.launcher.join()
    server = psutil.Process(runs.server_pid)
    wait_for(lambda: server.children() == [])
    before = server.num_fds(), psutil.Process().num_fds(), server.memory_full_info().uss
    with ThreadPoolExecutor(4) as pool:
        run_ids = list(pool.map(runs.launch, ["swell"] * 20))
    assert [runs.end(run_id) for run_id in run_ids] == ["SUCCESS"] * 20
    runs.launcher.join()
    wait_for(lambda: server.children() == [], "no process is left, dead or alive")
    assert runs.server_pid == server.pid
    assert server.num_threads() == 1
    assert server.net_connections() == []
    after = server.num_fds(), psutil.Process().num_fds(), server.memory_full_info().uss
    assert after[0] == before[0]
    assert after[1] <= before[1] + 2
    assert after[2] < before[2] + 5_000_000


def test_the_first_runs_may_be_launched_at_once(fresh: Runs) -> None:
    with ThreadPoolExecutor(4) as pool:
        run_ids = list(pool.map(fresh.launch, ["speak"] * 4))
    assert [fresh.end(run_id) for run_id in run_ids] == ["SUCCESS"] * 4


def test_join_names_the_runs_that_last(runs: Runs) -> None:
    run_id = runs.launch("wait")
    with pytest.raises(TimeoutError, match=run_id):
        runs.launcher.join(timeout=0)
    runs.waiting(run_id)
    runs.launcher.terminate(run_id)
    runs.launcher.join()
    assert runs.get(run_id).is_finished


def test_a_closed_instance_lets_its_runs_end(runs: Runs) -> None:
    with dg.DagsterInstance.from_ref(runs.instance.get_ref()) as instance:
        closed = Runs(instance)
        run_id = closed.launch("speak")
        server = psutil.Process(closed.server_pid)
    assert runs.end(run_id) == "SUCCESS"
    wait_for(lambda: not server.is_running(), "its forkserver ends")


def test_the_stock_launcher_is_a_variable_away(
    runs: Runs, workspace: BaseWorkspaceRequestContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FULFILLMENT_RUN_LAUNCHER", "stock")
    with dg.DagsterInstance.from_ref(runs.instance.get_ref()) as instance:
        stock = Runs(instance)
        run_id = stock.create_remote("speak", workspace)
        instance.launch_run(run_id, workspace)
        assert stock.end(run_id) == "SUCCESS"
        assert stock.launcher._server is None
    assert worker_of(runs.get(run_id)) is None


def test_another_mode_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FULFILLMENT_RUN_LAUNCHER", "hot")
    with pytest.raises(ValueError, match=r"is 'hot'; it must be 'warm' or 'stock'"):
        WarmRunLauncher("fulfillment_assets.definitions", 1.0)


def test_another_code_location_is_left_to_its_code_server(
    runs: Runs,
    workspace: BaseWorkspaceRequestContext,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    home = make_home(tmp_path / "home", "fulfillment_assets.definitions")
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    with dg.DagsterInstance.get() as instance:
        others = Runs(instance)
        run_id = others.create_remote("speak", workspace)
        instance.launch_run(run_id, workspace)
        assert others.end(run_id) == "SUCCESS"
        assert others.launcher._server is None
    assert "speak_job does not belong to fulfillment_assets.definitions" in caplog.text


def test_without_a_forkserver_the_code_server_starts_the_runs(
    fresh: Runs,
    workspace: BaseWorkspaceRequestContext,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import threading, time\n"
        "threading.Thread(target=time.sleep, args=[60], daemon=True).start()\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{PROJECT_ROOT}")
    run_ids = [fresh.create_remote(op, workspace) for op in ("speak", "wait")]
    for run_id in run_ids:
        fresh.instance.launch_run(run_id, workspace)
    assert fresh.end(run_ids[0]) == "SUCCESS"
    assert caplog.text.count("has 2 threads after its imports") == 1
    wait_for(lambda: fresh.said(run_ids[1], "waiting"))
    assert worker_of(fresh.get(run_ids[1])) is None
    fresh.monitor()
    assert fresh.status(run_ids[1]) == "STARTED"
    assert fresh.launcher.terminate(run_ids[1])
    assert fresh.end(run_ids[1]) == "CANCELED"


def test_the_project_is_configured_to_use_it() -> None:
    configuration = yaml.safe_load((PROJECT_ROOT / "dagster.yaml").read_text())["run_launcher"]
    assert configuration == {
        "module": WarmRunLauncher.__module__,
        "class": WarmRunLauncher.__name__,
    }


PARAMETERS: list[tuple[Callable[..., Any], str]] = [
    (
        _execute_run_command_body,
        "run_id instance write_stream_fn set_exit_code_on_failure",
    ),
    (capture_interrupts, ""),
    (ModuleCodePointer, "module fn_name working_directory"),
    (CheckRunHealthResult, "status msg transient run_worker_id"),
    (LaunchRunContext, "dagster_run workspace"),
    (serialize_value, "val whitelist_map json_kwargs"),
    (deserialize_value, "val as_type whitelist_map"),
    (dg.DagsterInstance.from_ref, "instance_ref"),
    (dg.DagsterInstance.get_ref, "self"),
    (dg.DagsterInstance.add_run_tags, "self run_id new_tags"),
    (dg.DagsterInstance.report_run_canceling, "self run message"),
    (dg.DagsterInstance.report_run_canceled, "self dagster_run message"),
    (dg.DagsterInstance.report_run_failed, "self dagster_run message job_failure_data"),
    (dg.DefaultRunLauncher.__init__, "self inst_data"),
    (dg.DefaultRunLauncher.launch_run, "self context"),
    (dg.DefaultRunLauncher.terminate, "self run_id"),
    (dg.DefaultRunLauncher.join, "self timeout"),
    (dg.DefaultRunLauncher.dispose, "self"),
    (dg.DefaultRunLauncher.register_instance, "self instance"),
    (dg.DefaultRunLauncher.check_run_worker_health, "self run"),
]


@pytest.mark.parametrize(("function", "parameters"), PARAMETERS)
def test_what_is_used_of_dagster_takes_what_it_took(
    function: Callable[..., Any], parameters: str
) -> None:
    assert " ".join(inspect.signature(function).parameters) == parameters


def test_dagster_is_the_release_that_the_launcher_was_tried_with() -> None:
    assert version("dagster") == "1.13.27", (
        "The run launcher uses Dagster's inside. Read what changed in the modules that "
        "fulfillment_assets/launcher.py imports, in _daemon/monitoring/run_monitoring.py and in "
        "_grpc/impl.py; run all tests of this file; then name the new release here."
    )


def committed(table: psycopg2.extensions.cursor) -> int:
    """How many rows runs have committed."""
    table.execute("SELECT count(*) FROM work")
    (count,) = table.fetchone() or (0,)
    return int(count)
