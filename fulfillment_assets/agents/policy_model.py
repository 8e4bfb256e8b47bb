"""The offline policy model: a chat model that decides by the company's rules, without a network.

It reads what any model reads (the case, the retrieved rules, what the tools answered), takes the
numbers from the rulebook, and gives one step at a time with the rule that it follows. The same
conversation gives the same answer. Text from outside is never read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.tool import tool_call
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool

from fulfillment_assets.agents.policy import customer, escalation, payment, routing, shipment
from fulfillment_assets.agents.policy.conversation import SEARCH, Conversation, conversation_of
from fulfillment_assets.agents.policy.move import Move, call
from fulfillment_assets.agents.policy.summary import summary_of
from fulfillment_assets.knowledge.rulebook import Rulebook

NAME: Final = "policy"

Decide: TypeAlias = Callable[[Conversation, Rulebook], Move]

_DECIDERS: Final[Mapping[str, Decide]] = {
    "route": routing.next_move,
    "check_carrier_status": shipment.next_move,
    "send_notification": customer.next_move,
    "check_refund_eligibility": payment.next_move,
    "create_ticket": escalation.next_move,
}
"""Who decides, by a tool that only this role has."""


class PolicyModel(BaseChatModel):
    """Decides like a careful operator who knows the rules by heart.

    Attributes:
        rulebook: the rules in force.
    """

    rulebook: Rulebook

    @property
    def _llm_type(self) -> str:
        return NAME

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Tell the model which tools there are; by them it knows its role.

        Raises:
            TypeError: a tool is given in another form than as a LangChain tool.
        """
        names = []
        for tool in tools:
            if not isinstance(tool, BaseTool):
                raise TypeError(f"the policy model takes LangChain tools, not {tool!r}")
            names.append(tool.name)
        return self.bind(tool_names=tuple(names), **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        *,
        tool_names: tuple[str, ...] = (),
        **kwargs: Any,
    ) -> ChatResult:
        answer = self._answer(messages, tool_names)
        return ChatResult(generations=[ChatGeneration(message=answer)])

    def _answer(self, messages: Sequence[BaseMessage], tool_names: tuple[str, ...]) -> AIMessage:
        decide = next((_DECIDERS[name] for name in tool_names if name in _DECIDERS), None)
        if decide is None:
            return AIMessage(summary_of(messages[-1].text))
        conversation = conversation_of(messages)
        move = decide(conversation, self.rulebook)
        if SEARCH in tool_names:
            move = _looked_up(move, conversation)
        if move.tool is None:
            return AIMessage(move.text)
        arguments = dict(move.arguments or {})
        made = tool_call(name=move.tool, args=arguments, id=_call_id(move, len(messages)))
        return AIMessage(move.text, tool_calls=[made])


def _looked_up(move: Move, conversation: Conversation) -> Move:
    """The move itself, or first a search for its rule if that was not retrieved."""
    if move.tool is None or move.rule in conversation.rules or conversation.of(SEARCH):
        return move
    says = f"This rule is looked up first. {move.says}"
    return call(move.rule, says, SEARCH, query=f"{move.rule} {move.says}")


def _call_id(move: Move, position: int) -> str:
    text = f"{position} {move.tool} {sorted((move.arguments or {}).items())}"
    return f"call_{hashlib.sha256(text.encode()).hexdigest()[:16]}"
