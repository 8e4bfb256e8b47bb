"""The OpenAI-compatible model over real HTTP, and the faults that its protocol knows."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from pydantic import SecretStr

from fulfillment_assets.agents.models import chat_model, models_of
from fulfillment_assets.agents.policy_model import PolicyModel
from fulfillment_assets.agents.usage import price_of
from fulfillment_assets.knowledge.rulebook import Rulebook
from fulfillment_assets.settings import Settings
from tests.agents.graph_fixtures import (
    LATE_AND_HAPPY,
    Bureau,
    bureau_fixture,
    openai_settings,
    response,
    server_fixture,
    shipped_chunks_fixture,
    tools_of,
)
from tests.agents.openai_protocol import INPUT_TOKENS, OUTPUT_TOKENS, Call, Says
from tests.agents.openai_server import ChatServer, Drops, Hangs, Status

__all__ = ["bureau_fixture", "server_fixture", "shipped_chunks_fixture"]


class TestChoice:
    def test_without_a_key_the_policy_model_decides(self, rulebook: Rulebook) -> None:
        settings = Settings(openai_api_key=None)
        assert isinstance(chat_model(settings, rulebook), PolicyModel)
        models = models_of(settings, rulebook)
        assert (models.primary.name, models.stand_in) == ("policy", None)

    @pytest.mark.parametrize(("fallback", "stand_in"), [("policy", "policy"), ("escalate", None)])
    def test_with_a_key_the_settings_say_who_stands_in(
        self, rulebook: Rulebook, fallback: Any, stand_in: str | None
    ) -> None:
        settings = Settings(
            openai_api_key=SecretStr("sk"), agent_model="gpt-4o", agent_fallback=fallback
        )
        models = models_of(settings, rulebook)
        assert (models.primary.name, models.primary.price) == ("gpt-4o", (2.5, 10.0))
        assert (models.stand_in.name if models.stand_in else None) == stand_in

    def test_the_settings_may_price_further_models(self, rulebook: Rulebook) -> None:
        settings = Settings(
            openai_api_key=SecretStr("sk"),
            agent_model="house-model",
            agent_prices={"house-model": (0.1, 0.2)},
        )
        assert models_of(settings, rulebook).primary.price == (0.1, 0.2)

    def test_a_dated_version_has_the_price_of_its_model(self) -> None:
        prices = {"gpt-4o": (2.5, 10.0), "gpt-4o-mini": (0.15, 0.6)}
        assert price_of("gpt-4o-mini-2024-07-18", prices) == (0.15, 0.6)
        assert price_of("gpt-4o-audio", prices) is None
        assert price_of("llama", prices) is None


class TestProtocol:
    @pytest.mark.parametrize("streaming", [False, True])
    def test_a_case_is_worked_with_the_answers_whole_or_streamed(
        self, bureau: Bureau, server: ChatServer, streaming: bool
    ) -> None:
        outcome = bureau.asking(server, agent_streaming=streaming).work_new(LATE_AND_HAPPY)
        assert outcome.status == "resolved"
        assert response(outcome, "payment").action == "issue_refund"
        assert {bool(one.body.get("stream")) for one in server.requests} == {streaming}
        asked = len(server.requests)
        cost = asked * (INPUT_TOKENS * 0.15 + OUTPUT_TOKENS * 0.60) / 1e6
        assert outcome.usage["calls"] == asked
        assert outcome.usage["input_tokens"] == asked * INPUT_TOKENS
        assert outcome.usage["output_tokens"] == asked * OUTPUT_TOKENS
        assert outcome.usage["cost_usd"] == pytest.approx(cost)

    def test_key_model_and_exactly_the_specialist_s_tools_are_sent(
        self, bureau: Bureau, server: ChatServer
    ) -> None:
        bureau.asking(server, agent_model="house-model").work_new(LATE_AND_HAPPY)
        assert {one.key for one in server.requests} == {"sk-test"}
        assert {one.body["model"] for one in server.requests} == {"house-model"}
        first = server.asked("payment")[0].body
        assert {tool["function"]["name"] for tool in first["tools"]} == {
            "check_refund_eligibility",
            "issue_refund",
            "apply_credit",
            "search_knowledge_base",
        }
        assert server.asked("router")[0].body["tool_choice"] == "required"

    def test_the_cost_of_an_unknown_model_is_unknown(
        self, bureau: Bureau, server: ChatServer
    ) -> None:
        outcome = bureau.asking(server, agent_model="house-model").work_new()
        assert outcome.usage["cost_usd"] is None
        assert outcome.usage["input_tokens"] > 0

    def test_parallel_calls_are_executed_in_their_order(
        self, bureau: Bureau, server: ChatServer
    ) -> None:
        server.answers["shipment"] = [
            Says(
                None,
                (
                    Call("check_carrier_status"),
                    Call("transfer_warehouse", {"to_block": "C", "reason": "faster"}),
                ),
            ),
            Says("SH-4.3: It was moved."),
        ]
        outcome = bureau.asking(server).work_new()
        assert tools_of(outcome, "shipment") == [
            ("check_carrier_status", "info"),
            ("transfer_warehouse", "done"),
        ]
        messages = server.asked("shipment")[1].body["messages"]
        called = [call["id"] for call in messages[-3]["tool_calls"]]
        assert [message["tool_call_id"] for message in messages[-2:]] == called


class TestCallsThatCannotBeExecuted:
    def answered(self, bureau: Bureau, server: ChatServer, *calls: Call) -> list[dict[str, Any]]:
        """What the payment specialist's model is told of its calls."""
        server.answers["payment"] = [Says(None, calls), Says("RF-1.1: Nothing is paid.")]
        outcome = bureau.asking(server).work_new(LATE_AND_HAPPY)
        assert outcome.status == "resolved"
        told = server.asked("payment")[1].body["messages"][-len(calls) :]
        return [json.loads(message["content"]) for message in told]

    def test_a_made_up_tool_is_answered_with_those_that_there_are(
        self, bureau: Bureau, server: ChatServer
    ) -> None:
        [told] = self.answered(bureau, server, Call("wire_money", {"amount_usd": 1_000}))
        assert told["status"] == "refused"
        assert "no tool 'wire_money'" in told["reason"]
        assert "issue_refund" in told["reason"]

    def test_a_tool_of_another_specialist_is_none_of_this_one_s(
        self, bureau: Bureau, server: ChatServer
    ) -> None:
        call = Call("transfer_warehouse", {"to_block": "C", "reason": "x"})
        [told] = self.answered(bureau, server, call)
        assert told["status"] == "refused"
        assert "transfer_warehouse" not in bureau.effects()

    @pytest.mark.parametrize(
        "text", ['{"amount_usd": 40', "", '{"amount_usd": 40, "reason": "x"}}']
    )
    def test_broken_arguments_are_answered_and_not_executed(
        self, bureau: Bureau, server: ChatServer, text: str
    ) -> None:
        [told] = self.answered(bureau, server, Call("issue_refund", text))
        assert told["status"] == "refused"
        assert "issue_refund" not in bureau.effects()

    @pytest.mark.parametrize(
        "arguments",
        [
            {"amount_usd": "all of it", "reason": "x"},
            {"amount_usd": 40.0, "reason": "x", "approved": True},
            {"reason": "x"},
            {"amount_usd": 40.0, "reason": "x" * 20_000},
        ],
    )
    def test_arguments_that_do_not_fit_are_answered_and_not_executed(
        self, bureau: Bureau, server: ChatServer, arguments: dict[str, Any]
    ) -> None:
        [told] = self.answered(bureau, server, Call("issue_refund", arguments))
        assert told["status"] == "refused"
        assert "issue_refund" not in bureau.effects()

    def test_the_others_of_the_same_answer_are_executed(
        self, bureau: Bureau, server: ChatServer
    ) -> None:
        good = Call("check_refund_eligibility")
        told = self.answered(bureau, server, Call("issue_refund", "{"), good)
        assert sorted(one["status"] for one in told) == ["info", "refused"]

    def test_characters_that_cannot_be_stored_are_replaced(
        self, bureau: Bureau, server: ChatServer
    ) -> None:
        text = '{"summary": "a\\u0000b \\ud800 c"}'
        server.answers["customer"] = [Says(None, (Call("log_interaction", text),)), Says("Done.")]
        outcome = bureau.asking(server).work_new()
        stored = json.dumps([one.conversation for one in outcome.responses], ensure_ascii=False)
        assert "\\u0000" not in stored
        stored.encode()
        assert "a\ufffdb ? c" in stored


class TestRetries:
    def test_as_long_as_the_server_asks_for_is_waited_after_429(
        self, bureau: Bureau, server: ChatServer
    ) -> None:
        server.answers["router"] = [Status(429, {"Retry-After": "1"})]
        outcome = bureau.asking(server).work_new()
        assert outcome.status == "resolved"
        assert {one.model for one in outcome.responses} == {"gpt-4o-mini"}
        first, second = (one.at for one in server.asked("router"))
        assert 1.0 <= second - first < 3

    @pytest.mark.parametrize("fault", [Status(500), Status(503), Hangs(1.5), Drops(), Drops(20)])
    def test_a_fault_that_passes_leaves_no_trace(
        self, bureau: Bureau, server: ChatServer, fault: Any
    ) -> None:
        server.answers["router"] = [fault]
        outcome = bureau.asking(server).work_new()
        assert outcome.status == "resolved"
        assert {one.model for one in outcome.responses} == {"gpt-4o-mini"}
        assert response(outcome, "orchestrator").details["failure"] is None
        assert len(server.asked("router")) == 2

    def test_the_pauses_between_attempts_grow(self, bureau: Bureau, server: ChatServer) -> None:
        server.answers["router"] = [Status(500)] * 3
        bureau.asking(server, agent_max_retries=3).work_new()
        at = [one.at for one in server.asked("router")]
        pauses = [later - earlier for earlier, later in itertools.pairwise(at)]
        assert len(pauses) == 3
        assert pauses[2] > pauses[0]


def test_embeddings_are_asked_of_the_same_server(server: ChatServer) -> None:
    from fulfillment_assets.knowledge.embedders import embedder_of

    settings = openai_settings(server).model_copy(update={"knowledge_embedder": "openai"})
    vectors = embedder_of(settings).embed(["refund", "a late order"])
    assert vectors.shape[0] == 2
