"""Each specialist has its tools and no others, and no argument makes a tool raise."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, get_args

import pytest
from langchain_core.utils.function_calling import convert_to_openai_tool

from fulfillment_assets.agents.toolbox import tools_for
from fulfillment_assets.knowledge.errors import KnowledgeUnavailableError
from fulfillment_assets.knowledge.retrieval import Hit
from fulfillment_assets.knowledge.rules import Specialist
from tests.agents.examples import Agent, Office, verdict

TOOLS: dict[Specialist, set[str]] = {
    "shipment": {"reschedule_shipment", "check_carrier_status", "transfer_warehouse"},
    "customer": {"draft_email", "send_notification", "log_interaction"},
    "payment": {"check_refund_eligibility", "issue_refund", "apply_credit"},
    "escalation": {"create_ticket", "assign_human", "flag_priority"},
}

HIT = Hit("d:0", 0.5, "policies/refund.md", "Refund", "1.", ("RF-1.1",), "policy", "4.0", "Text")


@pytest.mark.parametrize("agent_type", get_args(Specialist))
def test_a_specialist_has_its_tools_and_the_search(office: Office, agent_type: Specialist) -> None:
    office.order()
    desk = office.agent(agent_type).desk
    tools = tools_for(agent_type, desk)
    assert {tool.name for tool in tools} == TOOLS[agent_type] | {"search_knowledge_base"}
    for tool in tools:
        schema = convert_to_openai_tool(tool)["function"]
        assert schema["description"]
        assert not {"order_id", "customer_id", "deviation_id"} & set(
            schema["parameters"]["properties"]
        )


def test_nobody_works_at_the_desk_of_another(office: Office) -> None:
    office.order()
    with pytest.raises(ValueError, match="the desk is of the customer specialist"):
        tools_for("payment", office.agent("customer").desk)


NEEDLESS = {"check_carrier_status", "check_refund_eligibility"}
"""Tools without arguments; what is given to them all the same is left out."""

WRONG: list[dict[str, Any]] = [
    {},
    {"order_id": "O-2"},
    {"reason": None, "amount_usd": None, "to_block": None, "question": None},
    {"reason": 1, "amount_usd": {}, "to_block": [], "question": 2, "queue": 3, "priority": {}},
    {"new_delivery_date": 20260318, "reason": "r"},
    {"channel": "sms", "template": 5},
    {"channel": "sms", "body": "\ud800"},
    {"channel": "sms", "template": "\0"},
    {"queue": "\0", "reason": "r"},
    {"priority": "\ud800", "reason": "r"},
    {"question": "?", "priority": "\0"},
    {"question": "?", "concerns": "weather"},
    {"summary": "s", "direction": "sideways"},
    {"subject": "s"},
    {"query": ""},
    {"query": "x" * 501},
]


def test_arguments_that_do_not_fit_are_refused_and_never_raised(office: Office) -> None:
    office.order()
    deviation = office.deviation()
    for agent_type, names in TOOLS.items():
        agent = office.agent(agent_type, deviation)
        for name in names - NEEDLESS | {"search_knowledge_base"}:
            for arguments in WRONG:
                result = agent(name, **arguments)
                assert result["status"] == "refused", (name, arguments, result)
                assert result["reason"]
    assert office.actions() == []


def test_the_search_gives_chunks_with_their_rules(office: Office) -> None:
    office.order()
    result = office.agent("payment", hits=[HIT])("search_knowledge_base", query="late")
    assert verdict(result) == ("info", None)
    assert result["hits"] == [
        {
            "source": "policies/refund.md",
            "section": "1.",
            "rule_ids": ["RF-1.1"],
            "score": 0.5,
            "text": "Text",
        }
    ]


def test_a_knowledge_base_out_of_reach_is_told_to_the_model(office: Office) -> None:
    def search(_query: str, _agent_type: Specialist) -> list[Hit]:
        raise KnowledgeUnavailableError("Chroma does not answer")

    office.order()
    agent = Agent(replace(office.agent("payment").desk, search=search))
    result = agent("search_knowledge_base", query="late")
    assert (result["status"], result["hits"]) == ("info", [])
    assert "Chroma does not answer" in json.dumps(result)
