"""What it costs to start a run: warm, forked from a process with all imports done, and stock.

A platform of its own, without Kafka, runs its hourly upkeep again and again: one run after another,
then many at once. Times are those of Dagster's events, from the decision to start a run to the
start of its first step, after which its first line of our code runs. CPU seconds of a run are those
of its process and what that starts; of everything, those of the whole platform and PostgreSQL above
what they take when idle.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import psutil
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from benchmarks.usage import cpu_seconds
from fulfillment_assets.forkserver import server
from fulfillment_assets.local import platform, services
from fulfillment_assets.local.health import LOOPBACK_OPENER
from fulfillment_assets.settings import Settings
from fulfillment_assets.store.connection import create_engine, dagster_storage_url

Launcher = Literal["warm", "stock"]

_VARIABLES: Final = ("DATABASE_URL", "DAGSTER_POSTGRES_URL", "KAFKA_BOOTSTRAP_SERVERS")
_JOB: Final = "upkeep"
_IDLE_SECONDS: Final = 10.0
_WAIT_SECONDS: Final = 300.0
_MEGABYTE: Final = 1024**2

_LAUNCH: Final = """
mutation($job: String!) {
  launchRun(executionParams: {mode: "default", selector: {
    repositoryLocationName: "fulfillment_assets", repositoryName: "__repository__", jobName: $job
  }}) { __typename ... on LaunchRunSuccess { run { runId } } }
}
"""

_EVENTS: Final = """
SELECT run_id, dagster_event_type, min(extract(epoch FROM timestamp)) FROM event_logs
WHERE run_id = ANY(:ids) AND dagster_event_type IS NOT NULL GROUP BY run_id, dagster_event_type
"""
_FINISHED: Final = (
    "SELECT count(*) FROM runs WHERE run_id = ANY(:ids) "
    "AND status IN ('SUCCESS', 'FAILURE', 'CANCELED')"
)


@dataclass(frozen=True, slots=True)
class LauncherTimes:
    """What a run costs; times and CPU seconds are medians and means over many.

    Attributes:
        launcher: warm or stock.
        first_run_seconds: to the first step of the platform's first run.
        first_step_seconds: to the first step of a run, one run after another; median.
        slowest_first_step_seconds: the worst of them.
        end_seconds: to the end of a run; median.
        cpu_seconds_run: of the process of a run; mean.
        cpu_seconds_everything: of the whole platform and PostgreSQL for a run; mean.
        runs_per_minute: when many are asked for at once.
        forkserver_mb: resident memory of the process from which runs are forked.
    """

    launcher: str
    first_run_seconds: float
    first_step_seconds: float
    slowest_first_step_seconds: float
    end_seconds: float
    cpu_seconds_run: float
    cpu_seconds_everything: float
    runs_per_minute: int
    forkserver_mb: int | None


def run(launcher: Launcher, *, repeats: int = 15, burst: int = 30) -> LauncherTimes:
    """Start a platform and launch runs: one, then `repeats` in turn, then `burst` at once."""
    with _platform(launcher) as bench:
        (first,) = bench.finish([bench.launch()])
        idle = bench.usage()
        time.sleep(_IDLE_SECONDS)
        before, begun = bench.usage(), time.monotonic()
        single = [times for _ in range(repeats) for times in bench.finish([bench.launch()])]
        together = bench.finish([bench.launch() for _ in range(burst)])
        after, seconds = bench.usage(), time.monotonic() - begun
        runs = repeats + burst
        everything = after.everything - before.everything
        everything -= (before.everything - idle.everything) / _IDLE_SECONDS * seconds
        return LauncherTimes(
            launcher=launcher,
            first_run_seconds=round(first.step, 2),
            first_step_seconds=round(statistics.median(times.step for times in single), 2),
            slowest_first_step_seconds=round(max(times.step for times in single), 2),
            end_seconds=round(statistics.median(times.end for times in single), 2),
            cpu_seconds_run=round((after.ended_children - before.ended_children) / runs, 2),
            cpu_seconds_everything=round(everything / runs, 2),
            runs_per_minute=round(60 * burst / _span(together)),
            forkserver_mb=bench.forkserver_mb(),
        )


@dataclass(frozen=True, slots=True)
class _Times:
    """When a run was launched, as seconds since 1970, and seconds from then."""

    launched: float
    step: float
    end: float


@dataclass(frozen=True, slots=True)
class _Usage:
    """CPU seconds so far of everything, and of the children of Dagster's services that ended."""

    everything: float
    ended_children: float


@dataclass(frozen=True, slots=True)
class _Bench:
    dagster_url: str
    storage: Engine
    pids: dict[str, int]

    def launch(self) -> str:
        """Ask for a run; returns its id."""
        body = {"query": _LAUNCH, "variables": {"job": _JOB}}
        request = urllib.request.Request(
            f"{self.dagster_url}/graphql",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with LOOPBACK_OPENER.open(request, timeout=60) as response:
            answer = json.load(response)
        run_id: str = answer["data"]["launchRun"]["run"]["runId"]
        return run_id

    def finish(self, run_ids: Sequence[str]) -> list[_Times]:
        """Wait for the end of runs; all must succeed."""
        deadline = time.monotonic() + _WAIT_SECONDS
        while self._rows(_FINISHED, run_ids)[0][0] < len(run_ids):
            if time.monotonic() > deadline:
                raise TimeoutError(f"runs did not end within {_WAIT_SECONDS:g} s")
            time.sleep(0.1)
        events: dict[str, dict[str, float]] = {run_id: {} for run_id in run_ids}
        for run_id, kind, at in self._rows(_EVENTS, run_ids):
            events[run_id][kind] = float(at)
        return [_times(kinds) for kinds in events.values()]

    def usage(self) -> _Usage:
        """What has been used so far."""
        everything = sum(cpu_seconds(self.pids).values())
        ended = 0.0
        for process in self._dagster_processes():
            times = process.cpu_times()
            ended += times.children_user + times.children_system
        return _Usage(everything, ended)

    def forkserver_mb(self) -> int | None:
        """Resident memory of the forkserver; None where there is none."""
        for process in self._dagster_processes():
            if server.__name__ in process.cmdline():
                return int(process.memory_info().rss // _MEGABYTE)
        return None

    def _dagster_processes(self) -> Iterator[psutil.Process]:
        for name in ("dagster-daemon", "code-server"):
            process = psutil.Process(self.pids[name])
            yield from (process, *process.children(recursive=True))

    def _rows(self, query: str, run_ids: Sequence[str]) -> Sequence[Any]:
        with self.storage.connect() as connection:
            return connection.execute(sa.text(query), {"ids": list(run_ids)}).all()


@contextmanager
def _platform(launcher: Launcher) -> Iterator[_Bench]:
    former = dict(os.environ)
    for name in _VARIABLES:
        os.environ.pop(name, None)
    os.environ["FULFILLMENT_RUN_LAUNCHER"] = launcher
    try:
        with tempfile.TemporaryDirectory(prefix="fulfillment-bench-") as folder:
            settings = Settings().model_copy(update={"data_dir": Path(folder), "inbox_dir": None})
            with platform.database(settings) as url:
                supervisor, urls = services.compose(
                    settings, platform.environment(settings, url), embedded=[]
                )
                engine = create_engine(url)
                storage = sa.create_engine(dagster_storage_url(url))
                with supervisor, engine.connect() as connection:
                    backend = connection.scalar(sa.text("SELECT pg_backend_pid()")) or 0
                    pids = {status.name: status.pid or 0 for status in supervisor.status()}
                    pids["postgresql"] = psutil.Process(backend).ppid()
                    yield _Bench(urls.dagster, storage, pids)
                storage.dispose()
                engine.dispose()
    finally:
        os.environ.clear()
        os.environ.update(former)


def _times(kinds: dict[str, float]) -> _Times:
    if "PIPELINE_SUCCESS" not in kinds:
        raise RuntimeError(f"a run did not succeed: {', '.join(kinds)}")
    launched = kinds["PIPELINE_STARTING"]
    return _Times(launched, kinds["STEP_START"] - launched, kinds["PIPELINE_SUCCESS"] - launched)


def _span(runs: Sequence[_Times]) -> float:
    """Seconds from the first launch to the last end."""
    return max(run.launched + run.end for run in runs) - min(run.launched for run in runs)
