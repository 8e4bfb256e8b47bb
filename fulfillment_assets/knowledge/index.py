"""The index of the knowledge base: a collection in Chroma, made from PostgreSQL at any time.

A new collection is filled beside the old one, and one row in PostgreSQL then says that it serves;
whatever fails before leaves the old one serving. What was learned since is added to the serving
collection. One process at a time works on it, by an advisory lock.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from fulfillment_assets.knowledge.chunks import SPLITTER, chunks_of
from fulfillment_assets.knowledge.documents import StoredDocument, documents_outside, live_documents
from fulfillment_assets.knowledge.embedders import Embedder, embedder_of
from fulfillment_assets.knowledge.errors import KnowledgeUnavailableError
from fulfillment_assets.knowledge.vector_store import VectorStore, store_of
from fulfillment_assets.observability.logs import get_logger
from fulfillment_assets.settings import Settings

_LOG: Final = logging.getLogger(__name__)
_EVENTS: Final = get_logger(__name__)

_LOCK: Final = "hashtextextended('knowledge index', 0)"
_STATE: Final = (
    "SELECT collection, embedder, splitter, documents_hash, dimension, documents, chunks "
    "FROM knowledge_index WHERE serving"
)
_GONE: Final = """
SELECT EXISTS (SELECT FROM knowledge_documents
               WHERE retired_at IS NOT NULL AND indexed_in = :collection)
"""
_SERVE: Final = """
UPDATE knowledge_index SET serving = true, dimension = :dimension, documents = :documents,
    chunks = :chunks, documents_hash = :documents_hash, built_at = now()
WHERE collection = :collection
"""
_MARK: Final = (
    "UPDATE knowledge_documents SET indexed_in = :collection WHERE id = ANY (CAST(:ids AS uuid[]))"
)


@dataclass(frozen=True, slots=True)
class IndexState:
    """The collection that serves.

    Attributes:
        collection: its name in Chroma.
        embedder: fingerprint of what made its vectors.
        splitter: names how documents were cut.
        documents_hash: hash over the documents that are in it.
        dimension: length of its vectors.
        documents: number of documents in it.
        chunks: number of chunks in it.
    """

    collection: str
    embedder: str
    splitter: str
    documents_hash: str
    dimension: int
    documents: int
    chunks: int


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What `refresh` did: `rebuilt` a collection, or `added` documents to the serving one."""

    state: IndexState
    rebuilt: bool
    added: int


def serving(connection: Connection) -> IndexState | None:
    """The collection that serves; None before the first one is built."""
    row = connection.execute(sa.text(_STATE)).one_or_none()
    return None if row is None else IndexState(*row)


def refresh(
    settings: Settings,
    engine: Engine,
    *,
    embedder: Embedder | None = None,
    rebuild: bool = False,
) -> Refreshed:
    """Bring the index up to date with the documents; returns once it serves.

    Resolutions that were learned since are added to the serving collection. Where anything else
    changed - documents, the embedder, how documents are cut - or Chroma lost data, a new
    collection is built from PostgreSQL and replaces it. Where nothing changed, nothing is done.

    Args:
        settings: where Chroma is, and which embedder is asked for.
        engine: of the database.
        embedder: in place of that of the settings, for instance one that logs its usage.
        rebuild: build a new collection in any case.

    Raises:
        KnowledgeUnavailableError: Chroma or the embedder cannot be reached. What served before
            goes on serving.
        KnowledgeError: a document cannot be cut into chunks.
    """
    embedder = embedder or embedder_of(settings)
    store = store_of(settings)
    started = time.perf_counter()
    with _alone(engine) as connection:
        state = serving(connection)
        new = [] if state is None else documents_outside(connection, state.collection)
        if state is None or rebuild or _is_stale(connection, store, state, embedder, new):
            documents = live_documents(connection)
            done = Refreshed(_rebuild(connection, store, embedder, documents), True, 0)
            _tell(done, documents, done.state.chunks, started)
            return done
        if not new:
            return Refreshed(state, False, 0)
        _add(connection, store, embedder, state, new)
        done = Refreshed(_served(connection), False, len(new))
        _tell(done, new, done.state.chunks - state.chunks, started)
        return done


def _tell(
    done: Refreshed, documents: Sequence[StoredDocument], chunks: int, started: float
) -> None:
    """Log `knowledge.indexed`; of documents where they are from, as their names are free text."""
    _EVENTS.info(
        "knowledge.indexed",
        rebuilt=done.rebuilt,
        documents=len(documents),
        origins=dict(Counter(document.origin for document in documents)),
        chunks=chunks,
        embedder=done.state.embedder,
        milliseconds=round((time.perf_counter() - started) * 1_000, 2),
    )


def _is_stale(
    connection: Connection,
    store: VectorStore,
    state: IndexState,
    embedder: Embedder,
    new: Sequence[StoredDocument],
) -> bool:
    if (state.embedder, state.splitter) != (embedder.fingerprint, SPLITTER):
        return True
    if any(document.origin != "resolution" for document in new):
        return True
    if connection.scalar(sa.text(_GONE), {"collection": state.collection}):
        return True
    # A crash between Chroma and PostgreSQL leaves chunks too many, which are replaced by the next
    # call; too few means that Chroma lost some.
    count = store.count(state.collection)
    if count is None or count < state.chunks:
        return True
    return store.embedder(state.collection) != embedder.fingerprint


def _rebuild(
    connection: Connection,
    store: VectorStore,
    embedder: Embedder,
    documents: Sequence[StoredDocument],
) -> IndexState:
    chunks = [chunk for document in documents for chunk in chunks_of(document)]
    vectors = embedder.embed([chunk.embedded for chunk in chunks])
    name = f"knowledge-{uuid.uuid4().hex}"
    values = {
        "collection": name,
        "embedder": embedder.fingerprint,
        "splitter": SPLITTER,
        "documents_hash": documents_hash(documents),
    }
    # Its name is known before it exists, so that what a crash leaves behind is dropped later.
    connection.execute(
        sa.text(
            "INSERT INTO knowledge_index (collection, embedder, splitter, documents_hash) "
            "VALUES (:collection, :embedder, :splitter, :documents_hash)"
        ),
        values,
    )
    connection.commit()
    store.create(name, embedder.fingerprint)
    store.add(name, chunks, vectors)
    if (count := store.count(name)) != len(chunks):
        raise KnowledgeUnavailableError(
            f"The vector store kept {count} of {len(chunks)} chunks; the index before it serves on."
        )
    connection.execute(sa.text("UPDATE knowledge_index SET serving = false WHERE serving"))
    sizes = {"dimension": embedder.dimension, "documents": len(documents), "chunks": len(chunks)}
    connection.execute(sa.text(_SERVE), {**values, **sizes})
    connection.execute(sa.text(_MARK), {"collection": name, "ids": [str(d.id) for d in documents]})
    connection.commit()
    _drop_others(connection, store)
    return _served(connection)


def _add(
    connection: Connection,
    store: VectorStore,
    embedder: Embedder,
    state: IndexState,
    new: Sequence[StoredDocument],
) -> None:
    chunks = [chunk for document in new for chunk in chunks_of(document)]
    store.add(state.collection, chunks, embedder.embed([chunk.embedded for chunk in chunks]))
    connection.execute(
        sa.text(
            "UPDATE knowledge_index SET documents = documents + :documents, "
            "chunks = chunks + :chunks, documents_hash = :documents_hash WHERE serving"
        ),
        {
            "documents": len(new),
            "chunks": len(chunks),
            "documents_hash": documents_hash(new, state.documents_hash),
        },
    )
    values = {"collection": state.collection, "ids": [str(document.id) for document in new]}
    connection.execute(sa.text(_MARK), values)
    connection.commit()


def documents_hash(documents: Sequence[StoredDocument], before: str = "") -> str:
    """Hash over documents, and over that of those that were there before; by their ids."""
    return hashlib.sha256("\n".join([before, *(str(d.id) for d in documents)]).encode()).hexdigest()


def _drop_others(connection: Connection, store: VectorStore) -> None:
    """Drop collections that do not serve; one that cannot be dropped now is dropped next time."""
    names = connection.scalars(sa.text("SELECT collection FROM knowledge_index WHERE NOT serving"))
    for name in names.all():
        try:
            store.drop(name)
        except KnowledgeUnavailableError as error:
            _LOG.warning("the collection %s is not dropped yet: %s", name, error)
            continue
        connection.execute(
            sa.text("DELETE FROM knowledge_index WHERE collection = :name"), {"name": name}
        )
    connection.commit()


def _served(connection: Connection) -> IndexState:
    state = serving(connection)
    if state is None:
        raise RuntimeError("no collection serves, though one was built")
    return state


@contextlib.contextmanager
def _alone(engine: Engine) -> Iterator[Connection]:
    """A connection that holds the lock of the index, over several transactions."""
    with engine.connect() as connection:
        connection.execute(sa.text(f"SELECT pg_advisory_lock({_LOCK})"))
        connection.commit()
        try:
            yield connection
        finally:
            connection.rollback()
            connection.execute(sa.text(f"SELECT pg_advisory_unlock({_LOCK})"))
            connection.commit()
