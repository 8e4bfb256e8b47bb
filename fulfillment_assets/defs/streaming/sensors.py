"""The sensors of the stream: messages that wait become runs, and so do events in the outbox."""

import datetime as dt
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import dagster as dg

from fulfillment_assets.defs.resources import Platform
from fulfillment_assets.defs.runs import unfinished
from fulfillment_assets.defs.streaming.jobs import (
    PARTITION_TAG,
    STREAM_JOB,
    range_tag,
    ranges_request,
    relay_events,
    score_stream,
)

if TYPE_CHECKING:
    from fulfillment_assets.events.backlog import PartitionBacklog
    from fulfillment_assets.events.ranges import StreamRange

WAIT_SECONDS: Final = 4.5
"""How long a tick waits for messages that are due: then it, and not the next one, sees them."""

LOOK_SECONDS: Final = 0.1
LONGEST_PAUSE: Final = dt.timedelta(minutes=5)
"""Between two attempts at a range that fails and fails again."""

NO_BROKER: Final = "no Kafka broker is configured (KAFKA_BOOTSTRAP_SERVERS)"


@dg.sensor(
    job=score_stream,
    minimum_interval_seconds=1,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Requests runs once enough messages wait in a partition, or one has waited long enough. "
        "PostgreSQL knows what is committed; this sensor remembers nothing."
    ),
)
def kafka_sensor(
    context: dg.SensorEvaluationContext, platform: Platform
) -> dg.SensorResult | dg.SkipReason:
    """Wait, within the tick, until a range is due that no run is at work on."""
    from fulfillment_assets.events.backlog import due_ranges, watching
    from fulfillment_assets.events.client import configured

    settings = platform.settings
    if not configured(settings):
        return dg.SkipReason(NO_BROKER)
    deadline = time.monotonic() + WAIT_SECONDS
    with watching(settings, platform.engine) as waiting:
        while True:
            backlogs, now = waiting(), dt.datetime.now(dt.UTC)
            if any(backlog.due(settings, now) for backlog in backlogs):
                in_flight = _in_flight(context.instance, settings.events_topic)
                due = due_ranges(backlogs, in_flight, settings, now)
                requests = _requests(context.instance, due, settings.stream_max_range, now)
                if requests:
                    return dg.SensorResult(run_requests=requests, cursor=_shown(backlogs, now))
            if time.monotonic() > deadline:
                return dg.SensorResult(
                    skip_reason=f"nothing is due: {_shown(backlogs, now)}",
                    cursor=_shown(backlogs, now),
                )
            time.sleep(LOOK_SECONDS)


@dg.sensor(
    job=relay_events,
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Requests a run of the relay while committed events wait to be published.",
)
def outbox_sensor(
    context: dg.SensorEvaluationContext, platform: Platform
) -> dg.RunRequest | dg.SkipReason:
    """Request a run if events wait, a broker is configured, and no relay is at work."""
    from fulfillment_assets.events.client import configured
    from fulfillment_assets.events.relay import events_wait

    if not configured(platform.settings):
        return dg.SkipReason(NO_BROKER)
    with platform.engine.connect() as connection:
        if not events_wait(connection):
            return dg.SkipReason("no event waits in the outbox")
    if context.instance.get_runs_count(unfinished(relay_events.name)):
        return dg.SkipReason("the relay is at work")
    return dg.RunRequest()


def _in_flight(instance: dg.DagsterInstance, topic: str) -> set[int]:
    """Partitions of the topic for which a run is unfinished."""
    runs = instance.get_runs(unfinished(STREAM_JOB))
    return {
        int(key.removeprefix(PARTITION_TAG))
        for run in runs
        for key, start in run.tags.items()
        if key.startswith(PARTITION_TAG) and start.rpartition(":")[0] == topic
    }


def _requests(
    instance: dg.DagsterInstance, due: Sequence["StreamRange"], largest: int, now: dt.datetime
) -> list[dg.RunRequest]:
    """A run for as many small ranges as fit into a large one; one that failed has its own."""
    packs: list[dict[StreamRange, int]] = []
    again: list[dict[StreamRange, int]] = []
    room = 0
    for wanted in due:
        tag, start = range_tag(wanted)
        before = instance.get_run_records(dg.RunsFilter(tags={tag: start}), limit=50)
        if before:
            if now - before[0].update_timestamp >= _pause(len(before)):
                again.append({wanted: len(before) + 1})
            continue
        if wanted.offsets > room:
            packs.append({})
            room = largest
        packs[-1][wanted] = 1
        room -= wanted.offsets
    return [ranges_request(pack) for pack in (*packs, *again)]


def _pause(attempts: int) -> dt.timedelta:
    """Before the next attempt: none before the second, then twice as long each time."""
    return min(dt.timedelta(seconds=2**attempts - 2), LONGEST_PAUSE)


def _shown(backlogs: Sequence["PartitionBacklog"], now: dt.datetime) -> str:
    lag = sum(backlog.lag for backlog in backlogs)
    oldest = max((backlog.age(now) for backlog in backlogs), default=0.0)
    return f"lag {lag:,}, oldest message {oldest:.1f} s"
