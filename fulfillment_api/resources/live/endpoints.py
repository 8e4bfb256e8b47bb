"""What happens, while it happens."""

from __future__ import annotations

import datetime as dt

from fastapi import Response, WebSocket

from fulfillment_api.dependencies import ThePrincipal, TheServices
from fulfillment_api.live.subscription import Subscription, as_json_texts, as_sse
from fulfillment_api.resources.live.schemas import (
    ADMISSION_EXAMPLE,
    STREAM_RESPONSES,
    Admission,
    WantedEvents,
)
from fulfillment_api.resources.live.streams import EventStream, send_all
from fulfillment_api.roles import PREFIX, SOCKETS
from fulfillment_api.routing import example, refuse_lesser_role, resource

router = resource("live")


@router.get("/live", status_code=200, response_class=EventStream, responses=STREAM_RESPONSES)
async def live(services: TheServices, principal: ThePrincipal, wanted: WantedEvents) -> Response:
    """What happens, as server-sent events, which go on where the connection broke.

    * `deviation`: a deviation is new, or its severity or status changed.
    * `agent`: a response, an action of a tool, an approval that waits or was decided (`subject`).
    * `batch`: a file came in, is being scored, or is done.
    * `kpi`: the overall KPIs, when you connect and at most once a second when they change.
    * `status`: whether the database answers; the first one says that you are up to date.
    * `reset`: events were lost to you, for the `reason` that it tells: load everything anew.

    A statement that changes more than 50 rows makes one event, with their `count` and, in `by`,
    how many there are of each sort. Browsers can send no key here: let them have a ticket.
    """
    client = Subscription(as_sse, wanted.kinds, principal.key_id)
    return EventStream(services.live, client, wanted.since)


@router.websocket("/ws/kpi")
async def ws_kpi(
    websocket: WebSocket, services: TheServices, principal: ThePrincipal, wanted: WantedEvents
) -> None:
    """The same over a websocket, as texts `{"id": …, "event": …, "data": …}`."""
    refuse_lesser_role(principal, SOCKETS[websocket.scope["path"].removeprefix(PREFIX)])
    client = Subscription(as_json_texts, wanted.kinds, principal.key_id)
    await send_all(websocket, services.live, client, wanted.since)


@router.post("/live/ticket", responses=example(ADMISSION_EXAMPLE))
async def ticket(services: TheServices, principal: ThePrincipal) -> Admission:
    """Get a ticket: a browser connects to `/live?ticket=…` or `/ws/kpi?ticket=…` with it.

    It is good for a minute; get a new one to connect again, and pass `last_event_id`.
    """
    if principal.key_id is None:
        return Admission(ticket=None, expires_at=None)
    text, expires = await services.keys.ticket(principal.key_id)
    return Admission(ticket=text, expires_at=dt.datetime.fromtimestamp(expires, dt.UTC))
