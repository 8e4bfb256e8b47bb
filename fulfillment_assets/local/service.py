"""One supervised service: what it is, and the life of its process."""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

from fulfillment_assets.local import guard
from fulfillment_assets.local.errors import ServiceFailedError
from fulfillment_assets.local.health import HealthCheck, http_health
from fulfillment_assets.local.logs import last_lines

_LAUNCHER: Final = Path(__file__).with_name("launch.py")
_LEFTOVER_SECONDS: Final = 2.0
_REAP_SECONDS: Final = 5.0

_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True)
class Service:
    """A program to keep running.

    Attributes:
        name: unique name, also of its log file.
        command: the program and its arguments.
        health: when it is ready: the URL of which a GET must succeed, or a check of one's own.
        url: where its user finds it, for display.
        env: variables added to the supervisor's environment.
        cwd: working directory; None for the supervisor's.
        after: names of the services that must be healthy before this one is started.
        start_seconds: how long it may take to become healthy.
    """

    name: str
    command: Sequence[str]
    health: HealthCheck | str
    url: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    after: tuple[str, ...] = ()
    start_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """When a crashed service is started again, and when it is given up.

    Attributes:
        limit: number of crashes within the window at which it is given up.
        window_seconds: length of the window.
        first_delay_seconds: pause before the first restart; it doubles with each further crash
            in the window.
    """

    limit: int = 5
    window_seconds: float = 60.0
    first_delay_seconds: float = 0.5


class State(StrEnum):
    """Where a service stands."""

    WAITING = "waiting"
    STARTING = "starting"
    HEALTHY = "healthy"
    RESTARTING = "restarting"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """A service as it stands.

    Attributes:
        name: the service.
        state: where it stands.
        url: where its user finds it.
        pid: process id; None where it does not run.
        restarts: how often it was started again after a crash.
        log: its log file.
    """

    name: str
    state: State
    url: str | None
    pid: int | None
    restarts: int
    log: Path


class ServiceRun:
    """The life of one service: a state machine that its supervisor turns.

    Args:
        service: what to run.
        log: file for its output; the log of the run before is kept beside it as `<log>.1`.
        mark: environment variable by which its processes are found again.
        policy: when it is started again after a crash.
    """

    def __init__(self, service: Service, log: Path, mark: str, policy: RestartPolicy) -> None:
        self.service = service
        self.state = State.WAITING
        self.failure: ServiceFailedError | None = None
        self._log = log
        self._mark = mark
        self._policy = policy
        self._check = (
            http_health(service.health) if isinstance(service.health, str) else service.health
        )
        self._process: subprocess.Popen[bytes] | None = None
        self._launches = 0
        self._log_start = 0
        self._due = 0.0
        self._was_healthy = False
        self._crashes: deque[float] = deque()

    def status(self) -> ServiceStatus:
        """The service as it stands."""
        pid = self._process.pid if self._process and self._process.returncode is None else None
        restarts = max(self._launches - 1, 0)
        service = self.service
        return ServiceStatus(service.name, self.state, service.url, pid, restarts, self._log)

    def step(self, healthy: Set[str]) -> None:
        """Do what is due now; `healthy` names the services that are."""
        if self.state is State.WAITING and healthy >= set(self.service.after):
            self._keep_former_log()
            self._launch()
        elif self.state is State.RESTARTING and time.monotonic() >= self._due:
            self._launch()
        elif self.state is State.STARTING:
            self._watch_start()
        elif self.state is State.HEALTHY:
            self._notice_end()

    def stopped(self) -> None:
        """Note that the service's processes were ended."""
        self._reap()
        if self.state is not State.FAILED:
            self.state = State.STOPPED

    def _keep_former_log(self) -> None:
        if self._log.exists():
            self._log.replace(self._log.with_name(f"{self._log.name}.1"))

    def _launch(self) -> None:
        service = self.service
        self._launches += 1
        self._due = time.monotonic() + service.start_seconds
        self.state = State.STARTING
        with self._log.open("ab") as log:
            self._log_start = log.tell()
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_LAUNCHER), *service.command],
                cwd=service.cwd,
                env={**os.environ, **service.env, self._mark: service.name},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _watch_start(self) -> None:
        if self._notice_end():
            return
        reason = self._check()
        if reason is None:
            self.state = State.HEALTHY
            self._was_healthy = True
        elif time.monotonic() > self._due:
            seconds = self.service.start_seconds
            self._crashed(f"was not healthy after {seconds:g} seconds: {reason}")

    def _notice_end(self) -> bool:
        code = self._process.poll() if self._process else None
        if code is None:
            return False
        how = f"was killed by signal {-code}" if code < 0 else f"exited with status {code}"
        self._crashed(f"{how} while starting" if self.state is State.STARTING else how)
        return True

    def _crashed(self, how: str) -> None:
        # What it started may outlive it, and hold its port.
        guard.terminate(self._mark, _LEFTOVER_SECONDS, self.service.name)
        self._reap()
        now, policy = time.monotonic(), self._policy
        self._crashes.append(now)
        while self._crashes[0] < now - policy.window_seconds:
            self._crashes.popleft()
        count = len(self._crashes)
        if not self._was_healthy:
            self._give_up(how)
        elif count >= policy.limit:
            self._give_up(f"{how}, {count} times within {policy.window_seconds:g} seconds")
        else:
            self.state = State.RESTARTING
            self._due = now + policy.first_delay_seconds * 2 ** (count - 1)
            _LOG.warning("%s %s; starting it again. See %s", self.service.name, how, self._log)

    def _give_up(self, how: str) -> None:
        self.state = State.FAILED
        self.failure = ServiceFailedError(
            self.service.name,
            f"{self.service.name} {how}. Last lines of {self._log}:\n"
            f"{last_lines(self._log, self._log_start)}",
        )
        _LOG.error("%s %s, and is given up. See %s", self.service.name, how, self._log)

    def _reap(self) -> None:
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_REAP_SECONDS)
