"""What scoring tells in the log: a few events for each file, range of messages, or request."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Final

from fulfillment_assets.observability.correlation import bound
from fulfillment_assets.observability.logs import get_logger
from fulfillment_assets.scoring.batch_jobs import BatchJob
from fulfillment_assets.scoring.rows import Source

_LOG: Final = get_logger(__name__)


def tell_claimed(job: BatchJob, *, to_score: bool) -> None:
    """Log `file.claimed`; `to_score` tells whether it now waits to be scored."""
    with bound(correlation_id=job.correlation_id):
        _LOG.info(
            "file.claimed",
            batch_job_id=str(job.id),
            size_bytes=job.size_bytes,
            submission=job.submission,
            to_score=to_score,
        )


def tell_deviations(batch_job_id: uuid.UUID, kinds: Mapping[str, Mapping[str, int]]) -> None:
    """Log `deviations.detected`: those that a file opened or updated, by kind and severity."""
    counts = {kind: dict(severities) for kind, severities in kinds.items()}
    _LOG.info("deviations.detected", batch_job_id=str(batch_job_id), **counts)


def tell_applied(orders: int, seconds: float) -> None:
    """Log `kpis.rolled_up`: orders that were carried into state, rollups and deviations."""
    _LOG.info("kpis.rolled_up", orders=orders, milliseconds=round(seconds * 1_000, 2))


def tell_scored(
    source: Source,
    severities: Mapping[str, int],
    *,
    model_version: str | None,
    seconds: float,
    rejected: int = 0,
    **where: str | int,
) -> None:
    """Log `orders.scored`.

    Args:
        source: the way in.
        severities: how many predictions there are of each severity.
        model_version: what scored; None where nothing could be.
        seconds: how long it took, all that followed from it included.
        rejected: rows or messages that could not be scored.
        where: a batch job, or a topic with its partition and offsets.
    """
    _LOG.info(
        "orders.scored",
        source=source,
        orders=sum(severities.values()),
        rejected=rejected,
        **severities,
        model_version=model_version,
        milliseconds=round(seconds * 1_000, 2),
        **where,
    )
