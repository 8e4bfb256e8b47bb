"""What operators have the agents do: work on a deviation, and do or leave what waits for them."""

from __future__ import annotations

from typing import Annotated

from fastapi import Body

from fulfillment_api.audit import Changes
from fulfillment_api.dependencies import TheChanges, TheDatabase, ThePrincipal
from fulfillment_api.fields import ApprovalId
from fulfillment_api.resources.agents.schemas import (
    APPROVAL_EXAMPLE,
    TRIGGERED_EXAMPLE,
    Approval,
    OperatorNote,
    Trigger,
    Triggered,
)
from fulfillment_api.routing import conflict, example, resource
from fulfillment_api.security.keyring import Principal
from fulfillment_assets.agents.approvals import Decision, decide, find_approval, is_decided
from fulfillment_assets.agents.requests import ask, find_request

router = resource("agents")

_DECIDED = {
    **example(APPROVAL_EXAMPLE | {"status": "approved", "decided_by": "ada"}),
    **conflict("It was decided otherwise before, or it has expired."),
}
Note = Annotated[OperatorNote | None, Body()]


@router.post(
    "/trigger-agent",
    status_code=202,
    responses={
        **example(TRIGGERED_EXAMPLE, "The agents will work on it.", status=202),
        **conflict("It is resolved, being worked on or waits for an approval."),
    },
)
def trigger_agent(
    database: TheDatabase, changes: TheChanges, principal: ThePrincipal, wanted: Trigger
) -> Triggered:
    """Have the agents work on a deviation of any severity, before the others.

    One that failed or was escalated is tried again. Asking again while it waits changes nothing;
    another note takes the place of the first.
    """
    deviation, note = wanted.deviation_id, wanted.note
    with database.read() as connection:
        found = find_request(connection, deviation)
    if not found.waits(note):
        with changes.change("agents.trigger", str(deviation), note=note) as connection:
            found = ask(connection, deviation, by=principal.name, note=note)
    return Triggered.of(deviation, found)


@router.post("/approvals/{approval_id}/approve", responses=_DECIDED)
def approve(
    database: TheDatabase,
    changes: TheChanges,
    principal: ThePrincipal,
    approval_id: ApprovalId,
    wanted: Note = None,
) -> Approval:
    """Have the agents do what they asked to do; approving again changes nothing."""
    return _decide(database, changes, principal, approval_id, "approved", wanted)


@router.post("/approvals/{approval_id}/reject", responses=_DECIDED)
def reject(
    database: TheDatabase,
    changes: TheChanges,
    principal: ThePrincipal,
    approval_id: ApprovalId,
    wanted: Note = None,
) -> Approval:
    """Have the agents go on without what they asked to do; rejecting again changes nothing."""
    return _decide(database, changes, principal, approval_id, "rejected", wanted)


def _decide(
    database: TheDatabase,
    changes: Changes,
    principal: Principal,
    approval_id: ApprovalId,
    decision: Decision,
    wanted: OperatorNote | None,
) -> Approval:
    with database.read() as connection:
        found = find_approval(connection, approval_id)
    if not is_decided(found, decision):
        note = None if wanted is None else wanted.note
        with changes.change(f"approvals.{decision}", str(approval_id), note=note) as connection:
            found = decide(connection, approval_id, decision, by=principal.name, note=note)
    return Approval.model_validate(found)
