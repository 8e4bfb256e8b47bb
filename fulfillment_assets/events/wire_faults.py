"""Breaking events in every way that the contract on the wire rejects."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final, NamedTuple, TypeAlias

from fulfillment_assets.events.messages import EVENT_TIME, SCHEMA_VERSION
from fulfillment_assets.orders.contract import BY_NAME, Kind
from fulfillment_assets.orders.simulator.faults import FIELD_FAULTS, Fault, broken_fields

Header: TypeAlias = tuple[str, bytes]


class SimulatedMessage(NamedTuple):
    """One message, to be sent.

    Attributes:
        key: the order's id.
        value: the event in JSON; None for a tombstone.
        headers: schema version, correlation id, event time.
        key_hash: its partition is this modulo the number of partitions: that of its order, even
            where the key is wrong.
    """

    key: bytes
    value: bytes | None
    headers: list[Header]
    key_hash: int


class WireFault(StrEnum):
    """What is wrong with a message as such, whatever order it carries."""

    BROKEN_JSON = "broken_json"
    NOT_AN_OBJECT = "not_an_object"
    INVALID_UTF8 = "invalid_utf8"
    TOMBSTONE = "tombstone"
    WRONG_KEY = "wrong_key"
    UNKNOWN_SCHEMA_VERSION = "unknown_schema_version"
    NON_ISO_EVENT_TIME = "non_iso_event_time"
    EVENT_TIME_AHEAD = "event_time_ahead"


EVENT_FAULTS: Final[tuple[Fault | WireFault, ...]] = (*FIELD_FAULTS, *WireFault)
"""Every way in which an event is broken; they take turns."""


def broken(message: SimulatedMessage, ordered: int, rank: int) -> SimulatedMessage:
    """Break an event.

    Args:
        message: a sound event of a simulated order.
        ordered: when its order was placed, in seconds since 1970.
        rank: how many events were broken before; faults and their variants take turns.
    """
    turn, kind = divmod(rank, len(EVENT_FAULTS))
    fault = EVENT_FAULTS[kind]
    if isinstance(fault, WireFault):
        return _BREAKS[fault](message)
    record = json.loads(message.value or b"")
    for name, text in broken_fields(fault, turn, ordered).items():
        record[name] = _json_value(name, text)
    return message._replace(value=json.dumps(record).encode())


def _json_value(name: str, text: str | None) -> str | float | None:
    """A broken field: as a number where the field holds numbers, and JSON has such a number."""
    if text is None or BY_NAME[name].kind not in {Kind.INTEGER, Kind.NUMBER}:
        return text
    for number in (int, float):
        try:
            value = number(text)
        except ValueError:
            continue
        return value if math.isfinite(value) else text
    return text


def _with_value(change: Callable[[bytes], bytes | None]) -> Callable[..., SimulatedMessage]:
    return lambda message: message._replace(value=change(message.value))


def _with_header(name: str, value: bytes) -> Callable[..., SimulatedMessage]:
    return lambda message: message._replace(
        headers=list((dict(message.headers) | {name: value}).items())
    )


_BREAKS: Final[Mapping[WireFault, Callable[[SimulatedMessage], SimulatedMessage]]] = {
    WireFault.BROKEN_JSON: _with_value(lambda value: value[: len(value) // 2]),
    WireFault.NOT_AN_OBJECT: _with_value(lambda value: b"[" + value + b"]"),
    WireFault.INVALID_UTF8: _with_value(lambda value: value.replace(b"ORD-", b"ORD-\xff", 1)),
    WireFault.TOMBSTONE: _with_value(lambda value: None),
    WireFault.WRONG_KEY: lambda message: message._replace(key=b"ORD-OF-ANOTHER"),
    WireFault.UNKNOWN_SCHEMA_VERSION: _with_header(SCHEMA_VERSION, b"999"),
    WireFault.NON_ISO_EVENT_TIME: _with_header(EVENT_TIME, b"yesterday"),
    WireFault.EVENT_TIME_AHEAD: _with_header(EVENT_TIME, b"2099-12-31T23:59:59Z"),
}
