"""Server-sent events, as the live stream sends them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class LiveEvent:
    """One event of the live stream.

    Attributes:
        id: pass it as `last_event_id` to go on after it; None before the first that has one.
        kind: what it is about, such as `deviation`.
        data: what it tells.
    """

    id: str | None
    kind: str
    data: dict[str, Any]


def events_of(lines: Iterable[str]) -> Iterator[LiveEvent]:
    """The events of a stream's lines (WHATWG HTML, section 9.2.6); one that is cut off is none."""
    last_id, kind, data = None, "message", list[str]()
    for line in lines:
        if not line:
            if data:
                yield LiveEvent(last_id, kind, json.loads("\n".join(data)))
            kind, data = "message", []
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "id":
            last_id = value
        elif name == "event":
            kind = value
        elif name == "data":
            data.append(value)
