"""Tickets: what is due first stands first, and each is closed once."""

from __future__ import annotations

import uuid

import pytest

from fulfillment_assets.agents.tickets import TicketError, close_ticket, list_tickets
from tests.agents.examples import LATE, Office


def opened(office: Office, order: str, **changes: object) -> None:
    """A ticket of an order's deviation."""
    deviation = office.deviation(office.order(order, LATE, **changes))
    agent = office.agent("escalation", deviation)
    assert agent("create_ticket", question="What is to be done?")["status"] == "done"


def test_open_tickets_stand_by_when_they_are_due(office: Office) -> None:
    opened(office, "calm", product_importance="low", delay_probability=0.55)
    opened(office, "urgent", product_importance="high", delay_probability=0.95)
    with office.engine.connect() as connection:
        found = list_tickets(connection)
        assert [one.order_id for one in found] == ["urgent", "calm"]
        assert list_tickets(connection, limit=1) == found[:1]
        assert list_tickets(connection, queue="nobody") == []
        with pytest.raises(ValueError, match="limit must be"):
            list_tickets(connection, limit=0)


def test_a_ticket_is_closed_once(office: Office) -> None:
    opened(office, "O-1")
    with office.engine.begin() as connection:
        (ticket,) = list_tickets(connection)
        assert close_ticket(connection, ticket.id).status == "closed"
        assert list_tickets(connection) == []
        assert [one.id for one in list_tickets(connection, closed=True)] == [ticket.id]
        with pytest.raises(TicketError, match="was closed at"):
            close_ticket(connection, ticket.id)
        with pytest.raises(TicketError, match="There is no ticket"):
            close_ticket(connection, uuid.uuid4())
