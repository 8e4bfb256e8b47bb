"""Requests and their answers: keys, retries, problems, pages."""

from __future__ import annotations

import datetime as dt
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Self, TypeAlias, TypeVar

import httpx
from pydantic import BaseModel, TypeAdapter, ValidationError

from fulfillment_api.errors import FieldProblem, Problem
from fulfillment_api.pagination import MAX_LIMIT, Page
from fulfillment_api.roles import PREFIX

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)

Query: TypeAlias = Mapping[str, object]

LONGEST_WAIT: Final = 60.0
"""Seconds; where the server asks for more, the problem is told instead."""

_BUSY: Final = 429
_AWAY: Final = 503
_WAIT: Final = 1.0
_SILENCE: Final = 60.0
"""Seconds; a live stream says at least that it lives."""


class ApiProblemError(Exception):
    """What the API answered instead of what was asked for.

    Attributes:
        status: of HTTP.
        problem: kind, text, and the values that break a rule, if that is what was wrong.
    """

    def __init__(self, status: int, problem: Problem) -> None:
        super().__init__(f"{status} {problem.title}: {problem.detail}")
        self.status = status
        self.problem = problem

    @property
    def errors(self) -> list[FieldProblem]:
        """Each value that breaks a rule."""
        return self.problem.errors or []

    @classmethod
    def of(cls, response: httpx.Response) -> Self:
        """The problem of a response that was read."""
        try:
            problem = Problem.model_validate_json(response.content)
        except ValidationError:  # a proxy answered, not the API
            problem = Problem(
                type="about:blank",
                title=response.reason_phrase or "Error",
                status=response.status_code,
                detail=response.text[:500],
                request_id=response.headers.get("x-request-id", "-"),
            )
        return cls(response.status_code, problem)


class Transport:
    """Sends requests, and tries again where the server asks for it.

    Args:
        url: of the server, such as `http://127.0.0.1:8000`.
        key: an API key; None where there are none yet.
        timeout: seconds that an answer may take.
        attempts: how often a request is sent at most.
        sleep: waits for some seconds.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        timeout: float = 30.0,
        attempts: int = 5,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.Client(base_url=f"{url}{PREFIX}", headers=headers, timeout=timeout)
        self._attempts = attempts
        self._sleep = sleep

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _get(self, kind: type[T], path: str, query: Query | None = None) -> T:
        return _read(kind, self._send("GET", path, params=_plain(query)))

    def _post(
        self,
        kind: type[T],
        path: str,
        body: object = None,
        query: Query | None = None,
        *,
        repeatable: bool = True,
    ) -> T:
        answer = self._send("POST", path, json=body, params=_plain(query), repeatable=repeatable)
        return _read(kind, answer)

    def _pages(self, kind: type[M], path: str, query: Query | None = None) -> Iterator[M]:
        """The items of every page."""
        asked = dict(query or {}) | {"limit": MAX_LIMIT}
        while True:
            page = self._get(Page[kind], path, asked)  # type: ignore[valid-type]
            yield from page.items
            if page.pagination.next is None:
                return
            asked["cursor"] = page.pagination.next

    @contextmanager
    def _stream(self, path: str, query: Query) -> Iterator[Iterator[str]]:
        """The lines of an answer that goes on for ever; it may be silent for a while."""
        patient = httpx.Timeout(_SILENCE)
        with self._http.stream("GET", path, params=_plain(query), timeout=patient) as response:
            if not response.is_success:
                response.read()
                raise ApiProblemError.of(response)
            yield response.iter_lines()

    def _send(
        self,
        method: str,
        path: str,
        *,
        repeatable: bool = True,
        rewind: Callable[[], object] | None = None,
        **request: Any,
    ) -> httpx.Response:
        """The answer to a request.

        Args:
            method: of HTTP.
            path: below the prefix.
            repeatable: it does no harm if it is sent again after it may have been carried out;
                one that was refused for its rate (429) was not.
            rewind: makes the body ready to be sent again.
            request: as httpx takes it.

        Raises:
            ApiProblemError: the API refuses it.
            httpx.TransportError: the server cannot be reached.
        """
        for left in range(self._attempts - 1, -1, -1):
            try:
                response = self._http.request(method, path, **request)
            except httpx.TransportError:
                if not left or not repeatable:
                    raise
                wait = _WAIT
            else:
                if response.is_success:
                    return response
                wait = _wait(response)
                again = response.status_code == _BUSY or (
                    response.status_code == _AWAY and repeatable
                )
                if not left or not again or wait > LONGEST_WAIT:
                    raise ApiProblemError.of(response)
            self._sleep(wait)
            if rewind is not None:
                rewind()
        raise AssertionError("the last attempt returns or raises")


def _wait(response: httpx.Response) -> float:
    told = response.headers.get("retry-after", "")
    return float(told) if told.isdigit() else _WAIT


def _plain(query: Query | None) -> dict[str, Any]:
    return {name: _text(value) for name, value in (query or {}).items() if value is not None}


def _text(value: object) -> Any:
    if isinstance(value, dt.datetime):
        return value.isoformat()
    return str(value) if isinstance(value, uuid.UUID) else value


def _read(kind: type[T], response: httpx.Response) -> T:
    return TypeAdapter(kind).validate_json(response.content)
