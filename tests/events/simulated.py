"""Simulated messages as a consumer sees them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from fulfillment_assets.events.messages import DecodedMessages, Message, decode_messages
from fulfillment_assets.events.wire_faults import SimulatedMessage
from fulfillment_assets.orders.simulator.plan import SimulationPlan

NOW = dt.datetime(2026, 4, 1, tzinfo=dt.UTC)
PLAN = SimulationPlan(count=1, seed=7, start=dt.date(2026, 3, 1))


def decoded(messages: Iterable[SimulatedMessage]) -> DecodedMessages:
    """What the stream makes of messages; the offset of each is its number, from 0."""
    now = int(NOW.timestamp() * 1000)
    received = [
        Message(offset, message.key, message.value, message.headers, now, 0)
        for offset, message in enumerate(messages)
    ]
    return decode_messages(received, NOW)
