"""The errors of the API: what was wrong, and what to do; `problems` tells them to clients."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from fastapi import HTTPException
from pydantic import BaseModel, Field

RETRY_SECONDS: Final = 2


class FieldProblem(BaseModel):
    """One value that breaks a rule."""

    field: str = Field(description="Where it stands, such as `query.limit` or `body.order_id`.")
    rule: str = Field(description="The rule that it breaks.")


class Problem(BaseModel):
    """An error."""

    type: str = Field(description="Names the kind of error; the same for the same kind.")
    title: str = Field(description="The kind of error in words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What was wrong this time, and what to do.")
    request_id: str = Field(description="Stands in the log, too; quote it when you ask for help.")
    errors: list[FieldProblem] | None = Field(
        default=None, description="Each value that breaks a rule, where there are such."
    )


class ApiError(HTTPException):
    """An error that is told to the client.

    Args:
        detail: what was wrong, and what to do.
        errors: the values that break a rule, if that is what was wrong.
        headers: to be sent along.
    """

    status: int = 500
    kind: str = "internal-error"
    title: str = "Internal error"

    def __init__(
        self,
        detail: str,
        *,
        errors: Sequence[FieldProblem] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(self.status, detail, dict(headers or {}))
        self.text = detail
        self.errors = list(errors)


class BadRequestError(ApiError):
    """The request cannot be read."""

    status, kind, title = 400, "bad-request", "Bad request"


class UnauthenticatedError(ApiError):
    """No key, or none that is valid."""

    status, kind, title = 401, "unauthenticated", "API key needed"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": "Bearer"})


class ForbiddenError(ApiError):
    """The key's role does not allow it."""

    status, kind, title = 403, "forbidden", "Not allowed"


class NotFoundError(ApiError):
    """There is no such thing."""

    status, kind, title = 404, "not-found", "Not found"


class ConflictError(ApiError):
    """The state of things does not allow it."""

    status, kind, title = 409, "conflict", "Conflict"


class BodyTooLargeError(ApiError):
    """The body is larger than the limit."""

    status, kind, title = 413, "body-too-large", "Body too large"

    def __init__(self, limit: int) -> None:
        detail = f"The body is larger than the {limit:,} bytes that are allowed here."
        super().__init__(detail, headers={"Connection": "close"})


class UnsupportedMediaTypeError(ApiError):
    """The body is of a kind that is not read here."""

    status, kind, title = 415, "unsupported-media-type", "Unsupported kind of body"


class InvalidError(ApiError):
    """A value breaks a rule."""

    status, kind, title = 422, "invalid", "Invalid values"

    @classmethod
    def of(cls, field: str, rule: str) -> InvalidError:
        """One value that breaks a rule."""
        return cls(f"{field}: {rule}", errors=[FieldProblem(field=field, rule=rule)])


class TooManyRequestsError(ApiError):
    """Faster than the rate limit."""

    status, kind, title = 429, "too-many-requests", "Too many requests"

    def __init__(self, wait: float) -> None:
        seconds = max(1, round(wait + 0.5))
        super().__init__(
            f"Too many requests: wait {seconds} s, or ask for a higher limit.",
            headers={"Retry-After": str(seconds)},
        )


class UnavailableError(ApiError):
    """Something that is needed is away for the moment."""

    status, kind, title = 503, "unavailable", "Unavailable for the moment"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, headers={"Retry-After": str(RETRY_SECONDS)})


class InsufficientStorageError(ApiError):
    """There is no room on the disk."""

    status, kind, title = 507, "insufficient-storage", "No room on the disk"


@contextmanager
def invalid(field: str) -> Iterator[None]:
    """Tell a ValueError of the block, whose text is for the user, as that field's rule."""
    try:
        yield
    except ValueError as error:
        raise InvalidError.of(field, str(error)) from error
