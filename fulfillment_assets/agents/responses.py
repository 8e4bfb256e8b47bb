"""What came of a deviation: its responses, requests for approval, what was learned, its status.

All of it is one transaction, and only of the worker that has the deviation: whoever lost its lease
writes nothing. One response for each specialist, by the unique key of `agent_responses`.
"""

from __future__ import annotations

import json
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from fulfillment_assets.agents import approvals, claims
from fulfillment_assets.agents.case import Case
from fulfillment_assets.agents.outcome import AgentResponse, Outcome
from fulfillment_assets.knowledge.documents import record_resolution
from fulfillment_assets.knowledge.rulebook import Rulebook
from fulfillment_assets.observability.correlation import CORRELATION_ID

_INSERT: Final = """
INSERT INTO agent_responses
    (deviation_id, agent_type, action, details_json, conversation_history, model, usage)
VALUES (:deviation_id, :agent_type, :action, CAST(:details AS jsonb),
        CAST(:conversation AS jsonb), :model, CAST(:usage AS jsonb))
ON CONFLICT (deviation_id, agent_type) DO UPDATE SET
    action = excluded.action, details_json = excluded.details_json,
    conversation_history = excluded.conversation_history, model = excluded.model,
    usage = excluded.usage, created_at = now()
"""


def record(
    connection: Connection, case: Case, outcome: Outcome, worker: str, rulebook: Rulebook
) -> None:
    """Write what came of a case, in the caller's transaction.

    A deviation that failed and is worked again has the responses of the last attempt.

    Raises:
        ClaimError: the worker does not have the deviation any more.
    """
    deviation = case.deviation_id
    claims.settle(connection, deviation, worker, outcome.status)
    if outcome.responses:
        connection.execute(
            sa.text(_INSERT), [_values(case, response) for response in outcome.responses]
        )
    for wanted in outcome.approvals:
        approvals.record(
            connection,
            deviation,
            wanted.agent_type,
            {
                "tool": wanted.tool,
                "arguments": wanted.arguments,
                "amount": wanted.amount,
                "why": wanted.why,
            },
            now=case.now,
            expires_hours=rulebook.escalation.approval_expires_hours,
        )
    if outcome.status in ("resolved", "escalated"):
        record_resolution(connection, deviation, title=_title(case), content=_lesson(case, outcome))


def _values(case: Case, response: AgentResponse) -> dict[str, object]:
    details = {**response.details, CORRELATION_ID: case.correlation_id}
    return {
        "deviation_id": case.deviation_id,
        "agent_type": response.agent_type,
        "action": response.action,
        "details": json.dumps(details, default=str),
        "conversation": json.dumps(response.conversation, default=str),
        "model": response.model,
        "usage": json.dumps(response.usage),
    }


def _title(case: Case) -> str:
    return f"{case.kind.replace('_', ' ')}, {case.severity}"


def _lesson(case: Case, outcome: Outcome) -> str:
    """What was learned, in words of the contract and of our own tools alone.

    No text from outside is kept: it would come back as knowledge of the company.
    """
    lines = [f"# {_title(case)}", ""]
    order = case.order
    if order is not None:
        lines.append(
            f"An order from block {order.warehouse_block} by {order.mode_of_shipment}, "
            f"{order.product_importance} importance, payment {order.payment_status or 'unknown'}, "
            f"status {order.order_status or 'unknown'}, delay probability {case.probability:.2f}."
        )
    else:
        lines.append(f"Segment {case.segment_key}, mean delay probability {case.probability:.2f}.")
    lines.append("")
    for response in outcome.responses:
        for step in response.details.get("steps", ()):
            result = step["result"]
            rule = f" (rule {step['rule']})" if step["rule"] else ""
            lines.append(f"- {response.agent_type}: {step['tool']} {result.get('status')}{rule}")
    lines += ["", f"It ended {outcome.status}."]
    return "\n".join(lines)
