"""Fixtures for every test of the agents."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine, make_url

from fulfillment_assets.knowledge.rulebook import Rulebook, load_rules
from fulfillment_assets.local.postgres import EmbeddedPostgres
from fulfillment_assets.settings import PROJECT_ROOT
from fulfillment_assets.store.connection import create_engine
from tests.agents.examples import Office

_CLEAR = """
DELETE FROM agent_approvals; DELETE FROM agent_responses; DELETE FROM escalation_tickets;
DELETE FROM customer_contacts; DELETE FROM customer_opt_outs; DELETE FROM order_interventions;
DELETE FROM tool_actions; DELETE FROM deviations; DELETE FROM orders
"""


@pytest.fixture(scope="session")
def rulebook() -> Rulebook:
    """The rules in force."""
    return load_rules(PROJECT_ROOT / "knowledge_base")


@pytest.fixture(scope="session")
def office_engine(postgres: EmbeddedPostgres, migrated_template: str) -> Iterator[Engine]:
    """Engine of a database for many tests: making one for each takes longer than the tests."""
    name = f"office_{uuid.uuid4().hex}"
    server = sa.create_engine(postgres.url, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name} TEMPLATE {migrated_template}"))
    server.dispose()
    engine = create_engine(make_url(postgres.url).set(database=name), pool_size=10)
    yield engine
    engine.dispose()


@pytest.fixture
def office(office_engine: Engine, rulebook: Rulebook) -> Office:
    """A database without orders and deviations to act in."""
    with office_engine.begin() as connection:
        connection.execute(sa.text(_CLEAR))
    return Office(office_engine, rulebook)
