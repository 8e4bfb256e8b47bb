"""The id of a request: by it a response, the log and the audit are matched."""

from __future__ import annotations

import re
import uuid
from contextvars import ContextVar
from typing import Final

HEADER: Final = "X-Request-ID"

_WELL_FORMED: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_current: ContextVar[str] = ContextVar("request_id", default="-")


def current_request_id() -> str:
    """The id of the request that is being answered; `-` outside of one."""
    return _current.get()


def begin_request(offered: str | None) -> str:
    """Take the client's id where it is well-formed, or make one; it holds from here on."""
    known = offered is not None and _WELL_FORMED.fullmatch(offered) is not None
    request_id = offered if known and offered is not None else uuid.uuid4().hex
    _current.set(request_id)
    return request_id
