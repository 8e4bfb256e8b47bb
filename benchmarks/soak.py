"""The stream for a long time, with faults in it, and a process killed every minute.

In turn a run, the daemon, the code server, the broker and PostgreSQL are killed with SIGKILL, and
the platform has to come back by itself, as under `fulfillment up`. In the end every message must
be accounted for once, the lag must have been small again before each next kill, and the memory
of the long-lived processes must not have grown.

    python -m benchmarks.soak --minutes 30
"""

from __future__ import annotations

import contextlib
import os
import signal
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.private_platform import (
    Load,
    PrivatePlatform,
    StreamSettings,
    private_platform,
    private_settings,
    producing,
)
from benchmarks.stream import Ledger, drain, ledger_of
from benchmarks.usage import rss_mb
from benchmarks.workers import workers_of
from fulfillment_assets.events.simulated import Traffic
from fulfillment_assets.kpis import rollups
from fulfillment_assets.local.postgres import EmbeddedPostgres

VICTIMS: Final = ("run", "dagster-daemon", "code-server", "kafka", "postgresql")
WATCHED: Final = ("dagster-daemon", "code-server", "dagster-webserver")
WARM_UP_SHARE: Final = 0.2
MEMORY_GROWTH: Final = 0.10
FLUSHES: Final = 2
FIND_SECONDS: Final = 20.0


@dataclass(slots=True)
class Kill:
    """One kill, and how the platform took it.

    Attributes:
        second: when, counted from the start.
        victim: which process; `-` if none could be found.
        max_lag: most messages that waited until the next kill.
        recovered: seconds until few enough waited again for good; None if that did not happen.
    """

    second: float
    victim: str
    max_lag: int = 0
    recovered: float | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """One look: seconds since the start, waiting messages (None: nobody tells), memory in MB."""

    second: float
    lag: int | None
    rss: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Soak:
    """What came of it."""

    kills: Sequence[Kill]
    samples: Sequence[Sample]
    ledger: Ledger
    sent: int
    allowed_lag: int
    rollup_differences: int

    @property
    def growth(self) -> float:
        """How much the memory of the long-lived processes grew after the warm-up, as a share.

        Killed processes start anew, so medians of the first and the last third are compared.
        """
        last = self.samples[-1].second
        warm = [s for s in self.samples if s.second >= WARM_UP_SHARE * last]
        totals = [sum(s.rss.values()) for s in warm if set(s.rss) == set(WATCHED)]
        third = max(1, len(totals) // 3)
        return statistics.median(totals[-third:]) / statistics.median(totals[:third]) - 1

    @property
    def verdicts(self) -> dict[str, bool]:
        """Each thing that must hold, and whether it does."""
        return {
            "nothing lost": self.ledger.lost == 0 and self.ledger.produced == self.sent,
            "nothing doubled": self.ledger.duplicated == 0,
            "rollups equal a recomputation": self.rollup_differences == 0,
            f"lag below {self.allowed_lag:,} before the next kill": all(
                kill.recovered is not None for kill in self.kills
            ),
            f"memory flat within {MEMORY_GROWTH:.0%}": self.growth <= MEMORY_GROWTH,
            "every kind of process was killed": {k.victim for k in self.kills} == set(VICTIMS),
        }


def run(
    minutes: float,
    rate: float,
    fault_share: float,
    kill_every: float,
    stream: StreamSettings,
    tell: Callable[[str], None],
) -> Soak:
    """Run the soak and hold the tables against Kafka."""
    load = Load(rate=rate, duration=minutes * 60, traffic=Traffic(fault_share=fault_share))
    with (
        private_settings(stream) as settings,
        private_platform(settings) as up,
        producing(up.settings, load) as sending,
    ):
        partitions = settings.events_partitions
        flush = min(stream.flush_messages, rate / partitions * stream.flush_seconds) * partitions
        watch = _Watch(up, round(FLUSHES * flush), kill_every, tell)
        while not sending.done():
            watch.turn()
        drain(up, tend=watch.tend)
        with up.engine.connect() as connection:
            differing = rollups.differences(connection)
        return Soak(
            watch.kills,
            watch.samples,
            ledger_of(up),
            sending.result().messages,
            watch.allowed_lag,
            differing,
        )


@dataclass(slots=True)
class _Watch:
    """Looks at the platform every second, keeps its database up, and kills one of its processes."""

    up: PrivatePlatform
    allowed_lag: int
    kill_every: float
    tell: Callable[[str], None]
    kills: list[Kill] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    def turn(self) -> None:
        """One second."""
        self.tend()
        pids = self.up.pids()
        watched = {name: pid for name, pid in pids.items() if name in WATCHED}
        sample = Sample(self._second, self.up.lag(), rss_mb(watched))
        self.samples.append(sample)
        if self.kills:
            self._follow(self.kills[-1], sample)
        if self._second >= self.kill_every * (len(self.kills) + 1):
            self._kill(VICTIMS[len(self.kills) % len(VICTIMS)])

    def tend(self) -> None:
        """What `fulfillment up` does: wait, and start PostgreSQL again if it is gone."""
        self.up.supervisor.wait(1.0)
        EmbeddedPostgres(self.up.settings.data_dir, self.up.settings.postgres_port).start()

    @property
    def _second(self) -> float:
        return time.monotonic() - self.started

    def _follow(self, kill: Kill, sample: Sample) -> None:
        if sample.lag is None or sample.lag >= self.allowed_lag:
            kill.recovered = None
        elif kill.recovered is None:
            kill.recovered = round(sample.second - kill.second, 1)
        kill.max_lag = max(kill.max_lag, sample.lag or 0)

    def _kill(self, victim: str) -> None:
        pid = self._running() if victim == "run" else self.up.pids().get(victim)
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.kills.append(Kill(round(self._second, 1), "-" if pid is None else victim))
        lag = self.samples[-1].lag
        self.tell(f"{self._second:6.0f} s: killed {self.kills[-1].victim}, {lag} messages waited")

    def _running(self) -> int | None:
        """The process of a run of the stream that is at work."""
        deadline = time.monotonic() + FIND_SECONDS
        while time.monotonic() < deadline:
            for worker in workers_of(self.up.engine, "score_stream"):
                return worker.pid
            time.sleep(0.02)
        return None


def _print(soak: Soak, console: Console) -> None:
    table = Table(title="Kills", title_justify="left")
    for name in ("second", "killed", "most waiting", "recovered after s"):
        table.add_column(name, justify="right")
    for kill in soak.kills:
        recovered = "never" if kill.recovered is None else f"{kill.recovered:.1f}"
        table.add_row(f"{kill.second:.0f}", kill.victim, f"{kill.max_lag:,}", recovered)
    console.print(table)
    ledger = soak.ledger
    console.print(
        f"{ledger.produced:,} produced, {ledger.committed:,} committed, of them "
        f"{ledger.dead_lettered:,} dead-lettered; {ledger.lost:,} lost, {ledger.duplicated:,} "
        f"doubled; memory grew by {soak.growth:.1%}"
    )
    for name, holds in soak.verdicts.items():
        console.print(f"{'[green]holds[/]' if holds else '[bold red]BROKEN[/]'}  {name}")


def main(
    minutes: Annotated[float, typer.Option(min=0.1, help="How long events are sent.")] = 30.0,
    rate: Annotated[float, typer.Option(min=1, help="Events a second.")] = 500.0,
    fault_share: Annotated[float, typer.Option(min=0, max=1, help="Share of bad events.")] = 0.01,
    kill_every: Annotated[float, typer.Option(min=5, help="Seconds between two kills.")] = 60.0,
    flush_messages: Annotated[int, typer.Option(min=1)] = 1_000,
    flush_seconds: Annotated[float, typer.Option(min=0.1)] = 15.0,
) -> None:
    """Run the stream for long, kill a process every minute, and check that nothing is lost."""
    notes = Console(stderr=True)
    soak = run(
        minutes,
        rate,
        fault_share,
        kill_every,
        StreamSettings(flush_messages, flush_seconds, "warm"),
        lambda line: notes.print(line, highlight=False),
    )
    _print(soak, Console(highlight=False, width=None if sys.stdout.isatty() else 110))
    if not all(soak.verdicts.values()):
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
