"""How people are asked: one ticket for an order, never less urgent than the rules say."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from tests.agents.examples import DAY, NOW, Office, verdict

HOUR = dt.timedelta(hours=1)
NIGHT = NOW.replace(hour=23)
EARLY = NOW.replace(hour=3)


def ticket(office: Office) -> dict[str, Any]:
    [found] = office.rows("SELECT * FROM escalation_tickets")
    return found


def test_a_ticket_has_the_priority_the_queue_and_the_deadlines_of_the_rules(
    office: Office,
) -> None:
    office.order()
    result = office.agent("escalation")("create_ticket", question="Refund?", concerns="payment")
    assert verdict(result) == ("done", "ES-4.1")
    found = ticket(office)
    assert (found["priority"], found["queue"]) == ("P2", "finance-approvals")
    assert found["question"] == "Refund?"
    assert (found["respond_by"], found["resolve_by"]) == (NOW + HOUR, NOW + 12 * HOUR)
    assert result["ticket_id"] == str(found["id"])


@pytest.mark.parametrize(
    ("probability", "importance", "priority"),
    [
        (0.95, "high", "P1"),
        (0.9, "high", "P1"),
        (0.95, "medium", "P2"),
        (0.95, "low", "P3"),
        (0.3, "high", "P4"),
    ],
)
def test_the_priority_follows_probability_and_importance(
    office: Office, probability: float, importance: str, priority: str
) -> None:
    office.order(delay_probability=probability, product_importance=importance)
    assert office.agent("escalation")("create_ticket", question="?")["priority"] == priority


def test_a_deviation_has_one_ticket(office: Office) -> None:
    office.order()
    agent = office.agent("escalation")
    first = agent("create_ticket", question="One?")
    assert agent("create_ticket", question="Two?") == first | {"status": "repeated"}
    assert ticket(office)["question"] == "One?"


def test_another_deviation_of_the_order_is_added_to_its_open_ticket(office: Office) -> None:
    office.order()
    first = office.agent("escalation")("create_ticket", question="One?")
    other = office.deviation(kind="fulfillment_gap")
    added = office.agent("escalation", other)("create_ticket", question="Two?", tried="a call")
    assert verdict(added) == ("done", "ES-4.2")
    assert added["ticket_id"] == first["ticket_id"]
    findings = ticket(office)["findings"]
    assert [one["question"] for one in findings] == ["One?", "Two?"]
    assert findings[1]["tried"] == "a call"
    office.execute("UPDATE escalation_tickets SET status = 'closed', closed_at = now()")


def test_a_priority_is_raised_and_never_lowered(office: Office) -> None:
    office.order()
    agent = office.agent("escalation")
    agent("create_ticket", question="?")
    assert verdict(agent("flag_priority", priority="P3", reason="calm")) == ("refused", "ES-2.2")
    assert verdict(agent("flag_priority", priority="P0", reason="!")) == ("refused", "ES-2.1")
    raised = agent("flag_priority", priority="P1", reason="angry")
    assert verdict(raised) == ("done", "ES-2.1")
    found = ticket(office)
    assert (found["priority"], found["respond_by"]) == ("P1", NOW + HOUR / 4)
    assert verdict(agent("flag_priority", priority="P2", reason="calm")) == ("refused", "ES-2.2")


def test_a_priority_that_was_flagged_before_counts_for_the_ticket(office: Office) -> None:
    office.order()
    agent = office.agent("escalation")
    assert agent("flag_priority", priority="P1", reason="angry")["status"] == "done"
    assert agent("create_ticket", question="?")["priority"] == "P1"


def test_a_ticket_cannot_be_opened_with_a_lower_priority(office: Office) -> None:
    office.order()
    agent = office.agent("escalation")
    for priority, rule in (("P4", "ES-2.2"), ("none; nobody need look", "ES-2.1")):
        result = agent("create_ticket", question="?", priority=priority)
        assert verdict(result) == ("refused", rule)
    assert office.actions() == []


def test_a_ticket_goes_to_a_queue_that_there_is(office: Office) -> None:
    office.order()
    agent = office.agent("escalation")
    early = agent("assign_human", queue="logistics-desk", reason="r")
    assert verdict(early) == ("refused", "ES-4.1")
    agent("create_ticket", question="?")
    assert verdict(agent("assign_human", queue="nobody\0", reason="r")) == ("refused", "ES-3.1")
    done = agent("assign_human", queue="logistics-desk", reason="a carrier's matter")
    assert verdict(done) == ("done", "ES-3.1")
    assert ticket(office)["queue"] == "logistics-desk"


def test_moving_a_ticket_leaves_its_deadlines(office: Office) -> None:
    office.order()
    agent = office.agent("escalation")
    agent("create_ticket", question="?")
    agent.at(NOW + DAY)("assign_human", queue="logistics-desk", reason="r")
    assert ticket(office)["respond_by"] == NOW + HOUR


@pytest.mark.parametrize(
    ("now", "starts"), [(NIGHT, NOW.replace(hour=7) + DAY), (EARLY, NOW.replace(hour=7))]
)
def test_at_night_a_ticket_waits_for_the_morning(
    office: Office, now: dt.datetime, starts: dt.datetime
) -> None:
    office.order()
    agent = office.agent("escalation", now=now)
    agent("create_ticket", question="?", concerns="shipment")
    found = ticket(office)
    assert (found["queue"], found["work_starts_at"]) == ("logistics-desk", starts)
    assert found["respond_by"] == starts + HOUR


def test_at_night_the_highest_priority_goes_to_who_is_on_call(office: Office) -> None:
    office.order(product_importance="high", delay_probability=0.95)
    agent = office.agent("escalation", now=NIGHT)
    agent("create_ticket", question="?", concerns="shipment")
    found = ticket(office)
    assert (found["queue"], found["respond_by"]) == ("duty-manager", NIGHT + HOUR / 4)
    moved = agent("assign_human", queue="logistics-desk", reason="r")
    assert verdict(moved) == ("done", "ES-3.2")
    assert ticket(office)["queue"] == "duty-manager"


@pytest.mark.parametrize(
    ("kind", "observed", "priority"), [("segment_risk", 0.8, "P2"), ("on_time_rate", 0.4, "P3")]
)
def test_a_segment_gets_a_ticket_by_its_mean_risk(
    office: Office, kind: str, observed: float, priority: str
) -> None:
    deviation = office.segment(kind, observed=observed)
    agent = office.agent("escalation", deviation)
    assert agent("create_ticket", question="?")["priority"] == priority
    assert ticket(office)["order_id"] is None
    assert agent("create_ticket", question="?")["status"] == "repeated"


def test_what_must_not_stand_in_a_ticket_is_refused(office: Office) -> None:
    office.order()
    agent = office.agent("escalation")
    card = agent("create_ticket", question="Refund to 4111-1111-1111-1111?")
    assert verdict(card) == ("refused", "ES-4.3")
    for question in ("", "x" * 1001, "a\0b"):
        assert agent("create_ticket", question=question)["status"] == "refused"
    assert office.actions() == []
