"""Which processes work on the runs of a job."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlalchemy.exc import OperationalError

from fulfillment_assets.forkserver.identity import ProcessIdentity

_RUNNING: Final = """
SELECT tag.value FROM dagster.runs AS run JOIN dagster.run_tags AS tag USING (run_id)
WHERE run.status = 'STARTED' AND run.pipeline_name = :job AND tag.key = 'fulfillment/worker'
"""


def workers_of(engine: Engine, job: str) -> Iterator[ProcessIdentity]:
    """The living processes of a job's started runs; none where the database cannot be asked."""
    with contextlib.suppress(OperationalError), engine.connect() as connection:
        for text in connection.execute(sa.text(_RUNNING), {"job": job}).scalars().all():
            found = json.loads(text)
            worker = ProcessIdentity(found["host"], found["pid"], found["ticks"])
            if worker.is_alive:
                yield worker
