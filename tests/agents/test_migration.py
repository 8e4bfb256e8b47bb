"""The tables of the agents come and go with what was in the ledger before."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from fulfillment_assets.knowledge.rulebook import Rulebook
from fulfillment_assets.store import migrate
from tests.agents.examples import Office

BEFORE = "0006"


def test_the_ledger_of_before_is_kept_after_and_back(
    engine: Engine, database_url: str, rulebook: Rulebook
) -> None:
    office = Office(engine, rulebook)
    office.order()
    deviation = office.deviation()
    for agent_type, tool, arguments in (
        ("payment", "issue_refund", {"amount_usd": 40, "reason": "late"}),
        ("customer", "send_notification", {"channel": "sms", "body": "Late."}),
        ("escalation", "create_ticket", {"question": "?"}),
    ):
        agent = office.agent(agent_type, deviation)  # type: ignore[arg-type]
        assert agent(tool, **arguments)["status"] == "done"
    migrate.downgrade(database_url, BEFORE)
    with engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM tool_actions")) == 3
    migrate.upgrade(database_url)
    assert [one["tool"] for one in office.actions()] == [
        "issue_refund",
        "send_notification",
        "create_ticket",
    ]
    again = office.agent("payment", deviation)("issue_refund", amount_usd=40, reason="late")
    assert again["status"] == "refused"  # what it paid is no longer known, but that it did is
    [row] = office.rows("SELECT claimed_by, attempts FROM deviations")
    assert row == {"claimed_by": None, "attempts": 0}
