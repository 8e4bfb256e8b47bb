"""Answers of a chat model as OpenAI's protocol writes them, whole or streamed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fulfillment_assets.knowledge.lexical import LexicalEmbedder

INPUT_TOKENS, OUTPUT_TOKENS = 1_000, 100


@dataclass(frozen=True)
class Call:
    """A tool call; its arguments as an object, or as text that may be broken."""

    tool: str
    arguments: Mapping[str, Any] | str = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The arguments as the protocol has them."""
        given = self.arguments
        return given if isinstance(given, str) else json.dumps(given)


@dataclass(frozen=True)
class Says:
    """An answer."""

    text: str | None = None
    calls: tuple[Call, ...] = ()
    refusal: str | None = None


def envelope(body: Mapping[str, Any], number: int, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{number}", "object": kind, "created": 1, "model": body["model"]}


def finish(reply: Says) -> str:
    """Why the answer ends."""
    return "tool_calls" if reply.calls else "stop"


def usage() -> dict[str, int]:
    return {
        "prompt_tokens": INPUT_TOKENS,
        "completion_tokens": OUTPUT_TOKENS,
        "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
    }


def tool_calls(reply: Says, number: int) -> list[dict[str, Any]]:
    return [
        {
            "id": f"call_{number}_{position}",
            "type": "function",
            "function": {"name": call.tool, "arguments": call.text},
        }
        for position, call in enumerate(reply.calls)
    ]


def completion(body: Mapping[str, Any], reply: Says, number: int) -> dict[str, Any]:
    """An answer in one piece."""
    message: dict[str, Any] = {
        "role": "assistant",
        "content": reply.text,
        "refusal": reply.refusal,
    }
    if reply.calls:
        message["tool_calls"] = tool_calls(reply, number)
    choice = {"index": 0, "message": message, "finish_reason": finish(reply)}
    ended = {"choices": [choice], "usage": usage()}
    return envelope(body, number, "chat.completion") | ended


def chunks(body: Mapping[str, Any], reply: Says, number: int) -> Iterator[dict[str, Any]]:
    """An answer in pieces: the text by words, the arguments of a call in two halves."""

    def chunk(delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        return envelope(body, number, "chat.completion.chunk") | {"choices": [choice]}

    yield chunk({"role": "assistant", "content": ""})
    for word in (reply.text or "").split(" "):
        yield chunk({"content": f"{word} "})
    if reply.refusal:
        yield chunk({"refusal": reply.refusal})
    for position, call in enumerate(tool_calls(reply, number)):
        text = call["function"]["arguments"]
        half = len(text) // 2
        first = call | {"function": {"name": call["function"]["name"], "arguments": text[:half]}}
        yield chunk({"tool_calls": [{"index": position, **first}]})
        rest = {"index": position, "function": {"arguments": text[half:]}}
        yield chunk({"tool_calls": [rest]})
    yield chunk({}, finish(reply))
    if body.get("stream_options", {}).get("include_usage"):
        last = envelope(body, number, "chat.completion.chunk")
        yield last | {"choices": [], "usage": usage()}


def embeddings(body: Mapping[str, Any]) -> dict[str, Any]:
    texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
    vectors = LexicalEmbedder().embed(texts)
    return {
        "object": "list",
        "model": body["model"],
        "data": [
            {"object": "embedding", "index": index, "embedding": vector.tolist()}
            for index, vector in enumerate(vectors)
        ],
        "usage": {"prompt_tokens": len(texts), "total_tokens": len(texts)},
    }
