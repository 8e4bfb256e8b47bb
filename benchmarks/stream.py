"""The stream, produced to committed: sensor, run and transaction, on a platform of its own.

A message's latency is the time from its timestamp in Kafka to the commit of its range. It is
taken over every message that was sent after a short warm-up, the rejected ones included. All
processes share this machine, the simulator too.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from benchmarks.private_platform import (
    Load,
    PrivatePlatform,
    StreamSettings,
    private_platform,
    private_settings,
    producing,
)
from benchmarks.usage import cpu_seconds, rss_mb
from fulfillment_assets.events.client import admin
from fulfillment_assets.events.producing import Sent
from fulfillment_assets.events.topic_log import look_at
from fulfillment_assets.local import platform
from fulfillment_assets.local.errors import LocalServiceError
from fulfillment_assets.local.logs import last_lines

WARM_UP: Final = Load(count=60, seed=0)
POLL_SECONDS: Final = 0.5
STALLED_SECONDS: Final = 120.0
"""Without any progress for so long, waiting is given up."""

_ACCOUNTED: Final = """
WITH accounted AS (
    SELECT partition, "offset", produced_at AS at FROM predictions WHERE topic = :topic
    UNION ALL
    SELECT partition, "offset", message_time FROM rejected_records WHERE topic = :topic
)
"""
_COUNTS: Final = f"""
{_ACCOUNTED}
SELECT count(*) AS rows, count(DISTINCT (partition, "offset")) AS messages FROM accounted
"""
_LATENCIES: Final = f"""
{_ACCOUNTED}
SELECT percentile_cont(ARRAY[0.5, 0.95, 0.99, 1]) WITHIN GROUP (
    ORDER BY extract(epoch FROM batch.committed_at - accounted.at)
) FROM accounted CROSS JOIN LATERAL (
    SELECT committed_at FROM stream_batches
    WHERE topic = :topic AND partition = accounted.partition AND end_offset > accounted."offset"
    ORDER BY end_offset LIMIT 1
) AS batch
WHERE accounted.at >= :since
"""
_SPAN: Final = """
SELECT extract(epoch FROM max(committed_at) - min(committed_at - seconds * interval '1 second'))
FROM stream_batches WHERE topic = :topic AND committed_at >= :since
"""
_RUNS: Final = """
SELECT count(*) FROM stream_batches WHERE topic = :topic AND committed_at >= :since
"""
_DEAD_LETTERED: Final = "SELECT sum(dead_lettered) FROM stream_offsets WHERE topic = :topic"


@dataclass(frozen=True, slots=True)
class Ledger:
    """Every message of the topic, held against what became of it."""

    produced: int
    committed: int
    lost: int
    duplicated: int
    dead_lettered: int


@dataclass(frozen=True, slots=True)
class StreamTimes:
    """Seconds from produced to committed, and what else is worth knowing.

    Attributes:
        produced: messages in Kafka, the warm-up included.
        lost: those of them that are neither predictions nor dead letters.
        duplicated: rows of predictions and dead letters above one for a message.
        events_per_second: committed, from the first look at Kafka to the last commit.
        sent_per_second: what the simulator reached.
        max_lag: most messages that were seen waiting.
        runs: transactions that committed messages.
        cpu_seconds: from the start of the load until all was committed, with what a process
            started; of the machine's processes, by service.
        rss_mb: memory of the services' main processes at the end.
    """

    p50_s: float
    p95_s: float
    p99_s: float
    max_s: float
    produced: int
    committed: int
    lost: int
    duplicated: int
    dead_lettered: int
    events_per_second: int
    sent_per_second: int
    max_lag: int
    runs: int
    cpu_seconds: dict[str, float]
    rss_mb: dict[str, int]


@dataclass(frozen=True, slots=True)
class BacklogTimes:
    """How fast a backlog is committed that was there before the platform; see `StreamTimes`."""

    events_per_second: int
    seconds: float
    produced: int
    committed: int
    lost: int
    duplicated: int
    dead_lettered: int
    runs: int
    cpu_seconds: dict[str, float]
    rss_mb: dict[str, int]


def run(load: Load, stream: StreamSettings) -> StreamTimes:
    """Send a load to a platform that is up, and wait until all of it is committed."""
    with private_settings(stream) as settings, private_platform(settings) as up:
        _send(up, WARM_UP)
        since = dt.datetime.now(dt.UTC)
        usage = cpu_seconds(up.pids())
        sent, max_lag = _send(up, load)
        used = _used(up, usage)
        p50, p95, p99, longest = latencies(up, since)
        ledger = ledger_of(up)
        return StreamTimes(
            p50_s=p50,
            p95_s=p95,
            p99_s=p99,
            max_s=longest,
            produced=ledger.produced,
            committed=ledger.committed,
            lost=ledger.lost,
            duplicated=ledger.duplicated,
            dead_lettered=ledger.dead_lettered,
            events_per_second=round(sent.messages / _span(up, since)),
            sent_per_second=round(sent.rate),
            max_lag=max_lag,
            runs=_runs(up, since),
            cpu_seconds=used,
            rss_mb=rss_mb(up.pids()),
        )


def run_backlog(load: Load, stream: StreamSettings) -> BacklogTimes:
    """Fill the topic before the platform starts, and wait until all of it is committed."""
    with private_settings(stream) as settings:
        with platform.broker(settings) as alone, producing(alone, load) as sending:
            sending.result()
        with private_platform(settings) as up:
            since = dt.datetime.min.replace(tzinfo=dt.UTC)
            usage = cpu_seconds(up.pids())
            drain(up)
            _check_drained(up)
            used = _used(up, usage)
            ledger = ledger_of(up)
            seconds = _span(up, since)
            return BacklogTimes(
                events_per_second=round(ledger.committed / seconds),
                seconds=round(seconds, 2),
                produced=ledger.produced,
                committed=ledger.committed,
                lost=ledger.lost,
                duplicated=ledger.duplicated,
                dead_lettered=ledger.dead_lettered,
                runs=_runs(up, since),
                cpu_seconds=used,
                rss_mb=rss_mb(up.pids()),
            )


def ledger_of(up: PrivatePlatform) -> Ledger:
    """Hold every offset of the topic against the rows that came of it."""
    topic = up.settings.events_topic
    with admin(up.settings) as client:
        log = look_at(client, topic)
    produced = sum(log.ends.values()) - sum(log.starts.values())
    with up.engine.connect() as connection:
        counts = connection.execute(sa.text(_COUNTS), {"topic": topic}).one()
        dead = connection.scalar(sa.text(_DEAD_LETTERED), {"topic": topic})
    return Ledger(
        produced=produced,
        committed=counts.messages,
        lost=produced - counts.messages,
        duplicated=counts.rows - counts.messages,
        dead_lettered=int(dead or 0),
    )


def latencies(up: PrivatePlatform, since: dt.datetime) -> list[float]:
    """Median, 95th and 99th percentile, and maximum, of messages sent since then; in seconds."""
    values = {"topic": up.settings.events_topic, "since": since}
    with up.engine.connect() as connection:
        found = connection.execute(sa.text(_LATENCIES), values).scalar_one()
    return [round(float(seconds), 3) for seconds in found]


def drain(
    up: PrivatePlatform,
    *,
    busy: Callable[[], bool] = lambda: False,
    tend: Callable[[], None] | None = None,
) -> int:
    """Wait until nothing waits any more, and nobody sends; return the greatest lag on the way.

    It ends, too, if nothing is committed any more.

    Args:
        up: the platform.
        busy: whether messages are still being sent.
        tend: what to do between two looks; by default nothing, for a moment.

    Raises:
        ServiceFailedError: a service crashed too often.
    """
    greatest = 0
    least, progressed = None, time.monotonic()
    while time.monotonic() - progressed < STALLED_SECONDS:
        lag = up.lag()
        if lag == 0 and not busy():
            break
        if lag is not None:
            greatest = max(greatest, lag)
            if busy() or least is None or lag < least:
                least, progressed = lag, time.monotonic()
        tend() if tend else up.supervisor.wait(POLL_SECONDS)
    return greatest


def _send(up: PrivatePlatform, load: Load) -> tuple[Sent, int]:
    """Send a load, wait until it is committed; return what was sent and the greatest lag."""
    with producing(up.settings, load) as sending:
        max_lag = drain(up, busy=lambda: not sending.done())
        _check_drained(up)
        return sending.result(), max_lag


def _check_drained(up: PrivatePlatform) -> None:
    if (lag := up.lag()) != 0:
        log = up.settings.data_dir / "logs" / "dagster-daemon.log"
        raise LocalServiceError(
            f"Nothing was committed for {STALLED_SECONDS:g} seconds while {lag} messages waited. "
            f"The daemon said last:\n{last_lines(log)}"
        )


def _span(up: PrivatePlatform, since: dt.datetime) -> float:
    """Seconds from the first look at Kafka to the last commit."""
    values = {"topic": up.settings.events_topic, "since": since}
    with up.engine.connect() as connection:
        return float(connection.execute(sa.text(_SPAN), values).scalar_one())


def _runs(up: PrivatePlatform, since: dt.datetime) -> int:
    values = {"topic": up.settings.events_topic, "since": since}
    with up.engine.connect() as connection:
        return int(connection.execute(sa.text(_RUNS), values).scalar_one())


def _used(up: PrivatePlatform, before: dict[str, float]) -> dict[str, float]:
    after = cpu_seconds(up.pids())
    return {name: round(seconds - before.get(name, 0.0), 2) for name, seconds in after.items()}
