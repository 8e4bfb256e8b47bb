"""A worker is killed while it works a group; the next one ends what it began, and nothing twice."""

from __future__ import annotations

import random
import time

import pytest
from sqlalchemy.engine import Engine

from fulfillment_assets.agents import claims
from fulfillment_assets.agents.groups import claim_group, tidy
from fulfillment_assets.agents.work import work_group
from fulfillment_assets.agents.workshop import workshop
from fulfillment_assets.knowledge.rulebook import Rulebook
from fulfillment_assets.settings import Settings
from tests.agents.examples import AT_RISK, LATE, Office
from tests.knowledge.fixtures import chroma, indexed, settings
from tests.programs import StartPython

__all__ = ["chroma", "indexed", "settings"]

CASES = 10
WAIT_SECONDS = 60.0
WORKER = """
import sys
from fulfillment_assets.agents.work import work_group
from fulfillment_assets.agents.workshop import workshop
from fulfillment_assets.settings import Settings
from fulfillment_assets.store.connection import create_engine
engine = create_engine(sys.argv[1])
settings = Settings(chroma_url=sys.argv[2], knowledge_embedder="lexical")
with workshop(engine, settings) as shop:
    work_group(shop, "doomed")
"""


@pytest.fixture
def office(indexed: Engine, rulebook: Rulebook) -> Office:
    """A database with an index, and late and endangered orders of all kinds."""
    office = Office(indexed, rulebook)
    for number in range(CASES):
        importance = ("low", "medium", "high")[number % 3]
        start = AT_RISK if number % 2 else LATE
        order = office.order(f"O-{number}", start, product_importance=importance)
        office.deviation(order)
    return office


def count(office: Office, table: str) -> int:
    return int(office.value(f"SELECT count(*) FROM {table}"))


@pytest.mark.parametrize("seed", range(3))
def test_every_case_ends_once_though_its_worker_is_killed(
    office: Office, indexed: Engine, settings: Settings, start_python: StartPython, seed: int
) -> None:
    with indexed.begin() as connection:
        assert claim_group(connection, "doomed") == CASES
    url = indexed.url.render_as_string(hide_password=False)
    process = start_python(WORKER, url, str(settings.chroma_url))
    enough = random.Random(seed).randint(1, 2 * CASES)
    deadline = time.monotonic() + WAIT_SECONDS
    while count(office, "tool_actions") < enough and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.kill()
    process.wait()

    office.execute("UPDATE deviations SET claimed_until = now() WHERE claimed_by IS NOT NULL")
    with indexed.begin() as connection:
        tidy(connection)
        claims.claim(connection, "next")
    with workshop(indexed, settings) as shop:
        assert [one.error for one in work_group(shop, "next") if one.error] == []

    left = office.rows(
        "SELECT DISTINCT status FROM deviations "
        "WHERE status NOT IN ('resolved', 'escalated', 'awaiting_approval')"
    )
    assert left == []
    doubled = office.rows(
        "SELECT deviation_id, tool, arguments FROM tool_actions "
        "GROUP BY deviation_id, agent_type, tool, arguments HAVING count(*) > 1"
    )
    assert doubled == []
    paid = office.rows(
        "SELECT order_id FROM tool_actions WHERE amount_usd IS NOT NULL "
        "GROUP BY order_id HAVING count(*) > 1"
    )
    assert paid == []
    unanswered = office.rows(
        "SELECT id FROM deviations d WHERE status <> 'awaiting_approval' AND NOT EXISTS "
        "(SELECT FROM agent_responses WHERE deviation_id = d.id AND agent_type = 'orchestrator')"
    )
    assert unanswered == []
