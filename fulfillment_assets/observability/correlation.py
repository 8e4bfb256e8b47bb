"""One id from an upload or a message to what the agents did about it.

The id is bound to the context of a thread or task, where log lines and predictions find it. It is
that of a request, of a file's job, or of a message; threads that are started get it by a copy of
the context.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import Any, Final, TypeVar

from structlog.contextvars import bound_contextvars, get_contextvars

T = TypeVar("T")

CORRELATION_ID: Final = "correlation_id"
RUN_ID: Final = "run_id"
REQUEST_ID: Final = "request_id"

bound = bound_contextvars
"""`with bound(correlation_id=…, run_id=…):` - lines that are logged in the block have them."""


def new_correlation_id() -> str:
    """An id that nothing had before: 32 hexadecimal digits."""
    return uuid.uuid4().hex


def current_correlation_id() -> str | None:
    """The id of what is being done here; None where none is bound."""
    known: str | None = get_contextvars().get(CORRELATION_ID)
    return known


def here(function: Callable[..., T], *arguments: Any) -> Callable[[], T]:
    """The call, for another thread: it will see there what is bound here."""
    return partial(copy_context().run, function, *arguments)
