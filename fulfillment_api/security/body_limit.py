"""Largest bodies, counted while they stream in: nothing beyond the limit is ever held."""

from __future__ import annotations

from typing import Final

from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope

from fulfillment_api.errors import BadRequestError, BodyTooLargeError
from fulfillment_api.roles import PREFIX

BODY_BYTES: Final = 5 * 1024**2
UPLOAD_BYTES: Final = 2 * 1024**3
UPLOADS: Final = frozenset({f"{PREFIX}/predict/batch"})
"""Paths that take files, which go to disk."""


def limited(scope: Scope, receive: Receive) -> Receive:
    """Let a body in up to its path's limit.

    Raises:
        BodyTooLargeError: the body says that it is larger; from the function, too, once it is.
        BadRequestError: Content-Length is no number.
    """
    limit = UPLOAD_BYTES if scope["path"] in UPLOADS else BODY_BYTES
    announced = Headers(scope=scope).get("content-length")
    if announced is not None:
        if not (announced.isascii() and announced.isdigit() and len(announced) < 20):
            raise BadRequestError("Content-Length is a number of bytes.")
        if int(announced) > limit:
            raise BodyTooLargeError(limit)
    received = 0

    async def counted() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > limit:
            raise BodyTooLargeError(limit)
        return message

    return counted
