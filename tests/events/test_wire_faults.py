"""Every way to break an event is one that the contract on the wire names."""

from __future__ import annotations

import itertools

import pytest

from fulfillment_assets.events.messages import RejectedMessage
from fulfillment_assets.events.simulated import Traffic, simulated_messages
from fulfillment_assets.events.wire_faults import (
    EVENT_FAULTS,
    SimulatedMessage,
    WireFault,
    broken,
)
from fulfillment_assets.orders.simulator.faults import FIELD_FAULTS, Fault
from tests.events.simulated import PLAN, decoded

ORDERED = 1_772_323_200  # 2026-03-01
ROUNDS = 8


@pytest.fixture(scope="module")
def sound() -> SimulatedMessage:
    (passage,) = simulated_messages(PLAN, Traffic(), count=1, rate=None)
    (message,) = passage.messages()
    assert decoded([message]).rejected == ()
    return message


def verdict(message: SimulatedMessage) -> RejectedMessage:
    found = decoded([message])
    assert found.orders.num_rows == 0
    (rejected,) = found.rejected
    return rejected


@pytest.mark.parametrize(
    ("kind", "fault"), list(enumerate(EVENT_FAULTS)), ids=[fault.value for fault in EVENT_FAULTS]
)
def test_every_variant_of_a_fault_is_rejected(
    kind: int, fault: Fault | WireFault, sound: SimulatedMessage
) -> None:
    for turn in range(ROUNDS):
        message = broken(sound, ORDERED, turn * len(EVENT_FAULTS) + kind)
        assert message != sound
        assert message.key_hash == sound.key_hash
        assert verdict(message).row.errors, f"{fault}, variant {turn}"


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (WireFault.TOMBSTONE, "tombstone"),
        (WireFault.WRONG_KEY, 'key "ORD-OF-ANOTHER": must be the order_id'),
        (WireFault.UNKNOWN_SCHEMA_VERSION, 'schema-version "999"'),
        (WireFault.NON_ISO_EVENT_TIME, 'event-time "yesterday"'),
        (WireFault.EVENT_TIME_AHEAD, "must not be more than 24 hours ahead"),
    ],
)
def test_the_verdict_names_what_was_broken(
    fault: WireFault, words: str, sound: SimulatedMessage
) -> None:
    message = broken(sound, ORDERED, EVENT_FAULTS.index(fault))
    assert words in verdict(message).row.reasons


def test_faults_take_turns(sound: SimulatedMessage) -> None:
    count = len(EVENT_FAULTS)
    assert count == len(FIELD_FAULTS) + len(WireFault)
    messages = [broken(sound, ORDERED, rank) for rank in range(count)]
    for one, other in itertools.combinations(messages, 2):
        assert one != other
