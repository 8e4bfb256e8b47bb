"""Retention: what is older than the kept days is dropped, predictions a partition at a time.

Orders, deviations, batch jobs, positions in the stream and its gaps stay: they say what is, and
what was done about it.
"""

from __future__ import annotations

import datetime as dt
import logging

from sqlalchemy.engine import Engine

from fulfillment_assets.deviations import rules
from fulfillment_assets.events import offsets
from fulfillment_assets.kpis import rollups
from fulfillment_assets.scoring import rejected
from fulfillment_assets.store.partitions import drop_partitions_before, start_of, utc_today

logger = logging.getLogger(__name__)


def apply_retention(engine: Engine, days: int, *, today: dt.date | None = None) -> list[str]:
    """Drop what is more than `days` days older than `today`; return the dropped partitions.

    The rollups stop counting events of dropped days first, so at no moment do they count what
    a rebuild could not find. Idempotent.
    """
    first_kept = (today or utc_today()) - dt.timedelta(days=days)
    moment = start_of(first_kept)
    with engine.begin() as connection:
        rollups.forget_before(connection, moment)
        rules.forget_events_before(connection, moment)
        rejected.forget_before(connection, moment)
        offsets.forget_before(connection, moment)
    dropped = drop_partitions_before(engine, first_kept)
    if dropped:
        logger.info("dropped %s", ", ".join(dropped))
    return dropped
