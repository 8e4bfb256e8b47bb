"""Reads of the knowledge base's documents, by keys that do not shift."""

from __future__ import annotations

import uuid
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from fulfillment_api.errors import NotFoundError
from fulfillment_api.pagination import Slice, slice_of
from fulfillment_api.resources.knowledge.schemas import Document
from fulfillment_assets.knowledge.documents import (
    NewDocument,
    StoredDocument,
    documents_by_id,
    stored,
)

_COLUMNS: Final = (
    "id, source, title, category, agent_type, severity, warehouse, mode, version, effective_from, "
    "'' AS content, origin, deviation_id, created_at, retired_at, indexed_in"
)


def read_documents(
    connection: Connection,
    *,
    category: str | None,
    retired: bool,
    after: uuid.UUID | None,
    limit: int,
) -> Slice[Document, uuid.UUID]:
    """Documents in force, or those that were replaced or withdrawn; the newest first."""
    rows = connection.execute(
        sa.text(
            f"SELECT {_COLUMNS} FROM knowledge_documents "
            f"WHERE retired_at IS {'NOT NULL' if retired else 'NULL'} "
            "AND (CAST(:category AS text) IS NULL OR category = :category) "
            "AND (CAST(:after AS uuid) IS NULL OR id < :after) ORDER BY id DESC LIMIT :limit"
        ),
        {"category": category, "after": after, "limit": limit + 1},
    )
    found = [Document.of(stored(row)) for row in rows]
    return slice_of(found, limit, lambda one: one.id)


def find_document(connection: Connection, document_id: uuid.UUID) -> StoredDocument:
    """One document, in force or retired.

    Raises:
        NotFoundError: there is none with that id.
    """
    found = documents_by_id(connection, [document_id])
    if not found:
        raise NotFoundError(
            f"There is no document {document_id}; GET /knowledge/documents lists them."
        )
    return found[0]


def find_same(connection: Connection, document: NewDocument) -> uuid.UUID | None:
    """The id of the very document, where it was entered before and is in force."""
    found: uuid.UUID | None = connection.scalar(
        sa.text(
            "SELECT id FROM knowledge_documents WHERE source = :source AND sha256 = :sha256 "
            "AND origin = 'entered' AND retired_at IS NULL"
        ),
        {"source": document.source, "sha256": document.sha256},
    )
    return found
