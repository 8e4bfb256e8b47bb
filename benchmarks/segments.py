"""Alarms of segments: how often chance raises one, and how often a planted shift is found.

Run with `python -m benchmarks.segments --days 200 --seeds 50`. The traffic is the simulator's mix
of segments, with the probabilities that the committed model gives it. Every simulated day has a
week of its own before it; its orders come in several looks an hour, each of which adds to the
hourly rollups and lets the platform's own rules judge them, on a real PostgreSQL. The planted shift
adds 0.15 to each probability of one warehouse and mode (0.999 at most) for one hour.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import sqlalchemy as sa
import typer
from sqlalchemy.engine import Engine

from benchmarks.segment_traffic import POOL_ORDERS, SEED, SHIFTED, Traffic
from fulfillment_assets.deviations.rules import watch_segments
from fulfillment_assets.deviations.segments import DIMENSIONS
from fulfillment_assets.deviations.severity import Thresholds
from fulfillment_assets.local.postgres import EmbeddedPostgres
from fulfillment_assets.scoring.staging import open_staging
from fulfillment_assets.store import migrate
from fulfillment_assets.store.connection import create_engine
from fulfillment_assets.store.copy import copy_into, encode

MIDNIGHT: Final = dt.datetime(2026, 3, 8, tzinfo=dt.UTC)
HOUR: Final = dt.timedelta(hours=1)
HISTORY_HOURS: Final = 168

SHIFT: Final = 0.15

_KEY: Final = ("bucket", *DIMENSIONS)
_MEASURES: Final = (
    "orders",
    "probability_sum",
    "probability_square_sum",
    "critical",
    "warning",
    "info",
    "gap",
)
_COLUMNS: Final = ", ".join((*_KEY, *_MEASURES))
_LOOK: Final = (
    f"CREATE TEMP TABLE look ON COMMIT DROP AS SELECT {_COLUMNS} FROM kpi_rollups WITH NO DATA"
)
_ADD: Final = f"""
INSERT INTO kpi_rollups AS k ({_COLUMNS}) SELECT {_COLUMNS} FROM look
ON CONFLICT ({", ".join(_KEY)}) DO UPDATE SET
    {", ".join(f"{name} = k.{name} + excluded.{name}" for name in _MEASURES)}
"""


@dataclass(frozen=True, slots=True)
class Power:
    """What became of a planted shift at one volume of traffic.

    Attributes:
        seeds: how often it was planted.
        found: how often any segment's risk was found raised within the hour.
        right_first: how often the shifted segment was the first that was found.
        segment_orders: mean number of orders of the shifted segment in the hour.
    """

    orders_per_hour: int
    segment_orders: float
    seeds: int
    found: int
    right_first: int


@dataclass(frozen=True, slots=True)
class SegmentAlarms:
    """What was measured.

    Attributes:
        days: stationary days.
        orders_per_hour: their traffic.
        looks_per_hour: how often an hour is judged while its orders come in.
        false_alarm_days: days on which any segment had a deviation of any kind.
        milliseconds_per_look: what judging the segments takes, the median.
        power: of the planted shift, by volume.
    """

    days: int
    orders_per_hour: int
    looks_per_hour: int
    false_alarm_days: int
    milliseconds_per_look: float
    seconds: float
    power: list[Power]


@dataclass(slots=True)
class Bench:
    """A database and traffic, and how long each look took, in seconds."""

    engine: Engine
    traffic: Traffic
    looks_per_hour: int
    look_seconds: list[float]

    def begin(self, random: np.random.Generator, orders: int) -> None:
        """Forget everything, and let a week of usual traffic have passed before midnight."""
        hours = [MIDNIGHT - back * HOUR for back in range(HISTORY_HOURS, 0, -1)]
        rows = encode(self.traffic.rows(random, hours, orders))
        with self.engine.begin() as connection:
            connection.execute(
                sa.text("TRUNCATE kpi_rollups, segment_baselines, deviations, outbox CASCADE")
            )
            copy_into(connection, "kpi_rollups", rows)
        with self.engine.begin() as connection:
            connection.execute(sa.text("ANALYZE kpi_rollups"))

    def hour(
        self, random: np.random.Generator, hour: dt.datetime, orders: int, *, shift: float = 0.0
    ) -> None:
        """Let an hour's orders come in, look by look."""
        for look in range(1, self.looks_per_hour + 1):
            share = orders / self.looks_per_hour
            rows = encode(self.traffic.rows(random, [hour], share, shift=shift))
            now = hour + HOUR * look / self.looks_per_hour - dt.timedelta(seconds=1)
            with self.engine.begin() as connection:
                open_staging(connection)
                connection.execute(sa.text(_LOOK))
                copy_into(connection, "look", rows)
                connection.execute(sa.text(_ADD))
                started = time.perf_counter()
                watch_segments(connection, Thresholds(), now)
                self.look_seconds.append(time.perf_counter() - started)

    def found(self) -> list[str]:
        """The kind and the segment of every deviation, in the order in which they were opened."""
        with self.engine.connect() as connection:
            return list(
                connection.execute(
                    sa.text("SELECT kind || ' ' || segment_key FROM deviations ORDER BY id")
                ).scalars()
            )


def false_alarm_days(bench: Bench, days: int, orders: int) -> int:
    """On how many stationary days any segment had a deviation."""
    alarmed = 0
    for day in range(days):
        random = np.random.default_rng((SEED, day))
        bench.begin(random, orders)
        for hour in range(24):
            bench.hour(random, MIDNIGHT + hour * HOUR, orders)
        alarmed += bool(bench.found())
    return alarmed


def power(bench: Bench, seeds: int, orders: int) -> Power:
    """How often a shift of one segment is found in the hour in which it is there."""
    found = right = 0
    for seed in range(seeds):
        random = np.random.default_rng((SEED, orders, seed))
        bench.begin(random, orders)
        bench.hour(random, MIDNIGHT, orders, shift=SHIFT)
        alarms = [alarm for alarm in bench.found() if alarm.startswith("segment_risk ")]
        found += bool(alarms)
        right += bool(alarms) and alarms[0] == f"segment_risk {SHIFTED.key}"
    return Power(orders, round(orders * bench.traffic.shifted_share, 1), seeds, found, right)


@contextlib.contextmanager
def ready(looks_per_hour: int, pool: int = POOL_ORDERS) -> Iterator[Bench]:
    """A fresh database and traffic."""
    with (
        tempfile.TemporaryDirectory(prefix="fulfillment-bench-", dir="/tmp") as directory,
        EmbeddedPostgres(Path(directory)).running() as server,
    ):
        migrate.upgrade(server.url)
        engine = create_engine(server.url)
        try:
            yield Bench(engine, Traffic(pool), looks_per_hour, [])
        finally:
            engine.dispose()


def run(
    days: int, seeds: int, orders_per_hour: int, looks_per_hour: int, volumes: list[int]
) -> SegmentAlarms:
    """Measure false alarms at one volume of traffic, and power at several."""
    started = time.perf_counter()
    with ready(looks_per_hour) as bench:
        alarmed = false_alarm_days(bench, days, orders_per_hour)
        milliseconds = 1_000 * statistics.median(bench.look_seconds)
        found = [power(bench, seeds, volume) for volume in volumes]
    return SegmentAlarms(
        days=days,
        orders_per_hour=orders_per_hour,
        looks_per_hour=looks_per_hour,
        false_alarm_days=alarmed,
        milliseconds_per_look=round(milliseconds, 2),
        seconds=round(time.perf_counter() - started, 1),
        power=found,
    )


def main(
    days: Annotated[int, typer.Option(min=1, help="Stationary days.")] = 200,
    seeds: Annotated[int, typer.Option(min=1, help="Times that the shift is planted.")] = 50,
    orders_per_hour: Annotated[int, typer.Option(min=1, help="Traffic of the days.")] = 4_000,
    looks: Annotated[int, typer.Option(min=1, help="Looks an hour.")] = 4,
    volumes: Annotated[
        str, typer.Option(help="Orders an hour at which the shift is planted.")
    ] = "1000,2000,4000,8000",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure how often chance raises an alarm, and how often a shift is found."""
    found = run(days, seeds, orders_per_hour, looks, [int(text) for text in volumes.split(",")])
    if as_json:
        typer.echo(json.dumps(asdict(found)))
        return
    typer.echo(
        f"{found.false_alarm_days} of {found.days} stationary days had an alarm "
        f"({found.orders_per_hour:,} orders and {found.looks_per_hour} looks an hour)"
    )
    for one in found.power:
        typer.echo(
            f"{one.orders_per_hour:,} orders an hour, {one.segment_orders:.0f} of them shifted: "
            f"{one.found} of {one.seeds} found, {one.right_first} with the right segment first"
        )


if __name__ == "__main__":
    typer.run(main)
