"""A server that speaks OpenAI's chat-completions and embeddings protocol over real HTTP.

A test tells it what to answer, by the role that asks: each role is known by its tools. Faults are
answers, too: statuses, time-outs, dropped connections, nonsense.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, TypeAlias

from langchain_core.messages import AIMessage
from langchain_core.messages.utils import convert_to_messages

from fulfillment_assets.agents.policy_model import PolicyModel
from fulfillment_assets.knowledge.rulebook import Rulebook
from tests.agents.openai_protocol import Call, Says, chunks, completion, embeddings

ROLES: Final = {
    "route": "router",
    "check_carrier_status": "shipment",
    "send_notification": "customer",
    "check_refund_eligibility": "payment",
    "create_ticket": "escalation",
}


@dataclass(frozen=True)
class Status:
    """An error."""

    code: int
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Hangs:
    """No answer for so many seconds."""

    seconds: float


@dataclass(frozen=True)
class Drops:
    """The connection is closed after so many bytes of an answer."""

    after: int = 0


@dataclass(frozen=True)
class Raw:
    """A body that is no answer at all."""

    body: bytes


Reply: TypeAlias = Says | Status | Hangs | Drops | Raw
Script: TypeAlias = Callable[[dict[str, Any]], Reply]


@dataclass(frozen=True)
class Request:
    """What came."""

    role: str
    body: dict[str, Any]
    key: str
    at: float


class ChatServer:
    """The server; set `script`, or `answers` for single roles, before it is asked.

    Attributes:
        url: base URL for a client.
        requests: what came, in its order.
        answers: replies of a role, one for each of its next requests; then `script` goes on.
        script: answers everything else.
    """

    def __init__(self, script: Script) -> None:
        self.script = script
        self.answers: defaultdict[str, list[Reply]] = defaultdict(list)
        self.requests: list[Request] = []
        self._lock = threading.Lock()
        self._ids = itertools.count(1)
        handler = type("Handler", (_Handler,), {"owner": self})
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/v1"

    def reply(self, body: dict[str, Any], key: str) -> Reply:
        """What is answered to a request."""
        role = role_of(body)
        with self._lock:
            self.requests.append(Request(role, body, key, time.monotonic()))
            queued = self.answers[role]
            if queued:
                return queued.pop(0)
        return self.script(body)

    def asked(self, role: str) -> list[Request]:
        """The requests of a role."""
        with self._lock:
            return [request for request in self.requests if request.role == role]

    def next_id(self) -> int:
        """A number that no other answer has."""
        with self._lock:
            return next(self._ids)


@contextlib.contextmanager
def running(script: Script) -> Iterator[ChatServer]:
    """A server that listens until the block ends."""
    server = ChatServer(script)
    thread = threading.Thread(target=server.http.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.http.shutdown()
        server.http.server_close()
        thread.join()


def role_of(body: Mapping[str, Any]) -> str:
    """Who asks."""
    names = [tool["function"]["name"] for tool in body.get("tools", ())]
    return next((ROLES[name] for name in names if name in ROLES), "summary")


def careful(rulebook: Rulebook) -> Script:
    """Answers as the policy model would: a good model behind the protocol."""
    model = PolicyModel(rulebook=rulebook)

    def answer(body: dict[str, Any]) -> Reply:
        names = tuple(tool["function"]["name"] for tool in body.get("tools", ()))
        messages = convert_to_messages(list(map(_readable, body["messages"])))
        message = model.invoke(messages, tool_names=names)
        assert isinstance(message, AIMessage)
        calls = tuple(Call(call["name"], call["args"]) for call in message.tool_calls)
        return Says(message.text, calls)

    return answer


def _readable(message: dict[str, Any]) -> dict[str, Any]:
    """A message without arguments that are no JSON."""
    calls = []
    for call in message.get("tool_calls", ()):
        text = call["function"]["arguments"]
        try:
            json.loads(text)
        except json.JSONDecodeError:
            text = "{}"
        calls.append(call | {"function": call["function"] | {"arguments": text}})
    return message | {"tool_calls": calls} if calls else message


class _Handler(BaseHTTPRequestHandler):
    owner: ChatServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/v1/embeddings":
            self._send(200, json.dumps(embeddings(body)).encode())
            return
        if self.path != "/v1/chat/completions":
            self._send(404, b"{}")
            return
        key = self.headers["Authorization"].removeprefix("Bearer ")
        reply = self.owner.reply(body, key)
        match reply:
            case Says():
                self._say(body, reply)
            case Status(code, headers):
                error = {"message": f"failure {code}", "type": "server_error", "code": None}
                self._send(code, json.dumps({"error": error}).encode(), headers)
            case Hangs(seconds):
                time.sleep(seconds)
                self.close_connection = True
            case Drops(after):
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", "1000")
                self.end_headers()
                self.wfile.write(b"{" * after)
                self.close_connection = True
            case Raw(content):
                self._send(200, content)

    def _say(self, body: dict[str, Any], reply: Says) -> None:
        number = self.owner.next_id()
        if body.get("stream"):
            lines = [*map(json.dumps, chunks(body, reply, number)), "[DONE]"]
            text = "".join(f"data: {line}\n\n" for line in lines)
            self._send(200, text.encode(), {"Content-Type": "text/event-stream"})
            return
        self._send(200, json.dumps(completion(body, reply, number)).encode())

    def _send(self, code: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(code)
        for name, value in ({"Content-Type": "application/json"} | dict(headers or {})).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass
