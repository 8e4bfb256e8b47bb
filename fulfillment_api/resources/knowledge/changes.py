"""Documents that are entered beside the files of the knowledge base, and withdrawn."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, Final
from uuid import UUID

from anyio.to_thread import run_sync
from fastapi import Query, Request, Response

from fulfillment_api.audit import Changes
from fulfillment_api.database import Database
from fulfillment_api.dependencies import TheChanges, TheDatabase, TheServices
from fulfillment_api.errors import Problem
from fulfillment_api.fields import DocumentId, Text
from fulfillment_api.resources.knowledge.handed_in import BODY, read_document
from fulfillment_api.resources.knowledge.repository import find_document, find_same
from fulfillment_api.resources.knowledge.schemas import FULL_EXAMPLE, FullDocument
from fulfillment_api.roles import PREFIX
from fulfillment_api.routing import conflict, example, resource
from fulfillment_assets.knowledge import entered
from fulfillment_assets.knowledge.documents import NewDocument

_FILE: Final = "Its source belongs to a file of the knowledge base."

router = resource("knowledge")


def _answer(status: int, description: str, *, indexed: bool = True) -> dict[int | str, Any]:
    found = example(FULL_EXAMPLE | {"indexed": indexed}, description, status=status)
    return {status: found[status] | {"model": FullDocument}}


@router.post(
    "/knowledge/ingest",
    status_code=201,
    responses={
        **_answer(200, "It was known already, just so."),
        **_answer(201, "It is stored, and searches find it."),
        **_answer(202, "It is stored; searches find it once it is in the index.", indexed=False),
        **conflict(_FILE),
        415: {"model": Problem, "description": "The body is of a kind that cannot be read."},
    },
    openapi_extra={"requestBody": BODY},
)
async def ingest_document(
    request: Request,
    response: Response,
    services: TheServices,
    changes: TheChanges,
    source: Annotated[
        Text | None, Query(description="By what it is known; for Markdown without a file's name.")
    ] = None,
) -> FullDocument:
    """Enter a document, in the place of the one of the same source.

    It is found by searches once it is in the index, which takes seconds; if the index cannot be
    reached now, the platform brings it in later.
    """
    document = await read_document(request, source)
    known, document_id = await run_sync(_enter, services.database, changes, document)
    stored = await run_sync(_read, services.database, document_id)
    if not stored.indexed:
        await services.indexing.bring_in()
        stored = await run_sync(_read, services.database, document_id)
    accepted = HTTPStatus.CREATED if stored.indexed else HTTPStatus.ACCEPTED
    response.status_code = HTTPStatus.OK if known else accepted
    response.headers["Location"] = f"{PREFIX}/knowledge/documents/{document_id}"
    return stored


@router.get("/knowledge/documents/{document_id}", responses=example(FULL_EXAMPLE))
def show_document(database: TheDatabase, document_id: DocumentId) -> FullDocument:
    """One document with its text, also one that was replaced or withdrawn."""
    return _read(database, document_id)


@router.delete("/knowledge/documents/{document_id}", status_code=204, responses=conflict(_FILE))
async def withdraw_document(
    services: TheServices, changes: TheChanges, document_id: DocumentId
) -> None:
    """Withdraw a document that was entered or learned; it stays in the record."""
    await run_sync(_withdraw, services.database, changes, document_id)
    await services.indexing.bring_in()


def _enter(database: Database, changes: Changes, document: NewDocument) -> tuple[bool, UUID]:
    """Whether the very document was known, and its id."""
    with database.read() as connection:
        same = find_same(connection, document)
    if same is not None:
        return True, same
    details = {"title": document.title, "sha256": document.sha256}
    with changes.change("knowledge.ingest", document.source, **details) as connection:
        return False, entered.ingest_document(connection, document)


def _read(database: Database, document_id: UUID) -> FullDocument:
    with database.read() as connection:
        return FullDocument.of(find_document(connection, document_id))


def _withdraw(database: Database, changes: Changes, document_id: UUID) -> None:
    with database.read() as connection:
        found = find_document(connection, document_id)
    if found.retired_at is None:
        with changes.change("knowledge.withdraw", found.source, id=document_id) as connection:
            entered.retire(connection, found.source)
