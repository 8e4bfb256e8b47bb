"""What the live stream takes and gives."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import Depends, Header, Query
from pydantic import BaseModel, Field

from fulfillment_api.errors import invalid
from fulfillment_api.live.events import KINDS, Kind
from fulfillment_api.live.positions import Position
from fulfillment_api.security.tickets import PARAMETER


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a client asks for.

    Attributes:
        kinds: the kinds of events.
        since: what it has had; None: it begins now.
    """

    kinds: frozenset[str]
    since: Position | None


async def _wanted(
    kinds: Annotated[
        list[Kind] | None,
        Query(
            min_length=1,
            max_length=len(KINDS),
            description="Only events of these kinds; all, if not given.",
            examples=[["deviation", "agent"]],
        ),
    ] = None,
    last_event_id: Annotated[
        str | None,
        Query(description="The id of the last event that you got: you are sent all that follow."),
    ] = None,
    last_event_id_header: Annotated[
        str | None,
        Header(
            alias="Last-Event-ID",
            description="The same, as browsers send it; it counts before the other.",
        ),
    ] = None,
    _ticket: Annotated[
        str | None,
        Query(alias=PARAMETER, description="From `POST /live/ticket`, instead of a key."),
    ] = None,
) -> Wanted:
    field, text = "query.last_event_id", last_event_id
    if last_event_id_header:
        field, text = "header.Last-Event-ID", last_event_id_header
    with invalid(field):
        since = Position.parse(text) if text else None
    return Wanted(frozenset(kinds or KINDS), since)


WantedEvents = Annotated[Wanted, Depends(_wanted)]
"""What a client asks for, from the query and the headers."""


class Admission(BaseModel):
    """Lets a browser into the live stream."""

    ticket: str | None = Field(
        description="For the parameter `ticket`; null: none is needed, as there are no keys yet."
    )
    expires_at: dt.datetime | None = Field(description="Until then you may connect with it.")


ADMISSION_EXAMPLE: Final = {
    "ticket": "fft_0199f3a2c4d17e0f9a3b5c6d7e8f9a0b_1774958460_" + "5e" * 32,
    "expires_at": "2026-03-31T12:01:00Z",
}

_STREAM: Final = """retry: 2000

id: 81240:81240:
event: status
data: {"database":"up"}

event: kpi
data: {"overall":{"orders":1961,"on_time_rate":0.687},"approvals_waiting":2}

id: 81252:81254:81252
event: deviation
data: {"subject":"deviation","action":"created","count":1,"order_id":"ORD-000017",\
"kind":"delay_risk","severity":"critical","status":"pending","at":"2026-03-31T12:00:00Z"}

: heartbeat
id: 81260:81260:

"""

STREAM_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "Events, until you or the server end it.",
        "content": {"text/event-stream": {"schema": {"type": "string"}, "example": _STREAM}},
    }
}
