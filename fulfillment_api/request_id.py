"""The id of a request: by it a response, the log and the audit are matched.

It is the correlation id, too, of what the request brings about.
"""

from __future__ import annotations

import random
import re
from typing import Final

from structlog.contextvars import bind_contextvars, get_contextvars

from fulfillment_assets.observability.correlation import CORRELATION_ID, REQUEST_ID

HEADER: Final = "X-Request-ID"

_WELL_FORMED: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


def current_request_id() -> str:
    """The id of the request that is being answered; `-` outside of one."""
    found: str = get_contextvars().get(REQUEST_ID, "-")
    return found


def begin_request(offered: str | None) -> str:
    """Take the client's id where it is well-formed, or make one; it holds from here on."""
    known = offered is not None and _WELL_FORMED.fullmatch(offered) is not None
    request_id = offered if known and offered is not None else f"{random.getrandbits(128):032x}"
    bind_contextvars(**{REQUEST_ID: request_id, CORRELATION_ID: request_id})
    return request_id
