"""What the agents did about deviations, and what waits for a person."""

from __future__ import annotations

import uuid
from typing import Annotated, Final

from fastapi import Query

from fulfillment_api.dependencies import TheDatabase
from fulfillment_api.fields import ApprovalId, DeviationId, Text
from fulfillment_api.pagination import Page, Paged
from fulfillment_api.resources.agents.repository import (
    ResponseFilters,
    read_approvals,
    read_responses,
)
from fulfillment_api.resources.agents.schemas import (
    APPROVAL_EXAMPLE,
    RESPONSE_EXAMPLE,
    SUMMARY_EXAMPLE,
    AgentResponse,
    AgentType,
    Approval,
    ApprovalStatus,
    ResponseSummary,
)
from fulfillment_api.routing import example, page_example, resource
from fulfillment_assets.agents.approvals import find_approval
from fulfillment_assets.agents.trail import read_trail

_RESPONSES: Final = "agent-responses"
_APPROVALS: Final = "approvals"

router = resource("agents")


@router.get("/agent-responses", responses=example(page_example(SUMMARY_EXAMPLE)))
def list_responses(
    database: TheDatabase,
    paging: Paged,
    agent_type: Annotated[AgentType | None, Query(description="Only of this agent.")] = None,
    deviation_id: Annotated[uuid.UUID | None, Query(description="Only of this.")] = None,
    order_id: Annotated[Text | None, Query(description="Only about this order.")] = None,
    search: Annotated[
        Text | None, Query(description="In the action or the summary, or an order's id.")
    ] = None,
) -> Page[ResponseSummary]:
    """What the agents decided, the newest first."""
    filters = ResponseFilters(agent_type, deviation_id, order_id, None, search)
    after = paging.after(_RESPONSES, uuid.UUID)
    with database.read() as connection:
        found = read_responses(connection, filters, after=after, limit=paging.limit)
    return paging.page(_RESPONSES, found)


@router.get("/agent-response/{deviation_id}", responses=example(RESPONSE_EXAMPLE))
def show_response(database: TheDatabase, deviation_id: DeviationId) -> AgentResponse:
    """A deviation with all that the agents did about it: decisions, effects, approvals."""
    with database.read() as connection:
        return AgentResponse.of(read_trail(connection, deviation_id))


@router.get("/approvals", responses=example(page_example(APPROVAL_EXAMPLE)))
def list_approvals(
    database: TheDatabase,
    paging: Paged,
    status: Annotated[ApprovalStatus | None, Query(description="Only of this status.")] = None,
) -> Page[Approval]:
    """Actions that wait for a person, and what was decided; the newest first."""
    after = paging.after(_APPROVALS, uuid.UUID)
    with database.read() as connection:
        found = read_approvals(connection, status, after=after, limit=paging.limit)
    return paging.page(_APPROVALS, found)


@router.get("/approvals/{approval_id}", responses=example(APPROVAL_EXAMPLE))
def show_approval(database: TheDatabase, approval_id: ApprovalId) -> Approval:
    """One action that waits for a person, or what was decided about it."""
    with database.read() as connection:
        return Approval.model_validate(find_approval(connection, approval_id))
