"""The knowledge base, listed and searched."""

from __future__ import annotations

from typing import Annotated, Final
from uuid import UUID

from fastapi import Query

from fulfillment_api.dependencies import TheDatabase, TheSettings
from fulfillment_api.pagination import Page, Paged
from fulfillment_api.resources.knowledge.repository import read_documents
from fulfillment_api.resources.knowledge.schemas import (
    DOCUMENT_EXAMPLE,
    HITS_EXAMPLE,
    Document,
    Hits,
    Search,
    SearchHit,
)
from fulfillment_api.routing import example, page_example, resource
from fulfillment_assets.knowledge.files import Category
from fulfillment_assets.knowledge.retrieval import search

_LIST: Final = "documents"

router = resource("knowledge")


@router.get("/knowledge/documents", responses=example(page_example(DOCUMENT_EXAMPLE)))
def list_documents(
    database: TheDatabase,
    paging: Paged,
    category: Annotated[Category | None, Query(description="Only of this category.")] = None,
    retired: Annotated[
        bool, Query(description="Those that were replaced or withdrawn instead.")
    ] = False,
) -> Page[Document]:
    """The documents in force, without their texts, the newest first."""
    after = paging.after(_LIST, UUID)
    with database.read() as connection:
        found = read_documents(
            connection, category=category, retired=retired, after=after, limit=paging.limit
        )
    return paging.page(_LIST, found)


@router.post("/knowledge/search", responses=example(HITS_EXAMPLE))
def search_documents(database: TheDatabase, settings: TheSettings, wanted: Search) -> Hits:
    """The sections nearest in meaning to a question; at most one is a learned resolution."""
    with database.read() as connection:
        hits = search(settings, connection, **wanted.model_dump())
    return Hits(hits=[SearchHit.model_validate(hit) for hit in hits])
