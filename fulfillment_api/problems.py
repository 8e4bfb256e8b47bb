"""Every error as problem details (RFC 9457): what was wrong, where, and what to do.

Nothing of the inside is told: no stack trace, no SQL, no secret.
"""

from __future__ import annotations

import http
from collections.abc import Callable, Mapping
from typing import Any, Final

import psycopg2
import psycopg2.errors
from fastapi import FastAPI, Request, WebSocket
from fastapi.exceptions import RequestValidationError, WebSocketRequestValidationError
from fastapi.responses import Response
from fastapi.routing import APIRoute
from sqlalchemy.exc import (
    DBAPIError,
    InterfaceError,
    OperationalError,
    ProgrammingError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException as StarletteHTTPException

from fulfillment_api.errors import (
    ApiError,
    BadRequestError,
    ConflictError,
    FieldProblem,
    InvalidError,
    NotFoundError,
    Problem,
    UnavailableError,
)
from fulfillment_api.request_id import current_request_id
from fulfillment_assets.agents.errors import (
    ApprovalError,
    AskError,
    UnknownApprovalError,
    UnknownDeviationError,
)
from fulfillment_assets.delay_model.errors import DelayModelError
from fulfillment_assets.events.client import KafkaUnavailableError
from fulfillment_assets.knowledge.errors import (
    FileDocumentError,
    KnowledgeError,
    KnowledgeUnavailableError,
)
from fulfillment_assets.observability.logs import get_logger
from fulfillment_assets.store.connection import DatabaseUnavailableError
from fulfillment_assets.store.setting_specs import SettingError

MEDIA_TYPE: Final = "application/problem+json"

_log = get_logger("fulfillment_api.problems")


class StatusError(ApiError):
    """What the framework raises: 404 and 405 of the router, 400 of a body that is no JSON."""

    def __init__(self, error: StarletteHTTPException) -> None:
        phrase = http.HTTPStatus(error.status_code).phrase
        self.status = error.status_code
        self.kind = phrase.lower().replace(" ", "-")
        self.title = phrase
        super().__init__(_DETAILS.get(self.status, str(error.detail)), headers=error.headers)


_DETAILS: Final = {
    404: "There is no such path; /docs shows those that there are.",
    405: "The path does not take this method; the header Allow names those that it takes.",
}


def _validation(error: RequestValidationError | WebSocketRequestValidationError) -> ApiError:
    problems = [
        FieldProblem(field=".".join(map(str, one["loc"])), rule=str(one["msg"]))
        for one in error.errors()
    ]
    detail = "; ".join(f"{problem.field}: {problem.rule}" for problem in problems[:3])
    return InvalidError(detail, errors=problems)


_NO_DATABASE: Final = "The database does not answer; try again in a moment."


def _database(error: SQLAlchemyError) -> ApiError:
    if isinstance(error, ProgrammingError) and isinstance(
        error.orig, psycopg2.errors.UndefinedTable | psycopg2.errors.UndefinedColumn
    ):
        return UnavailableError("The schema is missing or old: run `fulfillment db upgrade`.")
    lost = isinstance(error, DBAPIError) and error.connection_invalidated
    if lost or isinstance(error, OperationalError | InterfaceError | PoolTimeoutError):
        return UnavailableError(_NO_DATABASE)
    return _unexpected(error)


def _unexpected(error: Exception) -> ApiError:
    _log.error("unexpected error", exc_info=error)
    return ApiError("Something went wrong here; the log tells more under this request id.")


def _told(error: type[ApiError]) -> Callable[[Exception], ApiError]:
    """For errors whose text is written for the user."""

    def tell(found: Exception) -> ApiError:
        made: ApiError = error(str(found))
        return made

    return tell


_NO_KNOWLEDGE: Final = (
    "The knowledge base cannot be searched: Chroma does not answer, or there is no index yet "
    "(`fulfillment knowledge ingest` makes one). Try again in a moment."
)

_TRANSLATIONS: Final[Mapping[type[Exception], Callable[[Any], ApiError]]] = {
    ApiError: lambda error: error,
    RequestValidationError: _validation,
    WebSocketRequestValidationError: _validation,
    StarletteHTTPException: StatusError,
    SQLAlchemyError: _database,
    psycopg2.OperationalError: lambda _: UnavailableError(_NO_DATABASE),
    DatabaseUnavailableError: lambda _: UnavailableError(_NO_DATABASE),
    UnknownDeviationError: _told(NotFoundError),
    UnknownApprovalError: _told(NotFoundError),
    ApprovalError: _told(ConflictError),
    AskError: _told(ConflictError),
    SettingError: _told(InvalidError),
    FileDocumentError: _told(ConflictError),
    KnowledgeError: _told(InvalidError),
    KnowledgeUnavailableError: lambda _: UnavailableError(_NO_KNOWLEDGE),
    KafkaUnavailableError: lambda _: UnavailableError("Kafka does not answer; try again."),
    DelayModelError: _told(UnavailableError),
    RecursionError: lambda _: BadRequestError("The body is nested too deeply."),
}


def as_api_error(error: Exception) -> ApiError:
    """The error as the client is told; of one that nobody foresaw only that there was one."""
    for kind in type(error).__mro__:
        if (translate := _TRANSLATIONS.get(kind)) is not None:
            return translate(error)
    return _unexpected(error)


def problem_response(error: Exception) -> Response:
    """The response that tells of an error."""
    told = as_api_error(error)
    errors = [
        FieldProblem(field=_writable(one.field), rule=_writable(one.rule)) for one in told.errors
    ]
    problem = Problem(
        type=f"urn:fulfillment:problem:{told.kind}",
        title=told.title,
        status=told.status,
        detail=_writable(told.text),
        request_id=current_request_id(),
        errors=errors or None,
    )
    return Response(
        problem.model_dump_json(exclude_none=True),
        status_code=told.status,
        headers=told.headers,
        media_type=MEDIA_TYPE,
    )


def _writable(text: str) -> str:
    """The text without halves of characters, which a client may send and UTF-8 cannot hold."""
    return text.encode(errors="replace").decode()


def add_error_handlers(app: FastAPI) -> None:
    """Let every foreseen error of an endpoint become problem details."""

    async def handle(request: Request | WebSocket, error: Exception) -> Response:
        response = problem_response(error)
        if isinstance(request, WebSocket):  # an error before the handshake was answered
            await request.send_denial_response(response)
            return response
        if response.status_code == http.HTTPStatus.METHOD_NOT_ALLOWED:
            response.headers["Allow"] = ", ".join(_methods_of(app, request.scope["path"]))
        return response

    for kind in _TRANSLATIONS:
        app.add_exception_handler(kind, handle)


def _methods_of(app: FastAPI, path: str) -> list[str]:
    return sorted(
        method
        for route in app.routes
        if isinstance(route, APIRoute) and route.path_regex.match(path)
        for method in route.methods or ()
    )
