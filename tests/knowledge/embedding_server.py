"""A server that speaks OpenAI's embeddings protocol over real HTTP, and fails when told to."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from fulfillment_assets.knowledge.lexical import LexicalEmbedder


class EmbeddingServer:
    """Answers with lexical vectors, the last text first.

    Attributes:
        url: base URL for a client.
        requests: the bodies that came, oldest first.
        keys: the keys that came with them.
        failures: statuses to answer with, one for each of the next requests.
        dropped: so many vectors are left out of each answer.
    """

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.failures: list[int] = []
        self.dropped = 0
        handler = type("Handler", (_Handler,), {"owner": self})
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/v1"

    def answer(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and body for a request."""
        self.requests.append(body)
        if self.failures:
            status = self.failures.pop(0)
            return status, {"error": {"message": f"failure {status}", "type": "server_error"}}
        vectors = LexicalEmbedder().embed(body["input"]).tolist()
        data = [
            {"object": "embedding", "index": number, "embedding": vector}
            for number, vector in enumerate(vectors)
        ][self.dropped :]
        usage = {"prompt_tokens": 7 * len(vectors), "total_tokens": 7 * len(vectors)}
        return 200, {
            "object": "list",
            "model": body["model"],
            "data": data[::-1],
            "usage": usage,
        }


class _Handler(BaseHTTPRequestHandler):
    owner: EmbeddingServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.owner.keys.append(self.headers["Authorization"])
        status, answer = self.owner.answer(body)
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Retry-After", "0")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def embedding_server() -> Iterator[EmbeddingServer]:
    """A running server."""
    server = EmbeddingServer()
    thread = threading.Thread(target=server.http.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.http.shutdown()
        server.http.server_close()
        thread.join()
