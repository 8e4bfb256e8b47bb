"""Search in the knowledge base: the chunks nearest in meaning that are meant for who asks."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections import OrderedDict, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy.engine import Connection

from fulfillment_assets.knowledge.embedders import Embedder, embedder_of
from fulfillment_assets.knowledge.errors import KnowledgeUnavailableError
from fulfillment_assets.knowledge.files import Category
from fulfillment_assets.knowledge.index import IndexState, serving
from fulfillment_assets.knowledge.rules import Block, Mode, Severity, Specialist
from fulfillment_assets.knowledge.vector_store import (
    ANY,
    CollectionMissingError,
    Found,
    VectorStore,
    store_of,
)
from fulfillment_assets.observability.logs import get_logger
from fulfillment_assets.settings import Settings

_LOG: Final = get_logger(__name__)

MAX_QUERY_CHARACTERS: Final = 2_000
MAX_RESOLUTIONS: Final = 1
"""So many hits at most are learned resolutions: a thousand alike must not hide the rules."""


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for.

    Attributes:
        text: a question or a description; what is beyond 2,000 characters is left out.
        agent_type: only what is meant for this specialist, or for all; None: everything.
        severity: only what is about it, or about any; likewise `warehouse` and `mode`.
        k: number of hits at most.
    """

    text: str
    agent_type: Specialist | None = None
    severity: Severity | None = None
    warehouse: Block | None = None
    mode: Mode | None = None
    k: int = 5


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that was found.

    Attributes:
        chunk_id: the document's id in PostgreSQL, a colon, and the number of the chunk in it.
        score: cosine similarity with the query, 1 at best.
        source: the document.
        section: the headings above it.
        rule_ids: the numbered rules that stand in it.
    """

    chunk_id: str
    score: float
    source: str
    title: str
    section: str
    rule_ids: tuple[str, ...]
    category: Category
    version: str
    text: str


def search(
    settings: Settings,
    connection: Connection,
    query: str,
    *,
    agent_type: Specialist | None = None,
    severity: Severity | None = None,
    warehouse: Block | None = None,
    mode: Mode | None = None,
    k: int = 5,
) -> list[Hit]:
    """The k chunks nearest to a query, the nearest first; see `Query` for the arguments.

    At most one of them is a learned resolution.

    Raises:
        KnowledgeUnavailableError: there is no index, Chroma or the embedder cannot be reached,
            or the index was made by another embedder than the settings ask for.
    """
    wanted = Query(query, agent_type, severity, warehouse, mode, k)
    return search_many(settings, connection, [wanted])[0]


def search_many(
    settings: Settings,
    connection: Connection,
    queries: Sequence[Query],
    *,
    embedder: Embedder | None = None,
) -> list[list[Hit]]:
    """The hits of each query, in their order; queries with equal filters share one call.

    The answer to a query is remembered for as long as the index does not change.

    Raises:
        KnowledgeUnavailableError: as `search`.
    """
    started = time.perf_counter()
    found = _searched(settings, connection, queries, embedder or embedder_of(settings))
    milliseconds = round((time.perf_counter() - started) * 1_000, 2)
    for query, hits in zip(queries, found, strict=True):
        _LOG.info(
            "knowledge.retrieved",
            agent_type=query.agent_type,
            k=query.k,
            scores=[hit.score for hit in hits],
            queries=len(queries),
            milliseconds=milliseconds,
        )
    return found


def _searched(
    settings: Settings, connection: Connection, queries: Sequence[Query], embedder: Embedder
) -> list[list[Hit]]:
    store = store_of(settings)
    state = _state(connection, embedder)
    try:
        return _answers(store, embedder, state, queries)
    except CollectionMissingError:
        # Between the two looks a new collection may have taken its place.
        replacement = _state(connection, embedder)
        if replacement.collection == state.collection:
            raise
        return _answers(store, embedder, replacement, queries)


def _state(connection: Connection, embedder: Embedder) -> IndexState:
    state = serving(connection)
    if state is None:
        raise KnowledgeUnavailableError(
            "The knowledge base has no index yet; `fulfillment knowledge ingest` makes one."
        )
    if state.embedder != embedder.fingerprint:
        raise KnowledgeUnavailableError(
            f"The index was made by {state.embedder}, and {embedder.fingerprint} is asked for: "
            "their vectors cannot be compared. `fulfillment knowledge reindex` makes it anew; or "
            "set FULFILLMENT_KNOWLEDGE_EMBEDDER back."
        )
    return state


def _answers(
    store: VectorStore, embedder: Embedder, state: IndexState, queries: Sequence[Query]
) -> list[list[Hit]]:
    # Within one collection nothing changes but resolutions, which come with another hash.
    versions = {False: state.collection, True: f"{state.collection} {state.documents_hash}"}
    distinct = list(dict.fromkeys(queries))
    answers = {
        (learned, query): _REMEMBERED.get((version, query))
        for learned, version in versions.items()
        for query in distinct
    }
    missing = [q for q in distinct if any(answers[learned, q] is None for learned in versions)]
    vectors = embedder.embed([_readable(query.text) for query in missing])
    for learned, version in versions.items():
        groups: defaultdict[Query, list[int]] = defaultdict(list)
        for position, query in enumerate(missing):
            if answers[learned, query] is None:
                groups[dataclasses.replace(query, text="")].append(position)
        for alike, positions in groups.items():
            where = where_of(alike, learned=learned)
            k = min(alike.k, MAX_RESOLUTIONS) if learned else alike.k
            found = store.nearest(state.collection, vectors[positions], k, where)
            for position, hits in zip(positions, found, strict=True):
                answer = tuple(map(_hit, hits))
                answers[learned, missing[position]] = answer
                _REMEMBERED.put((version, missing[position]), answer)
    return [
        sorted(
            (*(answers[False, query] or ()), *(answers[True, query] or ())),
            key=lambda hit: -hit.score,
        )[: query.k]
        for query in queries
    ]


def _readable(text: str) -> str:
    """The start of a text, without halves of characters, which UTF-8 cannot hold."""
    return text[:MAX_QUERY_CHARACTERS].encode(errors="replace").decode()


class _Answers:
    """The latest answers, each under the version of the index that gave it."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._answers: OrderedDict[tuple[str, Query], tuple[Hit, ...]] = OrderedDict()

    def get(self, key: tuple[str, Query]) -> tuple[Hit, ...] | None:
        with self._lock:
            return self._answers.get(key)

    def put(self, key: tuple[str, Query], answer: tuple[Hit, ...]) -> None:
        with self._lock:
            self._answers[key] = answer
            if len(self._answers) > self._size:
                self._answers.popitem(last=False)


_REMEMBERED: Final = _Answers(size=4_096)


def where_of(query: Query, *, learned: bool) -> Mapping[str, Any]:
    """The filter of a query in Chroma's terms: what is meant for any is always let through."""
    conditions: list[dict[str, Any]] = [
        {"category": {"$eq" if learned else "$ne": "resolution"}},
    ]
    if query.agent_type is not None:
        audience = [{"agent_type": {"$contains": name}} for name in (query.agent_type, ANY)]
        conditions.append({"$or": audience})
    for name in ("severity", "warehouse", "mode"):
        if (value := getattr(query, name)) is not None:
            conditions.append({name: {"$in": [value, ANY]}})
    return conditions[0] if len(conditions) == 1 else {"$and": conditions}


def _hit(found: Found) -> Hit:
    metadata = found.metadata
    return Hit(
        chunk_id=found.id,
        score=round(found.score, 6),
        source=metadata["source"],
        title=metadata["title"],
        section=metadata["section"],
        rule_ids=tuple(metadata["rule_ids"].split()),
        category=metadata["category"],
        version=metadata["version"],
        text=found.text,
    )
