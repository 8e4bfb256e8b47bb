"""The tools of each specialist, as a chat model calls them.

Imports LangChain's core: import this module only where the agents work.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from langchain_core.tools import StructuredTool
from pydantic import ValidationError
from pydantic.v1 import ValidationError as ValidationErrorV1

from fulfillment_assets.agents.tools import (
    arguments,
    customer,
    escalation,
    knowledge,
    payment,
    shipment,
)
from fulfillment_assets.agents.tools.desk import (
    Desk,
    NeedsApproval,
    Refused,
    Result,
    answer,
    approval_wanted,
    refused,
)
from fulfillment_assets.agents.tools.text import checked
from fulfillment_assets.knowledge.rules import Specialist

MAX_PERSON: Final = 100
"""Longest name of a person who approves, in characters."""


@dataclass(frozen=True, slots=True)
class _Tool:
    act: Callable[..., Result]
    schema: type[arguments.Arguments]
    description: str

    @property
    def name(self) -> str:
        return self.act.__name__


_SEARCH: Final = _Tool(
    knowledge.search_knowledge_base,
    arguments.SearchKnowledgeBase,
    "Look up the company's policies, agreements, templates and earlier resolutions.",
)
_TOOLS: Final[Mapping[Specialist, tuple[_Tool, ...]]] = {
    "shipment": (
        _Tool(
            shipment.check_carrier_status,
            arguments.Nothing,
            "Ask the carrier where the parcel is and when it will arrive. Changes nothing.",
        ),
        _Tool(
            shipment.reschedule_shipment,
            arguments.RescheduleShipment,
            "Give the delivery a new date, or the parcel a faster mode of shipment.",
        ),
        _Tool(
            shipment.transfer_warehouse,
            arguments.TransferWarehouse,
            "Have an order that is not shipped yet picked in another warehouse block.",
        ),
        _SEARCH,
    ),
    "customer": (
        _Tool(
            customer.draft_email,
            arguments.DraftEmail,
            "Write an e-mail to the customer, from a template or freely; it is not sent.",
        ),
        _Tool(
            customer.send_notification,
            arguments.SendNotification,
            "Send the customer a message about the order.",
        ),
        _Tool(
            customer.log_interaction,
            arguments.LogInteraction,
            "Enter what happened in the contact history.",
        ),
        _SEARCH,
    ),
    "payment": (
        _Tool(
            payment.check_refund_eligibility,
            arguments.Nothing,
            "What refund or credit the order may get now, and by which rule. Changes nothing.",
        ),
        _Tool(
            payment.issue_refund,
            arguments.Compensation,
            "Refund part of the price of a late order.",
        ),
        _Tool(
            payment.apply_credit,
            arguments.Compensation,
            "Grant a goodwill credit for an order that is at risk and not late yet.",
        ),
        _SEARCH,
    ),
    "escalation": (
        _Tool(
            escalation.create_ticket,
            arguments.CreateTicket,
            "Ask a person to decide.",
        ),
        _Tool(
            escalation.assign_human,
            arguments.AssignHuman,
            "Hand the open ticket to another queue.",
        ),
        _Tool(
            escalation.flag_priority,
            arguments.FlagPriority,
            "Raise the priority of the case.",
        ),
        _SEARCH,
    ),
}


def tools_for(agent_type: Specialist, desk: Desk) -> list[StructuredTool]:
    """The tools of a specialist, acting through its desk.

    Each returns a JSON-able dict: `status` ("done", "refused", "repeated", "needs_approval" or
    "info"), `reason`, `rule`, and numbers. Arguments that do not fit are refused, not raised.

    Raises:
        ValueError: the desk is another specialist's.
    """
    if desk.agent_type != agent_type:
        raise ValueError(f"the desk is of the {desk.agent_type} specialist, not of {agent_type}")
    return [
        StructuredTool(
            name=tool.name,
            description=tool.description,
            args_schema=tool.schema,
            func=partial(_call, desk, tool),
            handle_validation_error=_misfit,
        )
        for tool in _TOOLS[agent_type]
    ]


def execute_approved(
    desk: Desk, tool: str, arguments: Mapping[str, Any], decided_by: str
) -> Result:
    """Carry out a call that a person approved; only the need to ask is lifted, no other rule.

    Args:
        desk: of the specialist that asked, made after the decision.
        tool: name of the tool.
        arguments: as they were approved.
        decided_by: who approved; an agent cannot.
    """
    found = next((one for one in _TOOLS[desk.agent_type] if one.name == tool), None)
    if found is None:
        return answer("refused", f"The {desk.agent_type} specialist has no tool {tool!r:.80}.")
    try:
        person = checked(decided_by, "decided_by", MAX_PERSON)
        given = found.schema.model_validate(dict(arguments))
    except Refused as refusal:
        return refused(refusal)
    except ValidationError as error:
        return _misfit(error)
    if person in _TOOLS:
        return answer("refused", "An agent cannot approve what agents ask for.", "ES-5.3")
    return _call(replace(desk, approved_by=person), found, **given.model_dump())


def _call(desk: Desk, tool: _Tool, **given: Any) -> Result:
    given = {name: value for name, value in given.items() if value is not None}
    try:
        return tool.act(desk, **given)
    except Refused as refusal:
        return refused(refusal)
    except NeedsApproval as wanted:
        return approval_wanted(tool.name, given, wanted)


def _misfit(error: ValidationError | ValidationErrorV1) -> Result:
    details = error.errors()
    told = "; ".join(
        f"{'.'.join(map(str, one['loc'])) or 'arguments'}: {one['msg']}" for one in details[:5]
    )
    return answer("refused", f"The arguments do not fit: {told}.")
