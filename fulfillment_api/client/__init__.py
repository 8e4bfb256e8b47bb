"""A typed client of the REST API, for programs in Python.

    with Client("http://127.0.0.1:8000", key="ffk_...") as api:
        for deviation in api.list_deviations(severity="critical", status="pending"):
            api.trigger_agent(deviation.id, note="Please hurry.")

Methods have the names of the API's operations, and give its schemas. Lists are read page by page
while they are iterated. Where the server asks to wait (429, 503), the client waits and tries again.
"""

from __future__ import annotations

from fulfillment_api.client.changing import Changing
from fulfillment_api.client.live import LiveEvent
from fulfillment_api.client.reading import Reading
from fulfillment_api.client.transport import ApiProblemError


class Client(Reading, Changing):
    """The REST API; to be closed, or used as a context manager."""


__all__ = ["ApiProblemError", "Client", "LiveEvent"]
