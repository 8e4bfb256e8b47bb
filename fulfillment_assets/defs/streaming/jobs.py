"""Runs of the stream: a range of messages is committed, and what it announces is published.

Plain jobs over one op each: a micro-batch writes the tables of `score_orders`, and says so with
asset events, but does not pay for an asset's checks every second.
"""

import datetime as dt
import time
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from fulfillment_assets.defs.constants import DATABASE_RETRY
from fulfillment_assets.defs.resources import Platform
from fulfillment_assets.defs.scoring.assets import DEVIATIONS, KPI_ROLLUPS, PREDICTIONS

if TYPE_CHECKING:
    from fulfillment_assets.events.ranges import StreamRange
    from fulfillment_assets.scoring.stream import StreamResult

STREAM_JOB: Final = "score_stream"
RELAY_JOB: Final = "relay_events"

PARTITION_TAG: Final = "fulfillment/stream_partition"
"""At most one run of a partition is in flight; `dagster.yaml` holds to it, too."""

START_TAG: Final = "fulfillment/stream_start"
"""By it the attempts at one range are counted."""

RANGE_TAG: Final = "fulfillment/stream_range"
PRIORITY: Final = "10"
MAX_SECONDS: Final = 600
RELAY_SECONDS: Final = 60.0
"""Within it, one run of the relay goes on while events wait."""


class RangeConfig(dg.Config):
    """The offsets from `start` up to, and without, `end` of one partition of a topic."""

    topic: str
    partition: int
    start: int
    end: int
    attempt: int = 1


@dg.op
def score_messages(
    context: dg.OpExecutionContext, config: RangeConfig, platform: Platform
) -> dict[str, Any]:
    """Read, score and commit exactly one range, and move the partition's offset past it."""
    from fulfillment_assets.events.ranges import StreamRange
    from fulfillment_assets.scoring.stream import score_range

    wanted = StreamRange(config.topic, config.partition, config.start, config.end)
    result = score_range(
        platform.engine,
        platform.settings,
        platform.scorer,
        wanted,
        run_id=context.run.run_id,
        attempt=config.attempt,
    )
    for gap in result.gaps:
        context.log.error(f"a gap in the stream: {gap}")
    numbers = _numbers(result) | {"model_version": platform.scorer.version}
    if not result.already_committed:
        day = dt.datetime.now(dt.UTC).date().isoformat()
        for asset in (PREDICTIONS, KPI_ROLLUPS, DEVIATIONS):
            context.log_event(dg.AssetMaterialization(asset, metadata=numbers, partition=day))
    return numbers


@dg.job(
    name=STREAM_JOB,
    description=(
        "Score one range of messages of one Kafka partition in one transaction, which also moves "
        "the partition's offset: the range is committed once, however often it is run."
    ),
)
def score_stream() -> None:
    """One micro-batch."""
    score_messages()


@dg.op(retry_policy=DATABASE_RETRY)
def publish_events(context: dg.OpExecutionContext, platform: Platform) -> int:
    """Publish what waits in the outbox; what fails waits for the next run."""
    from fulfillment_assets.events.relay import relay_outbox

    published, deadline = 0, time.monotonic() + RELAY_SECONDS
    while time.monotonic() < deadline:
        result = relay_outbox(platform.engine, platform.settings)
        published += result.published
        if result.failed:
            raise dg.Failure(
                f"{result.failed:,} events wait for another try: {result.error}",
                allow_retries=False,
            )
        if not result.published + result.refused:
            break
    context.log.info(f"{published:,} events published")
    return published


@dg.job(
    name=RELAY_JOB,
    description="Publish committed events from the outbox to Kafka, in order, at least once.",
)
def relay_events() -> None:
    """One turn of the relay."""
    publish_events()


def range_request(wanted: "StreamRange", attempt: int) -> dg.RunRequest:
    """The run that commits a range."""
    stream = f"{wanted.topic}:{wanted.partition}"
    config = {
        "topic": wanted.topic,
        "partition": wanted.partition,
        "start": wanted.start,
        "end": wanted.end,
        "attempt": attempt,
    }
    return dg.RunRequest(
        run_key=f"{stream}:{wanted.start}-{wanted.end}:{attempt}",
        run_config={"ops": {"score_messages": {"config": config}}},
        tags={
            PARTITION_TAG: stream,
            START_TAG: f"{stream}:{wanted.start}",
            RANGE_TAG: f"{stream}:{wanted.start}-{wanted.end}",
            "dagster/priority": PRIORITY,
            "dagster/max_runtime": str(MAX_SECONDS),
        },
    )


def _numbers(result: "StreamResult") -> dict[str, Any]:
    wanted = result.wanted
    return {
        "topic": wanted.topic,
        "partition": wanted.partition,
        "offsets": f"{wanted.start}-{wanted.end}",
        "rows": result.predicted,
        "dead_lettered": result.dead_lettered,
        "gaps": len(result.gaps),
        "seconds": round(result.seconds, 3),
        "already_committed": result.already_committed,
    }
