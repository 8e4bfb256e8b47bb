"""The documents of the knowledge base in PostgreSQL, which is the only truth about them.

A document is known by its source. A changed one is a new row; the one before is retired and
kept, so that what an agent once read can be looked up. The vector store follows, see `index`.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from fulfillment_assets.knowledge.audience import EVERYBODY, Audience
from fulfillment_assets.knowledge.files import Category, filled_in, read_files
from fulfillment_assets.knowledge.rulebook import rulebook_of, values_for

Origin: TypeAlias = Literal["file", "entered", "resolution"]

RESOLUTION_SOURCE: Final = "resolutions/"

_COLUMNS: Final = (
    "id, source, title, category, agent_type, severity, warehouse, mode, version, effective_from, "
    "content, origin, deviation_id, created_at, retired_at, indexed_in"
)
_INSERT: Final = """
INSERT INTO knowledge_documents
    (source, title, category, agent_type, severity, warehouse, mode, version, effective_from,
     content, sha256, origin, deviation_id)
VALUES (:source, :title, :category, :agent_type, :severity, :warehouse, :mode, :version,
        :effective_from, :content, :sha256, :origin, :deviation_id)
RETURNING id
"""
_RETIRE: Final = """
UPDATE knowledge_documents SET retired_at = clock_timestamp()
WHERE source = :source AND retired_at IS NULL
"""
_FILES_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended('knowledge files', 0))"
_SOURCE_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended('knowledge ' || :source, 0))"


@dataclass(frozen=True, slots=True)
class NewDocument:
    """A document as it is handed in.

    Attributes:
        source: by what it is known; a document of the same source is replaced.
        content: Markdown.
        effective_from: the day from which it holds; None: at once.
    """

    source: str
    title: str
    category: Category
    content: str
    audience: Audience = EVERYBODY
    version: str = "1"
    effective_from: dt.date | None = None

    @property
    def sha256(self) -> str:
        """Hash over everything that makes it what it is."""
        parts = [
            self.title,
            self.category,
            self.audience.model_dump(mode="json"),
            self.version,
            str(self.effective_from),
            self.content,
        ]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A document as it is kept; `indexed_in` is the collection that got its chunks last."""

    id: uuid.UUID
    source: str
    title: str
    category: Category
    audience: Audience
    version: str
    effective_from: dt.date | None
    content: str
    origin: Origin
    deviation_id: uuid.UUID | None
    created_at: dt.datetime
    retired_at: dt.datetime | None
    indexed_in: str | None


@dataclass(frozen=True, slots=True)
class Ingested:
    """What became of the files of a directory: sources of each kind."""

    new: list[str]
    changed: list[str]
    unchanged: list[str]
    removed: list[str]


def ingest_files(connection: Connection, directory: Path) -> Ingested:
    """Bring the documents up to date with the files of a directory.

    Files that did not change are left alone; documents whose file is gone are retired. Only
    documents that came from files are touched.

    Raises:
        KnowledgeError: a file or a rule is wrong; nothing is changed then.
    """
    documents = render_files(directory)
    connection.execute(sa.text(_FILES_LOCK))
    known = file_hashes(connection)
    found = Ingested([], [], [], [])
    for document in documents:
        before = known.pop(document.source, None)
        if before == document.sha256:
            found.unchanged.append(document.source)
            continue
        store_document(connection, document, "file")
        (found.new if before is None else found.changed).append(document.source)
    for source in known:
        retire_source(connection, source)
        found.removed.append(source)
    return found


def file_hashes(connection: Connection) -> dict[str, str]:
    """The sha256 of each document in force that came from a file, by its source."""
    rows = connection.execute(
        sa.text(
            "SELECT source, sha256 FROM knowledge_documents "
            "WHERE retired_at IS NULL AND origin = 'file'"
        )
    )
    return {row.source: row.sha256 for row in rows}


def render_files(directory: Path) -> list[NewDocument]:
    """The files of a directory as documents, with the numbers of the rules filled in.

    Raises:
        KnowledgeError: a file or a rule is wrong.
    """
    files = read_files(directory)
    book = rulebook_of(files)
    return [
        NewDocument(
            source=file.source,
            title=file.front.title,
            category=file.front.category,
            content=filled_in(file.source, file.body, values_for(file, book)),
            audience=file.front.audience,
            version=file.front.version,
            effective_from=file.front.effective_from,
        )
        for file in files
    ]


def record_resolution(
    connection: Connection,
    deviation_id: uuid.UUID,
    *,
    title: str,
    content: str,
    audience: Audience = EVERYBODY,
) -> uuid.UUID:
    """Keep what was learned from a deviation; returns the document's id.

    There is one for each deviation: recorded again it is replaced, or, if it is the same, left
    alone. It is found by searches after the next `index.refresh`.
    """
    document = NewDocument(
        source=f"{RESOLUTION_SOURCE}{deviation_id}",
        title=keepable(title),
        category="resolution",
        content=keepable(content),
        audience=audience,
    )
    return store_document(connection, document, "resolution", deviation_id)


def list_documents(
    connection: Connection,
    *,
    category: Category | None = None,
    retired: bool = False,
    limit: int = 1_000,
) -> list[StoredDocument]:
    """Documents by source, those in force or the retired ones.

    Args:
        connection: to the database.
        category: only those; None: all.
        retired: those that were replaced or withdrawn instead.
        limit: at most so many.
    """
    state = "IS NOT NULL" if retired else "IS NULL"
    rows = connection.execute(
        sa.text(
            f"SELECT {_COLUMNS} FROM knowledge_documents WHERE retired_at {state} "
            "AND (CAST(:category AS text) IS NULL OR category = :category) "
            "ORDER BY source, id LIMIT :limit"
        ),
        {"category": category, "limit": limit},
    )
    return [stored(row) for row in rows]


def live_documents(connection: Connection) -> list[StoredDocument]:
    """Every document in force, by id."""
    return _select(connection, "retired_at IS NULL")


def documents_outside(connection: Connection, collection: str) -> list[StoredDocument]:
    """The documents in force that are not in a collection yet, by id."""
    where = "retired_at IS NULL AND indexed_in IS DISTINCT FROM :collection"
    return _select(connection, where, {"collection": collection})


def documents_by_id(connection: Connection, ids: Iterable[uuid.UUID]) -> list[StoredDocument]:
    """Documents in force or retired, by id; those that are unknown are left out."""
    return _select(connection, "id = ANY (CAST(:ids AS uuid[]))", {"ids": list(map(str, ids))})


def _select(
    connection: Connection, condition: str, values: dict[str, Any] | None = None
) -> list[StoredDocument]:
    rows = connection.execute(
        sa.text(f"SELECT {_COLUMNS} FROM knowledge_documents WHERE {condition} ORDER BY id"),
        values or {},
    )
    return [stored(row) for row in rows]


def stored(row: Row[Any]) -> StoredDocument:
    """A row of `knowledge_documents`."""
    values = dict(row._mapping)
    audience = Audience.model_construct(
        agent_type=None if (types := values.pop("agent_type")) is None else tuple(types),
        **{name: values.pop(name) for name in ("severity", "warehouse", "mode")},
    )
    return StoredDocument(**values, audience=audience)


def keepable(text: str) -> str:
    """The text without what PostgreSQL cannot hold: NUL, and halves of characters."""
    return text.replace("\0", "").encode(errors="replace").decode()


def retire_source(connection: Connection, source: str) -> None:
    """Retire the document in force of a source, if there is one."""
    connection.execute(sa.text(_RETIRE), {"source": source})


def live_document(connection: Connection, source: str) -> StoredDocument | None:
    """The document in force of a source."""
    found = _select(connection, "source = :source AND retired_at IS NULL", {"source": source})
    return found[0] if found else None


def store_document(
    connection: Connection,
    document: NewDocument,
    origin: Origin,
    deviation_id: uuid.UUID | None = None,
) -> uuid.UUID:
    """Put a document in the place of the one of the same source, if it differs; return its id."""
    values = {"source": document.source, "sha256": document.sha256}
    connection.execute(sa.text(_SOURCE_LOCK), values)
    same: uuid.UUID | None = connection.scalar(
        sa.text(
            "SELECT id FROM knowledge_documents "
            "WHERE source = :source AND sha256 = :sha256 AND retired_at IS NULL"
        ),
        values,
    )
    if same is not None:
        return same
    retire_source(connection, document.source)
    types = document.audience.agent_type
    new: uuid.UUID = connection.execute(
        sa.text(_INSERT),
        {
            **values,
            **document.audience.model_dump(exclude={"agent_type"}),
            "agent_type": None if types is None else list(types),
            "title": document.title,
            "category": document.category,
            "version": document.version,
            "effective_from": document.effective_from,
            "content": document.content,
            "origin": origin,
            "deviation_id": deviation_id,
        },
    ).scalar_one()
    return new
