"""`fulfillment agents`: work on a deviation, read its trail, decide what waits, settle tickets."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from typing import Any

import pytest
from sqlalchemy.engine import Engine

from fulfillment_assets.knowledge.rulebook import load_rules
from fulfillment_assets.settings import Settings
from tests.agents.examples import DAY, LATE, Office
from tests.cli.commands import Fulfillment
from tests.knowledge.fixtures import chroma, indexed, settings

__all__ = ["chroma", "indexed", "settings"]

NOW = dt.datetime.now(dt.UTC)


class Agents:
    """The command on a database and an index of the test."""

    def __init__(self, run: Fulfillment) -> None:
        self._run = run

    def told(self, *arguments: object) -> Any:
        """What a command says in JSON."""
        return json.loads(self.shown(*arguments, "--json"))

    def shown(self, *arguments: object) -> str:
        """What a command says to people."""
        outcome = self._run("agents", *map(str, arguments))
        assert outcome.status == 0, outcome.err
        return outcome.out

    def refused(self, *arguments: object) -> str:
        """Why a command does not do what it is asked."""
        outcome = self._run("agents", *map(str, arguments))
        assert outcome.status != 0
        assert "Traceback" not in outcome.err
        return " ".join(outcome.err.replace("│", "").split())


@pytest.fixture
def office(indexed: Engine, settings: Settings) -> Office:
    return Office(indexed, load_rules(settings.knowledge_dir))


@pytest.fixture
def agents(
    fulfillment: Fulfillment, office: Office, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Agents:
    url = office.engine.url.render_as_string(hide_password=False)
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("CHROMA_URL", str(settings.chroma_url))
    monkeypatch.setenv("FULFILLMENT_DATA_DIR", str(settings.data_dir))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    return Agents(fulfillment)


def late(office: Office, **changes: object) -> uuid.UUID:
    """A deviation of an order that is eight days late."""
    dates = {
        "order_date": NOW - 18 * DAY,
        "promised_delivery_date": NOW - 8 * DAY,
        "ship_date": NOW - 16 * DAY,
    }
    return office.deviation(office.order("O-1", LATE, **dates, **changes))


def test_a_deviation_is_worked_and_its_trail_shown(agents: Agents, office: Office) -> None:
    deviation = late(office, cost_of_product=120.0, product_importance="low")
    told = agents.told("run", deviation, "--note", "The customer called.")
    assert told["deviation"]["deviation"]["status"] in ("resolved", "escalated")
    assert {one["agent_type"] for one in told["responses"]} >= {"shipment", "orchestrator"}
    assert told["effects"]

    shown = agents.shown("show", deviation)
    for words in ("O-1: delay_risk, critical", "at risk", "retrieved", "outcome", "rule "):
        assert words in shown
    office.execute("UPDATE deviations SET status = 'pending' WHERE status = 'escalated'")
    office.execute("UPDATE deviations SET status = 'resolved' WHERE status = 'pending'")
    assert "is resolved: there is nothing left" in agents.refused("run", deviation)


def test_a_person_approves_what_is_above_the_limit(agents: Agents, office: Office) -> None:
    deviation = late(office, cost_of_product=190.0, prior_purchases=10, product_importance="high")
    agents.shown("run", deviation)
    (asked,) = agents.told("approvals")["approvals"]
    assert (asked["tool"], asked["deviation_id"]) == ("issue_refund", str(deviation))
    assert "issue_refund" in agents.shown("approvals")

    told = agents.told("approve", asked["id"], "--by", "Ada")
    assert told["deviation"]["deviation"]["status"] in ("resolved", "escalated")
    assert [one["approved_by"] for one in told["effects"] if one["amount_usd"]] == ["Ada"]
    assert agents.told("approvals")["approvals"] == []
    assert "by Ada" in agents.refused("reject", asked["id"])


def test_tickets_are_listed_and_closed(agents: Agents, office: Office) -> None:
    deviation = late(office, cost_of_product=290.0, payment_status="pending")
    agents.shown("run", deviation)
    (ticket,) = agents.told("tickets")["tickets"]
    assert ticket["deviation_id"] == str(deviation)
    assert ticket["queue"] in agents.shown("tickets")
    assert "is closed" in agents.shown("close", ticket["id"])
    assert agents.told("tickets")["tickets"] == []
    assert "was closed at" in agents.refused("close", ticket["id"])


def test_a_customer_who_opted_out_is_not_written_to(agents: Agents, office: Office) -> None:
    agents.shown("opt-out", "C-1")
    told = agents.told("run", late(office, payment_status="pending"))
    assert "send_notification" not in {one["tool"] for one in told["effects"]}


def test_what_there_is_not_is_named(agents: Agents) -> None:
    unknown = uuid.uuid4()
    assert f"no deviation {unknown}" in agents.refused("show", unknown)
    assert "is no id" in agents.refused("show", "O-1")
    assert str(unknown) in agents.refused("approve", unknown)
