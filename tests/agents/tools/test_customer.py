"""What customers are written, when, and what they are never written."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from fulfillment_assets.agents.tools.customer import opt_out
from tests.agents.examples import AT_RISK, DAY, LATE, NOW, Office, verdict

EVENING = NOW.replace(hour=22, minute=30)
MORNING = NOW.replace(hour=5)


def send(office: Office, *, now: dt.datetime = NOW, **arguments: Any) -> dict[str, Any]:
    office.order()
    given = {"channel": "sms", "template": "delay_notification"} | arguments
    return office.agent("customer", now=now)("send_notification", **given)


def stop(office: Office) -> None:
    with office.engine.begin() as connection:
        opt_out(connection, "C-1", "a letter", NOW)


def test_a_notice_is_filled_in_from_the_order_and_sent(office: Office) -> None:
    result = send(office)
    assert verdict(result) == ("done", "CO-2.1")
    assert result["body"].startswith("Order O-1 may arrive after 2026-03-06.")
    [contact] = office.rows("SELECT * FROM customer_contacts")
    assert (contact["kind"], contact["channel"], contact["send_at"]) == ("message", "sms", NOW)
    assert contact["body"] == result["body"]


def test_a_customer_who_opted_out_gets_no_message_on_any_channel(office: Office) -> None:
    stop(office)
    for channel, text in (("sms", "delay_notification"), ("email", "apology_email")):
        assert verdict(send(office, channel=channel, template=text)) == ("refused", "CO-1.1")
    assert office.rows("SELECT FROM customer_contacts") == []


def test_the_receipt_of_a_refund_is_sent_even_then(office: Office) -> None:
    stop(office)
    office.order()
    deviation = office.deviation()
    customer = office.agent("customer", deviation)
    receipt = {"channel": "email", "template": "refund_confirmation"}
    early = customer("send_notification", **receipt)
    assert verdict(early) == ("refused", "TR-1.1")
    office.agent("payment", deviation)("issue_refund", amount_usd=40, reason="late")
    sent = customer("send_notification", **receipt)
    assert sent["status"] == "done"
    assert "40.00 USD" in sent["body"]
    assert "2026-03-17" in sent["body"]


def test_an_order_without_a_customer_is_not_written_about(office: Office) -> None:
    office.order(customer_id=None)
    agent = office.agent("customer")
    result = agent("send_notification", channel="sms", template="delay_notification")
    assert verdict(result) == ("refused", "CO-1.2")


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        ({"channel": "email"}, "CO-2.1"),
        ({"channel": "fax"}, None),
        ({"template": "love_letter"}, None),
        ({"template": "apology_email", "channel": "email"}, "TA-1.2"),
        ({"template": None, "body": "x" * 161}, "CO-2.2"),
        ({"template": None, "body": "x" * 1501, "channel": "email"}, "CO-2.2"),
        ({"template": None, "body": "Late.", "channel": "in_app"}, "CO-2.1"),
        ({"template": None, "body": "We  GUARANTEE\nit."}, "CO-4.2"),
        ({"template": None, "body": "A ｆｕｌｌ re\u200bfund is yours."}, "CO-4.2"),
        ({"template": None, "body": "See https://refund.example/now"}, None),
        ({"template": None, "body": "You get 250 USD back."}, "CO-4.3"),
        ({"template": None, "body": "You get $1,000.00 back."}, "CO-4.3"),
        ({"template": None, "body": "It comes on 2026-04-01."}, "CO-4.3"),
        ({"template": None, "body": "Card 4111 1111 1111 1111"}, "CO-6.1"),
        ({"template": None, "body": "a\0b"}, None),
        ({"template": None, "body": "\u202eafdr"}, None),
        ({"template": None, "body": " "}, None),
        ({"template": None}, None),
        ({"template": "delay_notification", "body": "both"}, None),
        ({"reason": "we guarantee it"}, "CO-4.2"),
    ],
)
def test_a_message_that_a_rule_forbids_is_refused_with_the_rule(
    office: Office, arguments: dict[str, Any], rule: str | None
) -> None:
    assert verdict(send(office, **arguments)) == ("refused", rule)
    assert office.actions() == []


def test_what_stands_in_the_system_may_be_told(office: Office) -> None:
    office.order()
    deviation = office.deviation()
    office.agent("payment", deviation)("issue_refund", amount_usd=40, reason="late")
    agent = office.agent("customer", deviation)
    text = "It was due on 2026-03-06. We refunded $40.00; it arrives by 2026-03-17."
    assert agent("send_notification", channel="sms", body=text)["status"] == "done"


@pytest.mark.parametrize(
    ("now", "channel", "template", "send_at"),
    [
        (EVENING, "sms", "delay_notification", dt.datetime(2026, 3, 11, 8, tzinfo=dt.UTC)),
        (MORNING, "sms", "delay_notification", dt.datetime(2026, 3, 10, 8, tzinfo=dt.UTC)),
        (EVENING, "email", "apology_email", EVENING),
    ],
)
def test_in_the_quiet_hours_a_message_waits_for_their_end_but_an_email_does_not(
    office: Office, now: dt.datetime, channel: str, template: str, send_at: dt.datetime
) -> None:
    office.order(start=AT_RISK)
    deviation = office.deviation()
    shipment = office.agent("shipment", deviation)
    shipment("reschedule_shipment", new_delivery_date="2026-03-18", reason="r")
    agent = office.agent("customer", deviation, now=now)
    result = agent("send_notification", channel=channel, template=template)
    assert result["status"] == "done"
    assert result["queued_until"] == (send_at.isoformat() if send_at > now else None)
    assert office.value("SELECT send_at FROM customer_contacts") == send_at


def test_a_customer_gets_two_messages_a_day_about_one_order(office: Office) -> None:
    office.order()
    agent = office.agent("customer")
    texts = [f"Number {number}." for number in range(3)]
    results = [agent("send_notification", channel="sms", body=text) for text in texts]
    assert [one["status"] for one in results] == ["done", "done", "refused"]
    assert results[2]["rule"] == "CO-3.2"
    tomorrow = agent.at(NOW + DAY)("send_notification", channel="sms", body="Number 3.")
    assert tomorrow["status"] == "done"


def test_the_same_message_is_sent_once_for_a_deviation(office: Office) -> None:
    office.order()
    agent = office.agent("customer")
    results = [agent("send_notification", channel="sms", body="Late.") for _ in range(2)]
    assert [one["status"] for one in results] == ["done", "repeated"]
    assert len(office.rows("SELECT FROM customer_contacts")) == 1


def test_a_draft_is_kept_and_not_sent(office: Office) -> None:
    office.order()
    agent = office.agent("customer")
    result = agent("draft_email", subject="Your order", body="It is late. We are sorry.")
    assert (result["status"], result["body"]) == ("done", "It is late. We are sorry.")
    assert office.rows("SELECT FROM customer_contacts") == []
    [action] = office.actions()
    assert action["tool"] == "draft_email"


def test_a_template_is_not_filled_in_twice(office: Office) -> None:
    office.order("{amount_usd} {0.__class__}", start=LATE)
    agent = office.agent("customer", office.deviation("{amount_usd} {0.__class__}"))
    result = agent("send_notification", channel="sms", template="delay_notification")
    assert result["body"].startswith("Order {amount_usd} {0.__class__} may arrive")


@pytest.mark.parametrize(
    ("direction", "summary", "opted_out"),
    [
        ("inbound", "STOP!", True),
        ("inbound", "Unsubscribe me, please", True),
        ("inbound", "Please stop by at noon", False),
        ("outbound", "stop", False),
    ],
)
def test_who_writes_stop_has_opted_out(
    office: Office, direction: str, summary: str, opted_out: bool
) -> None:
    office.order()
    agent = office.agent("customer")
    result = agent("log_interaction", summary=summary, channel="sms", direction=direction)
    assert (result["status"], result["opted_out"]) == ("done", opted_out)
    assert office.dossier().opted_out is opted_out
    [note] = office.rows("SELECT * FROM customer_contacts")
    assert (note["kind"], note["body"]) == ("note", summary)


def test_a_note_is_stored_as_data(office: Office) -> None:
    office.order()
    text = "'); DROP TABLE orders; -- {x} %s $1 </data>"
    office.agent("customer")("log_interaction", summary=text)
    assert office.value("SELECT body FROM customer_contacts") == text
    assert office.actions()[0]["arguments"]["summary"] == text


@pytest.mark.parametrize("summary", ["", "x" * 1001, "card 4111111111111111", "a\0b"])
def test_a_note_that_is_no_note_is_refused(office: Office, summary: str) -> None:
    office.order()
    assert office.agent("customer")("log_interaction", summary=summary)["status"] == "refused"
