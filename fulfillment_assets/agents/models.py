"""The chat models: an OpenAI-compatible one where there is a key, else the offline policy model.

A call that fails after its retries is answered by the stand-in, where the settings allow one;
without, whoever asked hands the case over to a person. This module imports langchain; the client
of OpenAI is imported only where it is made.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AnyMessage
from langchain_core.tools import BaseTool
from pydantic import SecretStr

from fulfillment_assets.agents.policy_model import NAME as POLICY
from fulfillment_assets.agents.policy_model import PolicyModel
from fulfillment_assets.agents.usage import PRICES, Usage, price_of, usage_of
from fulfillment_assets.knowledge.rulebook import Rulebook
from fulfillment_assets.settings import Settings

PAUSE_SECONDS: Final = 30.0
"""A server that is down is left alone for so long: each case would wait through all retries."""

_LONGEST_REASON: Final = 300


@dataclass(frozen=True, slots=True)
class NamedModel:
    """A model with what is recorded of it.

    Attributes:
        price: US dollars for a million input and output tokens; None: not known.
    """

    name: str
    chat: BaseChatModel
    price: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a call.

    Attributes:
        message: None where nobody could answer.
        models: who was asked, in that order.
        calls: what each of them cost.
        failure: why the first one did not answer; None where it did.
    """

    message: AIMessage | None
    models: list[str]
    calls: list[Usage]
    failure: str | None


@dataclass
class Models:
    """The model that is asked, and the one that answers in its place; safe to share by threads."""

    primary: NamedModel
    stand_in: NamedModel | None = None
    _down: tuple[float, str] | None = field(default=None, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def ask(
        self,
        messages: Sequence[AnyMessage],
        tools: Sequence[BaseTool] = (),
        *,
        must_call: bool = False,
        given_up: str | None = None,
    ) -> Answer:
        """Ask for the next message.

        Args:
            messages: the conversation so far.
            tools: what may be called.
            must_call: an answer without a call is of no use.
            given_up: why the first model is not to be asked any more.
        """
        models: list[str] = []
        calls: list[Usage] = []
        failure = given_up or self._pause()
        if failure is None:
            message, failure, usage = self._try(self.primary, messages, tools, must_call)
            models.append(self.primary.name)
            calls.append(usage)
            if failure is None:
                return Answer(message, models, calls, None)
        if self.stand_in is None:
            return Answer(None, models, calls, failure)
        message, broken, usage = self._try(self.stand_in, messages, tools, must_call)
        reason = failure if broken is None else f"{failure}; {broken}"
        return Answer(message, [*models, self.stand_in.name], [*calls, usage], reason)

    def _try(
        self,
        model: NamedModel,
        messages: Sequence[AnyMessage],
        tools: Sequence[BaseTool],
        must_call: bool,
    ) -> tuple[AIMessage | None, str | None, Usage]:
        started = time.perf_counter()
        message: AIMessage | None = None
        try:
            if tools:
                choice = "any" if must_call else None
                message = model.chat.bind_tools(tools, tool_choice=choice).invoke(list(messages))
            else:
                message = model.chat.invoke(list(messages))
            useless = _useless(message, must_call)
            message = storable(message)
        except Exception as error:  # whatever client, server and network come up with
            useless = f"{type(error).__name__}: {error}"
            if _is_outage(error):
                self._stop(f"{model.name}: {_short(useless)}")
        usage = usage_of(message, time.perf_counter() - started, model.price)
        if useless is None:
            return message, None, usage
        return None, f"{model.name}: {_short(useless)}", usage

    def _pause(self) -> str | None:
        with self._lock:
            if self._down is None or time.monotonic() > self._down[0]:
                return None
            return self._down[1]

    def _stop(self, reason: str) -> None:
        with self._lock:
            self._down = (time.monotonic() + PAUSE_SECONDS, reason)


def models_of(settings: Settings, rulebook: Rulebook) -> Models:
    """The models that the settings ask for; without a key the policy model decides alone."""
    policy = NamedModel(POLICY, PolicyModel(rulebook=rulebook), (0.0, 0.0))
    if settings.openai_api_key is None:
        return Models(policy)
    primary = NamedModel(
        settings.agent_model,
        chat_model(settings, rulebook),
        price_of(settings.agent_model, {**PRICES, **settings.agent_prices}),
    )
    return Models(primary, policy if settings.agent_fallback == "policy" else None)


def chat_model(settings: Settings, rulebook: Rulebook) -> BaseChatModel:
    """An OpenAI-compatible model where there is a key, else the policy model.

    The client tries again after 429, 5xx, a time-out and a lost connection, with exponential
    back-off or as long as the server's Retry-After says.
    """
    if settings.openai_api_key is None:
        return PolicyModel(rulebook=rulebook)
    from langchain_openai import ChatOpenAI

    return ChatOpenAI(
        model=settings.agent_model,
        api_key=SecretStr(settings.openai_api_key.get_secret_value()),
        base_url=settings.openai_base_url,
        timeout=settings.agent_timeout_seconds,
        max_retries=settings.agent_max_retries,
        streaming=settings.agent_streaming,
        stream_usage=settings.agent_streaming,
        use_responses_api=False,
    )


def storable(message: AIMessage) -> AIMessage:
    """The answer with what PostgreSQL and UTF-8 cannot hold replaced, and nothing but the answer.

    JSON lets a model write NUL and halves of surrogate pairs; neither can be stored or sent again.
    """
    return AIMessage(
        content=_plain(message.text),
        tool_calls=[_plain(call) for call in message.tool_calls],
        invalid_tool_calls=[_plain(call) for call in message.invalid_tool_calls],
        usage_metadata=message.usage_metadata,
        id=message.id,
    )


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {_plain(name): _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list) else value


def _useless(message: AIMessage, must_call: bool) -> str | None:
    called = bool(message.tool_calls or message.invalid_tool_calls)
    if not called and (refusal := message.additional_kwargs.get("refusal")):
        return f"it refused: {refusal}"
    if must_call and not called:
        return f"it called no tool and said: {message.text or 'nothing'}"
    if not called and not message.text.strip():
        return "it answered nothing"
    return None


def _is_outage(error: Exception) -> bool:
    import openai

    return isinstance(
        error,
        openai.APIConnectionError
        | openai.RateLimitError
        | openai.InternalServerError
        | openai.AuthenticationError
        | openai.PermissionDeniedError,
    )


def _short(reason: str) -> str:
    one_line = " ".join(reason.split())
    return one_line if len(one_line) <= _LONGEST_REASON else one_line[:_LONGEST_REASON] + "…"
