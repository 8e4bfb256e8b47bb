"""What the agents' endpoints give."""

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal
from typing import Any, Final, Literal, Self, cast

from pydantic import BaseModel, ConfigDict, Field

from fulfillment_api.fields import Question
from fulfillment_api.resources.deviations.schemas import DETAIL_EXAMPLE, DeviationDetail, Status
from fulfillment_api.roles import PREFIX
from fulfillment_assets.agents.requests import Request
from fulfillment_assets.agents.trail import Trail
from fulfillment_assets.knowledge.rules import Specialist

AgentType = Literal["shipment", "customer", "payment", "escalation", "orchestrator"]
ApprovalStatus = Literal["pending", "approved", "rejected"]


class ResponseSummary(BaseModel):
    """What one agent decided about a deviation, in short."""

    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID
    deviation_id: uuid.UUID
    order_id: str | None
    agent_type: AgentType
    action: str
    summary: str | None = Field(description="In a few sentences, where the agent gave them.")
    model: str
    created_at: dt.datetime


class Response(BaseModel):
    """What one agent decided, with its conversation."""

    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID
    agent_type: AgentType
    action: str
    details_json: dict[str, Any]
    conversation_history: list[dict[str, Any]]
    model: str
    usage: dict[str, Any]
    created_at: dt.datetime


class Effect(BaseModel):
    """What a tool did."""

    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID
    agent_type: Specialist | None
    tool: str
    arguments: dict[str, Any]
    result: dict[str, Any]
    amount_usd: Decimal | None
    approved_by: str | None
    created_at: dt.datetime


class Approval(BaseModel):
    """An action that waits for a person, or what the person decided."""

    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID
    deviation_id: uuid.UUID
    agent_type: Specialist
    tool: str
    arguments: dict[str, Any]
    amount_usd: Decimal | None
    reason: str
    status: ApprovalStatus
    decided_by: str | None
    decided_at: dt.datetime | None
    note: str | None
    created_at: dt.datetime
    expires_at: dt.datetime = Field(description="Unanswered by then it counts as rejected.")


class OperatorNote(BaseModel):
    """What an operator adds."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"note": "The customer agreed by phone."}]}
    )

    note: Question | None = Field(default=None, description="Kept with it; agents read it as data.")


class Trigger(OperatorNote):
    """What the agents shall work on."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"deviation_id": str(DETAIL_EXAMPLE["id"]), "note": "The customer called."}
            ]
        },
    )

    deviation_id: uuid.UUID


class Triggered(BaseModel):
    """A deviation that the agents were asked to work on."""

    deviation_id: uuid.UUID
    status: Status
    asked_at: dt.datetime | None
    asked_by: str | None
    note: str | None
    follow: str = Field(description="The path at which the agents' work can be followed.")

    @classmethod
    def of(cls, deviation_id: uuid.UUID, found: Request) -> Self:
        """How a deviation stands."""
        return cls(
            deviation_id=deviation_id,
            status=cast(Status, found.status),
            asked_at=found.asked_at,
            asked_by=found.asked_by,
            note=found.note,
            follow=f"{PREFIX}/agent-response/{deviation_id}",
        )


class AgentResponse(BaseModel):
    """A deviation with all that the agents did about it."""

    deviation: DeviationDetail
    summary: str | None = Field(description="The orchestrator's; null while nobody has finished.")
    correlation_id: str = Field(
        description="In the log lines of all that led to it: of the request, file or message."
    )
    responses: list[Response]
    effects: list[Effect]
    approvals: list[Approval]

    @classmethod
    def of(cls, trail: Trail) -> Self:
        """The trail of a deviation."""
        return cls(
            deviation=DeviationDetail.of(trail.deviation),
            summary=trail.summary,
            correlation_id=trail.correlation_id,
            responses=[Response.model_validate(one) for one in trail.responses],
            effects=[Effect.model_validate(one) for one in trail.effects],
            approvals=[Approval.model_validate(one) for one in trail.approvals],
        )


SUMMARY_EXAMPLE: Final = {
    "id": "0195d0a0-7a3c-7cc4-8a1e-3f6f8f3f9b20",
    "deviation_id": DETAIL_EXAMPLE["id"],
    "order_id": "ORD-000017",
    "agent_type": "shipment",
    "action": "reschedule_delivery",
    "summary": "The delivery was rescheduled within the window of the policy.",
    "model": "policy",
    "created_at": "2026-03-10T09:30:04Z",
}
APPROVAL_EXAMPLE: Final = {
    "id": "0195d0a0-7a3c-7cc4-8a1e-3f6f8f3f9b30",
    "deviation_id": DETAIL_EXAMPLE["id"],
    "agent_type": "payment",
    "tool": "issue_refund",
    "arguments": {"order_id": "ORD-000017"},
    "amount_usd": "120.00",
    "reason": "above the automatic limit",
    "status": "pending",
    "decided_by": None,
    "decided_at": None,
    "note": None,
    "created_at": "2026-03-10T09:30:04Z",
    "expires_at": "2026-03-12T09:30:04Z",
}
RESPONSE_EXAMPLE: Final = {
    "deviation": DETAIL_EXAMPLE,
    "summary": "The delivery was rescheduled and the customer told.",
    "correlation_id": "4f1c2a9be0d34c5f8a7b6c5d4e3f2a1b",
    "responses": [],
    "effects": [],
    "approvals": [APPROVAL_EXAMPLE],
}
TRIGGERED_EXAMPLE: Final = {
    "deviation_id": DETAIL_EXAMPLE["id"],
    "status": "pending",
    "asked_at": "2026-03-10T09:31:00Z",
    "asked_by": "ada",
    "note": "The customer called twice today.",
    "follow": f"{PREFIX}/agent-response/{DETAIL_EXAMPLE['id']}",
}
