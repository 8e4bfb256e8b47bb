"""Chroma, over HTTP: collections of chunks, and the nearest ones to a vector."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

from fulfillment_assets.knowledge.chunks import Chunk
from fulfillment_assets.knowledge.errors import KnowledgeUnavailableError
from fulfillment_assets.knowledge.lexical import Vectors
from fulfillment_assets.settings import Settings

if TYPE_CHECKING:
    from chromadb.api import ClientAPI
    from chromadb.api.models.Collection import Collection

T = TypeVar("T")
Filter = Mapping[str, Any]

ANY: Final = "any"
"""In a chunk's metadata: it is about every severity, warehouse, mode, or for every agent."""

SECONDS: Final = 10.0
"""How long Chroma may take for an answer."""

_CHUNKS_PER_REQUEST: Final = 256
_NARROWED: Final = ("severity", "warehouse", "mode")


class CollectionMissingError(KnowledgeUnavailableError):
    """Chroma does not have the collection: it was dropped, or Chroma lost its data."""


@dataclass(frozen=True, slots=True)
class Found:
    """A chunk that was found.

    Attributes:
        score: cosine of the angle between its vector and that of the query, 1 at best.
    """

    id: str
    score: float
    text: str
    metadata: Mapping[str, Any]


class VectorStore:
    """The collections of one Chroma server; for several threads at once.

    Args:
        url: where it is, such as `http://127.0.0.1:18001`.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._client: ClientAPI | None = None
        self._collections: dict[str, Collection] = {}

    def create(self, name: str, embedder: str) -> None:
        """Make an empty collection that remembers the embedder of its vectors."""
        self._ask(
            lambda client: client.create_collection(
                name,
                metadata={"embedder": embedder},
                configuration={"hnsw": {"space": "cosine", "ef_search": 200}},
                embedding_function=None,
            )
        )

    def add(self, name: str, chunks: Sequence[Chunk], vectors: Vectors) -> None:
        """Add chunks with their vectors (n, dimension); those that are there are replaced."""
        collection = self._collection(name)
        for start in range(0, len(chunks), _CHUNKS_PER_REQUEST):
            some = chunks[start : start + _CHUNKS_PER_REQUEST]
            upsert = functools.partial(
                collection.upsert,
                ids=[chunk.id for chunk in some],
                embeddings=vectors[start : start + len(some)],
                documents=[chunk.text for chunk in some],
                metadatas=[_metadata(chunk) for chunk in some],
            )
            self._ask(lambda _, upsert=upsert: upsert())  # type: ignore[misc]

    def nearest(self, name: str, vectors: Vectors, k: int, where: Filter) -> list[list[Found]]:
        """For each vector the k nearest chunks that pass a filter, the nearest first.

        Raises:
            CollectionMissingError: the collection is gone.
            KnowledgeUnavailableError: Chroma does not answer.
        """
        collection = self._collection(name)
        answer = self._ask(
            lambda _: collection.query(
                query_embeddings=vectors,
                n_results=k,
                where=dict(where) or None,
                include=["documents", "metadatas", "distances"],
            )
        )
        columns = (answer["ids"], answer["distances"], answer["documents"], answer["metadatas"])
        return [
            [
                Found(id, 1 - distance, text, metadata)
                for id, distance, text, metadata in zip(*rows, strict=True)
            ]
            for rows in zip(*(column or [] for column in columns), strict=True)
        ]

    def embedder(self, name: str) -> str:
        """The fingerprint that a collection was made with."""
        return str((self._collection(name).metadata or {}).get("embedder"))

    def count(self, name: str) -> int | None:
        """Number of chunks in a collection; None if there is no such collection."""
        try:
            collection = self._collection(name)
            return self._ask(lambda _: collection.count())
        except CollectionMissingError:
            self._forget(name)
            return None

    def drop(self, name: str) -> None:
        """Drop a collection, if it is there."""
        self._forget(name)
        with contextlib.suppress(CollectionMissingError):
            self._ask(lambda client: client.delete_collection(name))

    def _forget(self, name: str) -> None:
        with self._lock:
            self._collections.pop(name, None)

    def _collection(self, name: str) -> Collection:
        with self._lock:
            known = self._collections.get(name)
        if known is None:
            known = self._ask(lambda client: client.get_collection(name, embedding_function=None))
            with self._lock:
                self._collections[name] = known
        return known

    def _ask(self, question: Callable[[ClientAPI], T]) -> T:
        import httpx

        with _translated(self._url):
            try:
                return question(self._connected())
            except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
                # The connection was kept from before a restart of the server.
                return question(self._connected())

    def _connected(self) -> ClientAPI:
        with self._lock:
            if self._client is None:
                self._client = _connect(self._url)
            return self._client


def store_of(settings: Settings) -> VectorStore:
    """The Chroma server of the settings; one connection serves the whole process.

    Raises:
        KnowledgeUnavailableError: the settings name none.
    """
    if not settings.chroma_url:
        raise KnowledgeUnavailableError(
            "No vector store is known. Start the platform with `fulfillment up`, or set CHROMA_URL "
            "to a Chroma server."
        )
    return _shared(settings.chroma_url, os.getpid())


@functools.lru_cache(maxsize=8)
def _shared(url: str, _process: int) -> VectorStore:
    # A forked process must not talk over its parent's connections.
    return VectorStore(url)


def _connect(url: str) -> ClientAPI:
    import chromadb
    import httpx
    from chromadb.config import Settings as ChromaSettings

    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise KnowledgeUnavailableError(f"CHROMA_URL {url!r} must be like http://127.0.0.1:8000")
    # Chroma's own client would wait for ever on a server that accepts and never answers.
    httpx.get(f"{url.rstrip('/')}/api/v2/heartbeat", timeout=SECONDS).raise_for_status()
    client = chromadb.HttpClient(
        host=parts.hostname,
        port=parts.port or (443 if parts.scheme == "https" else 80),
        ssl=parts.scheme == "https",
        settings=ChromaSettings(anonymized_telemetry=False),
    )
    server: Any = client._server  # type: ignore[attr-defined]
    server._session.timeout = httpx.Timeout(SECONDS)
    return client


@contextlib.contextmanager
def _translated(url: str) -> Iterator[None]:
    import httpx
    from chromadb.errors import ChromaError, NotFoundError

    try:
        yield
    except NotFoundError as error:
        raise CollectionMissingError(f"Chroma at {url} has lost the index: {error}") from error
    except (httpx.HTTPError, httpx.InvalidURL, ChromaError, json.JSONDecodeError, OSError) as error:
        reason = str(error) or type(error).__name__
        raise KnowledgeUnavailableError(
            f"The vector store at {url} does not answer: {reason}. Start the platform with "
            "`fulfillment up`, or set CHROMA_URL to a Chroma server."
        ) from error


def _metadata(chunk: Chunk) -> dict[str, Any]:
    audience = chunk.audience
    return {
        "document_id": chunk.document_id,
        "source": chunk.source,
        "title": chunk.title,
        "section": chunk.section,
        "rule_ids": " ".join(chunk.rule_ids),
        "category": chunk.category,
        "version": chunk.version,
        "agent_type": list(audience.agent_type or [ANY]),
        **{name: getattr(audience, name) or ANY for name in _NARROWED},
    }
