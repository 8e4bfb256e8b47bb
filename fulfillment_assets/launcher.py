"""Runs that start in a quarter of a second, each forked from a process that has imported all.

`dagster.yaml` names `WarmRunLauncher`. What it uses of Dagster's inside, which an upgrade may
change, is imported here and in `run_worker`; a test holds it against the installed version.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import sys
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Self

import dagster as dg
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.launcher import CheckRunHealthResult, LaunchRunContext, WorkerStatus
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._serdes import ConfigurableClassData, serialize_value

from fulfillment_assets.forkserver.client import ForkServer, ForkServerError
from fulfillment_assets.forkserver.run_imports import PACKAGE, run_imports
from fulfillment_assets.forkserver.sources import SourceWatch
from fulfillment_assets.local.guard import MARK_PREFIX
from fulfillment_assets.run_worker import NICE_TAG, execute_run, worker_of

VARIABLE: Final = "FULFILLMENT_RUN_LAUNCHER"
WARM: Final = "warm"
STOCK: Final = "stock"

_COLD_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.1

_UNFINISHED: Final = {
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
}
"""What a run whose process has ended can no longer be. A suspended run has no process."""

_LOG: Final = logging.getLogger(__name__)


class WarmRunLauncher(dg.DefaultRunLauncher):
    """Forks each run of one code location from a process that has imported it, and watches it.

    The forkserver is a child of the process that launches, which is the daemon where runs are
    queued. It starts with the first run, and anew once the sources have changed. Runs survive the
    death of both. That a run has died is known at once if the process that launched it lives, and
    otherwise at the next look of run monitoring.

    All other runs are the code server's, as with Dagster's own launcher: those of other code
    locations, those of a minute after the forkserver failed, and all where
    `FULFILLMENT_RUN_LAUNCHER` is `stock` or the system is not Linux: elsewhere the system's own
    libraries do not survive a fork.

    Args:
        module: the code location's module.
        kill_after_seconds: how long a cancelled run may take to end by itself.
        inst_data: Dagster's record of this configuration.

    Raises:
        ValueError: `FULFILLMENT_RUN_LAUNCHER` is neither `warm` nor `stock`.
    """

    def __init__(
        self,
        module: str,
        kill_after_seconds: float,
        inst_data: ConfigurableClassData | None = None,
    ) -> None:
        super().__init__(inst_data)
        mode = os.environ.get(VARIABLE, WARM)
        if mode not in {WARM, STOCK}:
            raise ValueError(f"{VARIABLE} is {mode!r}; it must be {WARM!r} or {STOCK!r}.")
        self._warm = mode == WARM and sys.platform == "linux"
        self._module = module
        self._kill_after_seconds = kill_after_seconds
        self._lock = threading.Lock()
        self._server: ForkServer | None = None
        self._sources: SourceWatch | None = None
        self._retire: Callable[[], object] = lambda: None
        self._cold_until = 0.0
        self._warned: set[str] = set()
        self._live: set[str] = set()

    @classmethod
    def config_type(cls) -> dict[str, dg.Field]:
        """Its configuration in `dagster.yaml`, of which all has defaults."""
        return {
            "module": dg.Field(
                str,
                default_value="fulfillment_assets.definitions",
                description="The code location's module.",
            ),
            "kill_after_seconds": dg.Field(
                float,
                default_value=20.0,
                description="How long a cancelled run may take to end by itself.",
            ),
        }

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]
    ) -> Self:
        """A launcher of this configuration."""
        return cls(**config_value, inst_data=inst_data)

    def register_instance(self, instance: dg.DagsterInstance) -> None:
        """Take the instance. Threads that launch its first runs at once may do so twice."""
        if not self.has_instance:
            super().register_instance(instance)

    def launch_run(self, context: LaunchRunContext) -> None:
        """Start the process of a run.

        Raises:
            DagsterLaunchFailedError: the code server could not start it.
            DagsterUserCodeUnreachableError: the code server does not answer.
        """
        if not (self._warm and self._launched_warm(context.dagster_run)):
            super().launch_run(context)

    def terminate(self, run_id: str) -> bool:
        """Cancel a run: interrupt its process, and kill it if it does not end by itself.

        Returns whether it could be done.
        """
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        if worker_of(run) is None and GRPC_INFO_TAG in run.tags:
            return bool(super().terminate(run_id))  # type: ignore[no-untyped-call]
        self._instance.report_run_canceling(run)
        # Read after that: a process without a tag as yet will see that its run is cancelled.
        run = self._instance.get_run_by_id(run_id)
        worker = None if run is None else worker_of(run)
        if run is None or worker is None:
            return True
        if not worker.is_here:
            here = socket.gethostname()
            message = f"The process of this run is on {worker.host}, out of reach from {here}."
            self._instance.report_engine_event(message, run)
            return False
        if worker.is_alive:
            end = threading.Thread(target=worker.end, args=[self._kill_after_seconds], daemon=True)
            end.start()
        else:
            self._report_end(run, "had ended")
        return True

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Whether run monitoring may ask for the health of a run's process."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Whether the process of a run that has begun is alive."""
        worker = worker_of(run)
        if worker is None:
            return CheckRunHealthResult(WorkerStatus.RUNNING, "Its code server watches it.")
        where = f"process {worker.pid} on {worker.host}"
        if worker.is_alive:
            return CheckRunHealthResult(WorkerStatus.RUNNING, f"It runs in {where}.")
        return CheckRunHealthResult(WorkerStatus.FAILED, f"It ran in {where}, which is gone.")

    def join(self, timeout: int = 30) -> None:
        """Wait until all runs that were launched here are finished.

        Raises:
            TimeoutError: some are not, after so many seconds.
        """
        deadline = time.monotonic() + timeout
        while unfinished := [run_id for run_id in tuple(self._live) if self._unfinished(run_id)]:
            if time.monotonic() > deadline:
                raise TimeoutError(f"Not finished within {timeout} s: {', '.join(unfinished)}.")
            time.sleep(_POLL_SECONDS)
        super().join(timeout)  # type: ignore[no-untyped-call]

    def dispose(self) -> None:
        """Let the forkserver end after its last run."""
        with self._lock:
            self._retire()
            self._server = None
        super().dispose()

    def _launched_warm(self, run: dg.DagsterRun) -> bool:
        """Fork a run; returns False, and says why, where the code server must start it."""
        if not self._is_ours(run):
            self._warn(f"{run.job_name} does not belong to {self._module} in {sys.prefix}.")
            return False
        if time.monotonic() < self._cold_until:
            return False
        try:
            self._fork(run)
        except ForkServerError as error:
            self._cold_until = time.monotonic() + _COLD_SECONDS
            self._warn(str(error))
            return False
        return True

    def _is_ours(self, run: dg.DagsterRun) -> bool:
        """Whether a run's code is the module that is imported here, in this environment."""
        if run.job_code_origin is None:
            return False
        origin = run.job_code_origin.repository_origin
        pointer = origin.code_pointer
        return (
            isinstance(pointer, ModuleCodePointer)
            and pointer.module == self._module
            and Path(origin.executable_path).parent == Path(sys.executable).parent
        )

    def _warn(self, reason: str) -> None:
        if reason not in self._warned:
            self._warned.add(reason)
            _LOG.warning("%s The code server starts such runs, which takes longer.", reason)

    def _fork(self, run: dg.DagsterRun) -> None:
        reference = serialize_value(self._instance.get_ref())
        argument = json.dumps([run.run_id, reference, int(run.tags.get(NICE_TAG, "0"))])
        request = run.run_id, argument, _environment()
        self._live.add(run.run_id)
        try:
            server = self._current_server()
            try:
                server.fork(*request)
            except ForkServerError:
                if server.alive:
                    raise
                self._current_server().fork(*request)
        except ForkServerError:
            self._live.discard(run.run_id)
            raise

    def _current_server(self) -> ForkServer:
        """The forkserver, replaced if it is gone or its code is not that on disk."""
        with self._lock:
            if self._server is not None and self._sources is not None:
                if self._server.alive and not self._sources.changed():
                    return self._server
                self._retire()
            ended = weakref.WeakMethod(self._ended)
            self._sources = SourceWatch([PACKAGE, self._module.partition(".")[0]])
            self._server = ForkServer(
                f"{execute_run.__module__}:{execute_run.__name__}",
                [*run_imports(), self._module],
                _environment(),
                lambda run_id, status: method(run_id, status) if (method := ended()) else None,
            )
            self._retire = weakref.finalize(self, self._server.retire)
            return self._server

    def _ended(self, run_id: str, status: int) -> None:
        """See to it that a run whose process has ended is finished."""
        if run := self._unfinished(run_id):
            how = f"ended with status {status}"
            if status < 0:
                how = f"was killed by signal {-status} ({signal.strsignal(-status)})"
            self._report_end(run, how)
        self._live.discard(run_id)

    def _unfinished(self, run_id: str) -> dg.DagsterRun | None:
        run = self._instance.get_run_by_id(run_id)
        return run if run is not None and run.status in _UNFINISHED else None

    def _report_end(self, run: dg.DagsterRun, how: str) -> None:
        message = f"The process of this run {how} before the run was finished."
        if run.status is dg.DagsterRunStatus.CANCELING:
            self._instance.report_run_canceled(run, message)
        else:
            self._instance.report_run_failed(run, message)


def _environment() -> dict[str, str]:
    """Our variables, except that a supervisor does not take a run for a remainder of our own."""
    return {
        name: "run" if name.startswith(MARK_PREFIX) else value for name, value in os.environ.items()
    }
