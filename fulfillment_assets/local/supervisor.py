"""Starts services, keeps them up, and ends them with everything that they started.

Each service runs in a session of its own, out of reach of the terminal's Ctrl-C: stopping is
the supervisor's part. A small guard process ends the services where the supervisor cannot,
because it was killed.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Final, Self

from fulfillment_assets.local import guard
from fulfillment_assets.local.errors import LocalServiceError
from fulfillment_assets.local.service import (
    RestartPolicy,
    Service,
    ServiceRun,
    ServiceStatus,
    State,
)

_POLL_SECONDS: Final = 0.1
_DEFAULT_POLICY: Final = RestartPolicy()


class Supervisor:
    """Runs services, as a context manager: all healthy inside the block, all gone after it.

    Args:
        services: what to run; those that wait for no other start at once, side by side.
        log_dir: directory for `<name>.log`; the log of the run before is kept as `<name>.log.1`.
        grace_seconds: how long a service has between SIGTERM and SIGKILL.
        policy: when a crashed service is started again.

    Raises:
        ValueError: two services share a name, or one waits for a service not listed before it.
    """

    def __init__(
        self,
        services: Sequence[Service],
        log_dir: Path,
        *,
        grace_seconds: float = 10.0,
        policy: RestartPolicy = _DEFAULT_POLICY,
    ) -> None:
        self._mark = f"{guard.MARK_PREFIX}{uuid.uuid4().hex.upper()}"
        self._log_dir = log_dir
        self._grace_seconds = grace_seconds
        self._runs: dict[str, ServiceRun] = {}
        for service in services:
            if service.name in self._runs or not self._runs.keys() >= set(service.after):
                raise ValueError(
                    f"Service {service.name!r} needs a name of its own, and must be listed after "
                    f"the services that it waits for ({', '.join(service.after) or 'none'})."
                )
            log = log_dir / f"{service.name}.log"
            self._runs[service.name] = ServiceRun(service, log, self._mark, policy)
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._failure: Exception | None = None
        self._thread: threading.Thread | None = None
        self._guard: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the services; returns when all of them are healthy.

        Raises:
            ServiceFailedError: one ended, or was not healthy in time; the message has the last
                lines of its log. All are stopped again.
        """
        self._log_dir.mkdir(parents=True, exist_ok=True)
        try:
            self._guard = subprocess.Popen(
                [sys.executable, "-I", guard.__file__, self._mark, str(self._grace_seconds)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
            self._thread = threading.Thread(target=self._supervise, name="supervisor", daemon=True)
            self._thread.start()
            self._wait_for(self._all_healthy, None)
        except BaseException:
            self.stop()
            raise

    def wait(self, timeout_seconds: float | None = None) -> None:
        """Return after the timeout (None: never), or sooner where a service is given up.

        Raises:
            ServiceFailedError: a service crashed too often; the message has the last lines of
                its log. The others keep running until `stop`.
        """
        self._wait_for(self._stopping.is_set, timeout_seconds)

    def status(self) -> list[ServiceStatus]:
        """Every service as it stands, in the order given."""
        return [run.status() for run in self._runs.values()]

    def stop(self) -> None:
        """End all services with all processes that they started; returns when none is left.

        Raises:
            LocalServiceError: some process survived even SIGKILL; the message names it.
        """
        with self._changed:
            self._stopping.set()
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()
        survivors = guard.terminate(self._mark, self._grace_seconds)
        for run in self._runs.values():
            run.stopped()
        if self._guard is not None:
            self._guard.kill()
            self._guard.communicate()
        if survivors:
            names = ", ".join(str(process.pid) for process in survivors)
            raise LocalServiceError(f"These processes could not be ended: {names}.")

    def __enter__(self) -> Self:
        """Start the services, as `start` does."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop the services, as `stop` does."""
        self.stop()

    def _all_healthy(self) -> bool:
        return all(run.state is State.HEALTHY for run in self._runs.values())

    def _wait_for(self, condition: Callable[[], bool], timeout_seconds: float | None) -> None:
        with self._changed:
            self._changed.wait_for(
                lambda: self._failure is not None or condition(), timeout_seconds
            )
        if self._failure is not None:
            raise self._failure

    def _supervise(self) -> None:
        try:
            while not self._stopping.wait(_POLL_SECONDS):
                for run in self._runs.values():
                    healthy = {n for n, r in self._runs.items() if r.state is State.HEALTHY}
                    run.step(healthy)
                    self._note(run.failure)
        except Exception as error:
            self._note(error)

    def _note(self, failure: Exception | None) -> None:
        with self._changed:
            self._failure = self._failure or failure
            self._changed.notify_all()


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Make SIGTERM and SIGHUP raise KeyboardInterrupt, as Ctrl-C does, inside a `with` block.

    SIGINT does so too where a shell had it ignored, as for a job in the background. SIGHUP stays
    ignored under nohup. For the main thread only.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    numbers = {signal.SIGINT, signal.SIGTERM}
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.add(signal.SIGHUP)
    former = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
