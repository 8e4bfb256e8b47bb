"""Retention: what is older than the kept days is dropped, a partition at a time."""

from __future__ import annotations

import datetime as dt
import logging

from sqlalchemy.engine import Engine

from fulfillment_assets.kpis import rollups
from fulfillment_assets.store.partitions import drop_partitions_before, utc_today

logger = logging.getLogger(__name__)


def apply_retention(engine: Engine, days: int, *, today: dt.date | None = None) -> list[str]:
    """Drop the predictions made more than `days` days before `today`; return the partitions.

    The rollups stop counting events of dropped days first, so at no moment do they count what
    a rebuild could not find. Idempotent.
    """
    first_kept = (today or utc_today()) - dt.timedelta(days=days)
    with engine.begin() as connection:
        rollups.forget_before(connection, dt.datetime.combine(first_kept, dt.time(), dt.UTC))
    dropped = drop_partitions_before(engine, first_kept)
    if dropped:
        logger.info("dropped %s", ", ".join(dropped))
    return dropped
