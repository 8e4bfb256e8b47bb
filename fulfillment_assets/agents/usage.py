"""What calls of a model cost: tokens, US dollars, seconds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, TypedDict

from langchain_core.messages import AIMessage

TOKENS_PER_PRICE: Final = 1_000_000

PRICES: Final[Mapping[str, tuple[float, float]]] = {
    "gpt-4o-mini": (0.15, 0.60),
    "gpt-4o": (2.50, 10.00),
    "gpt-4.1-mini": (0.40, 1.60),
    "gpt-4.1": (2.00, 8.00),
}
"""US dollars for a million input and output tokens, as OpenAI lists them; settings add to them."""


class Usage(TypedDict):
    """Calls of models, added up.

    Attributes:
        cost_usd: None where the price of a model that was asked is not known.
        seconds: waited for the answers, retries included.
    """

    calls: int
    input_tokens: int
    output_tokens: int
    cost_usd: float | None
    seconds: float


def total(calls: Iterable[Usage]) -> Usage:
    """All together; one unknown cost makes the sum unknown."""
    every = list(calls)
    costs = [call["cost_usd"] for call in every]
    known = [cost for cost in costs if cost is not None]
    return Usage(
        calls=sum(call["calls"] for call in every),
        input_tokens=sum(call["input_tokens"] for call in every),
        output_tokens=sum(call["output_tokens"] for call in every),
        cost_usd=round(sum(known), 8) if len(known) == len(costs) else None,
        seconds=round(sum(call["seconds"] for call in every), 6),
    )


def usage_of(message: AIMessage | None, seconds: float, price: tuple[float, float] | None) -> Usage:
    """The usage of one call.

    Args:
        message: the answer; None where the call failed, which costs nothing that is known of.
        seconds: how long it took.
        price: US dollars for a million input tokens, and for a million output tokens.
    """
    counted = message.usage_metadata if message is not None else None
    tokens = (counted["input_tokens"], counted["output_tokens"]) if counted else (0, 0)
    if message is not None and counted is None and price != (0.0, 0.0):
        price = None  # the server did not count
    cost = sum(n * usd for n, usd in zip(tokens, price, strict=True)) if price else None
    return Usage(
        calls=1,
        input_tokens=tokens[0],
        output_tokens=tokens[1],
        cost_usd=None if cost is None else round(cost / TOKENS_PER_PRICE, 8),
        seconds=round(seconds, 6),
    )


def price_of(model: str, prices: Mapping[str, tuple[float, float]]) -> tuple[float, float] | None:
    """The price of a model; that of `gpt-4o-mini` holds for `gpt-4o-mini-2024-07-18`, too."""
    fitting = [name for name in prices if model == name or model.startswith(f"{name}-20")]
    return prices[max(fitting, key=len)] if fitting else None
