"""A Dagster instance with the warm launcher, and the runs of `tests.warm_jobs` that it launches."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import dagster as dg
import yaml
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._core.workspace.context import BaseWorkspaceRequestContext, WorkspaceProcessContext
from dagster._core.workspace.load_target import EmptyWorkspaceTarget
from dagster._daemon.monitoring.run_monitoring import execute_run_monitoring_iteration

from fulfillment_assets.forkserver.identity import ProcessIdentity
from fulfillment_assets.launcher import WarmRunLauncher
from fulfillment_assets.run_worker import worker_of
from fulfillment_assets.settings import PROJECT_ROOT

JOBS: Final = "tests.warm_jobs"
WAIT_SECONDS: Final = 60.0
KILL_AFTER_SECONDS: Final = 2.0


def wait_for(condition: Callable[[], Any], what: str = "it") -> Any:
    """The first true value of a condition."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {WAIT_SECONDS:.0f} s: {what}"
        time.sleep(0.02)
    return value


def make_home(home: Path, module: str = JOBS) -> Path:
    """A Dagster home with the project's configuration, for another code location."""
    configuration = yaml.safe_load((PROJECT_ROOT / "dagster.yaml").read_text())
    configuration["run_launcher"] = {
        "module": "fulfillment_assets.launcher",
        "class": "WarmRunLauncher",
        "config": {"module": module, "kill_after_seconds": KILL_AFTER_SECONDS},
    }
    home.mkdir(parents=True)
    (home / "dagster.yaml").write_text(yaml.safe_dump(configuration))
    return home


@dataclass(frozen=True)
class Runs:
    """Launches runs, and tells how they fare."""

    instance: dg.DagsterInstance

    @property
    def launcher(self) -> WarmRunLauncher:
        """The instance's launcher."""
        launcher = self.instance.run_launcher
        assert isinstance(launcher, WarmRunLauncher)
        return launcher

    @property
    def server_pid(self) -> int:
        """Process id of the forkserver."""
        assert self.launcher._server is not None
        return self.launcher._server.pid

    def create(self, op: str, module: str = JOBS, folder: Path = PROJECT_ROOT) -> str:
        """Make the run of an op's job, without launching it."""
        code = ReconstructableRepository.for_module(module, "defs", str(folder))
        job = code.get_reconstructable_job(f"{op}_job")
        run = self.instance.create_run_for_job(
            job.get_definition(), job_code_origin=job.get_python_origin()
        )
        return run.run_id

    def create_remote(self, op: str, workspace: BaseWorkspaceRequestContext) -> str:
        """Make the run of an op's job as a sensor does, by what the code server tells of it."""
        (name,) = workspace.code_location_names
        (repository,) = workspace.get_code_location(name).get_repositories().values()
        job = repository.get_full_job(f"{op}_job")
        run = self.instance.create_run_for_job(
            ReconstructableRepository.for_module(JOBS, "defs", str(PROJECT_ROOT))
            .get_reconstructable_job(f"{op}_job")
            .get_definition(),
            remote_job_origin=job.get_remote_origin(),
            job_code_origin=job.get_python_origin(),
        )
        return run.run_id

    def launch(self, op: str, module: str = JOBS, folder: Path = PROJECT_ROOT) -> str:
        """Launch the run of an op's job."""
        run_id = self.create(op, module, folder)
        self.instance.launch_run(run_id, None)  # type: ignore[arg-type]
        return run_id

    def get(self, run_id: str) -> dg.DagsterRun:
        """A run as it stands."""
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        return run

    def status(self, run_id: str) -> str:
        """The status of a run."""
        return self.get(run_id).status.value

    def end(self, run_id: str) -> str:
        """The status with which a run ends."""
        wait_for(lambda: self.get(run_id).is_finished, "the run is finished")
        return self.status(run_id)

    def messages(self, run_id: str) -> list[str]:
        """Everything that was logged for a run."""
        return [
            entry.user_message or (entry.dagster_event and entry.dagster_event.message) or ""
            for entry in self.instance.all_logs(run_id)
        ]

    def said(self, run_id: str, words: str) -> bool:
        """Whether something that was logged for a run contains the words."""
        return any(words in message for message in self.messages(run_id))

    def worker(self, run_id: str) -> ProcessIdentity:
        """The process of a run."""
        worker: ProcessIdentity = wait_for(lambda: worker_of(self.get(run_id)), "a worker")
        return worker

    def waiting(self, run_id: str) -> ProcessIdentity:
        """The process of a run, once it waits."""
        wait_for(lambda: self.said(run_id, "waiting"), "the run is at work")
        return self.worker(run_id)

    def times(self, run_id: str) -> dict[str, float]:
        """Seconds from the launch to the first event of each kind."""
        entries = self.instance.all_logs(run_id)
        found: dict[str, float] = {}
        for entry in entries:
            kind = entry.dagster_event.event_type_value if entry.dagster_event else "log"
            found.setdefault(kind, entry.timestamp - entries[0].timestamp)
        return found

    def output(self, run_id: str) -> str:
        """What the process of a run printed, as Dagster has kept it."""
        (event,) = (
            entry.dagster_event.logs_captured_data
            for entry in self.instance.all_logs(run_id)
            if entry.dagster_event and entry.dagster_event.event_type_value == "LOGS_CAPTURED"
        )
        key = [run_id, "compute_logs", event.file_key]
        data = self.instance.compute_log_manager.get_log_data(key)
        return (data.stdout or b"").decode()

    def monitor(self) -> None:
        """One turn of run monitoring, as the daemon makes it every few seconds."""
        with WorkspaceProcessContext(self.instance, EmptyWorkspaceTarget()) as workspace:
            errors = list(execute_run_monitoring_iteration(workspace, logging.getLogger(__name__)))
        assert [error for error in errors if error is not None] == []


def main() -> None:
    """Launch runs, as a daemon does, tell who executes them, and live on."""
    file, *ops = sys.argv[1:]
    with dg.DagsterInstance.get() as instance:
        runs = Runs(instance)
        run_ids = [runs.launch(op) for op in ops]
        workers = {run_id: runs.waiting(run_id).pid for run_id in run_ids}
        unfinished = Path(f"{file}.part")
        unfinished.write_text(json.dumps(workers))
        unfinished.replace(file)
        time.sleep(WAIT_SECONDS)


if __name__ == "__main__":
    main()
