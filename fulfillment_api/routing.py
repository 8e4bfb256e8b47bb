"""Routers whose every route stands in the table of roles and tells its errors."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute

from fulfillment_api.errors import ForbiddenError, Problem
from fulfillment_api.roles import PREFIX, ROLES, Role
from fulfillment_api.security.guard import PRINCIPAL
from fulfillment_api.security.keyring import Principal

Handler = Callable[[Request], Coroutine[Any, Any, Response]]

_ERRORS: Final = {
    400: "The request cannot be read.",
    401: "An API key is needed.",
    403: "The key's role does not allow it.",
    404: "There is no such thing.",
    413: "The body is larger than what is allowed.",
    422: "A value breaks a rule.",
    429: "Too many requests; Retry-After tells how long to wait.",
    500: "Something went wrong here.",
    503: "Something that is needed is away for the moment; Retry-After tells when to try again.",
}


class GuardedRoute(APIRoute):
    """A route that asks for its role before it reads a body.

    Raises:
        KeyError: the route does not stand in the table of roles.
    """

    def get_route_handler(self) -> Handler:
        """The handler, behind the question for the role."""
        handler = super().get_route_handler()
        role = needed_role(self)
        if role is None:
            return handler

        async def asking(request: Request) -> Response:
            refuse_lesser_role(request.scope[PRINCIPAL], role)
            return await handler(request)

        return asking


def refuse_lesser_role(principal: Principal, role: Role) -> None:
    """Let in who has a role.

    Raises:
        ForbiddenError: the key's role does not cover it.
    """
    if not principal.role.covers(role):
        raise ForbiddenError(f"This takes a key with the role {role}; yours is {principal.role}.")


def needed_role(route: APIRoute) -> Role | None:
    """The role of a route, by the table; None: it is open to anybody.

    Raises:
        KeyError: the route does not stand in the table.
    """
    [method] = route.methods or set()
    return ROLES[method, route.path_format.removeprefix(PREFIX)]


def resource(tag: str) -> APIRouter:
    """A router for a resource, below the prefix."""
    return APIRouter(
        prefix=PREFIX,
        tags=[tag],
        route_class=GuardedRoute,
        generate_unique_id_function=lambda route: route.name,
        responses={
            status: {"model": Problem, "description": description}
            for status, description in _ERRORS.items()
        },
    )


def example(
    value: Any, description: str = "Successful response", *, status: int = 200
) -> dict[int | str, Any]:
    """The `responses` of a route whose answer looks like `value`."""
    content = {"application/json": {"example": value}}
    return {status: {"description": description, "content": content}}


def conflict(description: str) -> dict[int | str, Any]:
    """The `responses` of a route that the state of things may forbid."""
    return {409: {"model": Problem, "description": description}}


def page_example(item: Any) -> dict[str, Any]:
    """A page of a list whose items look like `item`."""
    return {"items": [item], "pagination": {"next": None, "limit": 50}}
