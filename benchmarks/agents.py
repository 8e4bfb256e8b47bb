"""The agents on a whole platform: critical deviations of a dropped file, until all are settled.

The offline policy model decides. Everything is as in operation: the sensor claims groups, runs
work them with retrieval from Chroma, tools write the ledger, what was learned is indexed. Runs
may be killed on the way, as many as asked for.

    python -m benchmarks.agents --deviations 1000
    python -m benchmarks.agents --deviations 2000 --kills 3
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import random
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Final

import sqlalchemy as sa
import typer

from benchmarks.private_platform import (
    PrivatePlatform,
    StreamSettings,
    private_platform,
    private_settings,
)
from benchmarks.usage import cpu_seconds
from benchmarks.workers import workers_of
from fulfillment_assets.orders.simulator import SimulationPlan, write_csv
from fulfillment_assets.scoring.drop_folder import make_folders
from fulfillment_assets.store.partitions import utc_today

ORDERS_PER_DEVIATION: Final = 3.5
"""Of simulated orders, for one critical deviation; measured."""

WAIT_SECONDS: Final = 900.0
POLL_SECONDS: Final = 0.1
_DAYS: Final = 14
_OPEN: Final = """
SELECT count(*) FROM deviations
WHERE severity = 'critical' AND status IN ('pending', 'agent_triggered')
"""
_SETTLED: Final = """
SELECT status, count(*) FROM deviations
WHERE severity = 'critical' AND batch_job_id = :job GROUP BY status
"""
_TIMES: Final = """
SELECT extract(epoch FROM min(r.created_at) - j.completed_at)::float8 AS first,
       extract(epoch FROM max(d.updated_at) - j.completed_at)::float8 AS last
FROM batch_jobs j JOIN deviations d ON d.batch_job_id = j.id AND d.severity = 'critical'
LEFT JOIN agent_responses r ON r.deviation_id = d.id
WHERE j.id = :job GROUP BY j.completed_at
"""
_BROKEN: Final = {
    "responses_doubled": (
        "SELECT count(*) FROM (SELECT FROM agent_responses GROUP BY deviation_id, agent_type "
        "HAVING count(*) > 1) AS doubled"
    ),
    "effects_doubled": (
        "SELECT count(*) FROM (SELECT FROM tool_actions GROUP BY deviation_id, agent_type, tool, "
        "arguments HAVING count(*) > 1) AS doubled"
    ),
    "orders_paid_twice": (
        "SELECT count(*) FROM (SELECT FROM tool_actions WHERE amount_usd IS NOT NULL "
        "GROUP BY order_id HAVING count(*) > 1) AS paid"
    ),
    "without_response": (
        "SELECT count(*) FROM deviations d WHERE severity = 'critical' "
        "AND status IN ('resolved', 'escalated') AND NOT EXISTS (SELECT FROM agent_responses "
        "WHERE deviation_id = d.id AND agent_type = 'orchestrator')"
    ),
}


@dataclass(frozen=True, slots=True)
class AgentTimes:
    """What became of the critical deviations of a file.

    Attributes:
        statuses: how many ended in each.
        first_response_s: from the commit of the file to the first response of an agent.
        seconds: from that commit until all were settled.
        kills: runs that were killed meanwhile.
        broken: counts of what must not be; all 0.
        cpu_seconds: by service, with what each started.
    """

    deviations: int
    statuses: Mapping[str, int]
    first_response_s: float
    seconds: float
    deviations_per_second: float
    kills: int
    broken: Mapping[str, int]
    cpu_seconds: Mapping[str, float]


def run(deviations: int, kills: int = 0, seed: int = 1) -> AgentTimes:
    """Drop a file that opens about so many critical deviations, and wait for the agents."""
    with (
        private_settings(StreamSettings(1_000, 15.0, "warm")) as settings,
        private_platform(settings) as up,
    ):
        _drop(up, 60, seed + 1)
        _wait(up, "SELECT count(*) = 0 FROM knowledge_index WHERE serving")
        _settled(up, 0, random.Random(seed))
        before = cpu_seconds(up.pids())
        job = _drop(up, round(deviations * ORDERS_PER_DEVIATION), seed)
        killed = _settled(up, kills, random.Random(seed))
        after = cpu_seconds(up.pids())
        return _times(
            up, job, killed, {n: round(s - before.get(n, 0), 2) for n, s in after.items()}
        )


def _drop(up: PrivatePlatform, orders: int, seed: int) -> Any:
    """Have a file of orders scored; return its job's id."""
    plan = SimulationPlan(orders, seed, utc_today() - dt.timedelta(days=_DAYS), days=_DAYS)
    outside = up.settings.data_dir / f"orders-{seed}.csv"
    write_csv(plan, outside)
    make_folders(up.settings)
    outside.replace(up.settings.inbox / outside.name)
    values = {"name": outside.name}
    query = "SELECT id FROM batch_jobs WHERE filename = :name AND status = 'completed'"
    _wait(up, f"SELECT NOT EXISTS ({query})", values)
    with up.engine.connect() as connection:
        return connection.execute(sa.text(query), values).scalar_one()


def _wait(up: PrivatePlatform, waiting: str, values: Mapping[str, Any] | None = None) -> None:
    """Wait while a query says that there is something to wait for."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        with up.engine.connect() as connection:
            if not connection.scalar(sa.text(waiting), values or {}):
                return
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {WAIT_SECONDS:g} seconds: {waiting}")
        up.supervisor.wait(POLL_SECONDS)


def _settled(up: PrivatePlatform, kills: int, chance: random.Random) -> int:
    """Wait until no critical deviation is open; kill runs on the way; return how many."""
    killed, next_kill = 0, time.monotonic() + chance.uniform(1, 6)
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        with up.engine.connect() as connection:
            if not connection.scalar(sa.text(_OPEN)):
                return killed
        if killed < kills and time.monotonic() > next_kill:
            for worker in workers_of(up.engine, "resolve_deviations"):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker.pid, signal.SIGKILL)
                    killed += 1
                next_kill = time.monotonic() + chance.uniform(2, 8)
                break
        up.supervisor.wait(POLL_SECONDS)
    raise TimeoutError(f"the agents did not settle all within {WAIT_SECONDS:g} seconds")


def _times(up: PrivatePlatform, job: Any, killed: int, used: Mapping[str, float]) -> AgentTimes:
    with up.engine.connect() as connection:
        statuses = {
            status: int(count)
            for status, count in connection.execute(sa.text(_SETTLED), {"job": job})
        }
        times = connection.execute(sa.text(_TIMES), {"job": job}).one()
        broken = {name: int(connection.scalar(sa.text(q)) or 0) for name, q in _BROKEN.items()}
    count = sum(statuses.values())
    return AgentTimes(
        deviations=count,
        statuses=statuses,
        first_response_s=round(times.first, 2),
        seconds=round(times.last, 2),
        deviations_per_second=round(count / times.last, 1),
        kills=killed,
        broken=broken,
        cpu_seconds=used,
    )


def main(
    deviations: Annotated[int, typer.Option(min=1, help="About so many of critical severity.")] = (
        1_000
    ),
    kills: Annotated[int, typer.Option(min=0, help="Runs to kill on the way.")] = 0,
    seed: Annotated[int, typer.Option(help="Of orders and kills.")] = 1,
) -> None:
    """Time the agents from a file's commit until its critical deviations are settled."""
    sys.stdout.write(json.dumps(asdict(run(deviations, kills, seed))) + "\n")


if __name__ == "__main__":
    typer.run(main)
