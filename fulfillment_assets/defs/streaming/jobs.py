"""Runs of the stream: a range of messages is committed, and what it announces is published.

Plain jobs over one op each: a micro-batch writes the tables of `score_orders`, and says so with
asset events, but does not pay for an asset's checks every second.
"""

import datetime as dt
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
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

PARTITION_TAG: Final = "fulfillment/stream_partition/"
"""With a partition's number behind it, the tag says where the run's range of it starts.

By these tags partitions with a run in flight are left alone, and attempts are counted.
"""

THREADS: Final = 3
"""Ranges that a run is at work on at a time: while one waits for Kafka, others are scored."""

PRIORITY: Final = "10"
MAX_SECONDS: Final = 600
RELAY_SECONDS: Final = 60.0
"""Within it, one run of the relay goes on while events wait."""


class PartitionRange(dg.Config):
    """The offsets from `start` up to, and without, `end` of one partition."""

    partition: int
    start: int
    end: int
    attempt: int = 1


class RangesConfig(dg.Config):
    """Ranges of one topic, of different partitions."""

    topic: str
    ranges: list[PartitionRange]


@dg.op
def score_messages(
    context: dg.OpExecutionContext, config: RangesConfig, platform: Platform
) -> dict[str, Any]:
    """Read, score and commit exactly these ranges; each moves its partition's offset past it.

    A range that cannot be committed does not keep the others from it.
    """
    from fulfillment_assets.events.ranges import StreamRange
    from fulfillment_assets.observability.correlation import here
    from fulfillment_assets.scoring.stream import score_range

    scorer = platform.scorer
    committed, errors = [], []

    def score(one: PartitionRange) -> "StreamResult":
        wanted = StreamRange(config.topic, one.partition, one.start, one.end)
        return score_range(
            platform.engine,
            platform.settings,
            scorer,
            wanted,
            run_id=context.run.run_id,
            attempt=one.attempt,
        )

    with ThreadPoolExecutor(THREADS) as threads:
        for one, task in [(one, threads.submit(here(score, one))) for one in config.ranges]:
            try:
                committed.append(task.result())
            except Exception as error:
                errors.append(error)
                context.log.exception(
                    f"{config.topic}[{one.partition}] {one.start}-{one.end} failed"
                )
    for gap in (gap for result in committed for gap in result.gaps):
        context.log.error(f"a gap in the stream: {gap}")
    numbers = _numbers(config.topic, committed) | {"model_version": scorer.version}
    if not all(result.already_committed for result in committed):
        day = dt.datetime.now(dt.UTC).date().isoformat()
        for asset in (PREDICTIONS, KPI_ROLLUPS, DEVIATIONS):
            context.log_event(dg.AssetMaterialization(asset, metadata=numbers, partition=day))
    if errors:
        raise errors[0]
    return numbers


@dg.job(
    name=STREAM_JOB,
    description=(
        "Score ranges of messages, one of a Kafka partition, each in one transaction that also "
        "moves the partition's offset: a range is committed once, however often it is run."
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


def ranges_request(attempts: Mapping["StreamRange", int]) -> dg.RunRequest:
    """The run that commits ranges of one topic, each for the attempt that is given with it."""
    (topic,) = {wanted.topic for wanted in attempts}
    ranges = [
        {"partition": one.partition, "start": one.start, "end": one.end, "attempt": attempt}
        for one, attempt in attempts.items()
    ]
    keys = (
        f"{topic}:{one.partition}:{one.start}-{one.end}:{attempt}"
        for one, attempt in attempts.items()
    )
    return dg.RunRequest(
        run_key=" ".join(keys),
        run_config={"ops": {"score_messages": {"config": {"topic": topic, "ranges": ranges}}}},
        tags={
            **dict(map(range_tag, attempts)),
            "dagster/priority": PRIORITY,
            "dagster/max_runtime": str(MAX_SECONDS),
        },
    )


def range_tag(wanted: "StreamRange") -> tuple[str, str]:
    """The tag of runs that commit a range which starts where this one does."""
    return f"{PARTITION_TAG}{wanted.partition}", f"{wanted.topic}:{wanted.start}"


def _numbers(topic: str, committed: Sequence["StreamResult"]) -> dict[str, Any]:
    return {
        "topic": topic,
        "offsets": " ".join(
            f"{done.wanted.partition}:{done.wanted.start}-{done.wanted.end}" for done in committed
        ),
        "rows": sum(done.predicted for done in committed),
        "dead_lettered": sum(done.dead_lettered for done in committed),
        "gaps": sum(len(done.gaps) for done in committed),
        "seconds": round(sum(done.seconds for done in committed), 3),
        "already_committed": sum(done.already_committed for done in committed),
    }
