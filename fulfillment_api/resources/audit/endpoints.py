"""What was changed through the API, and by whom."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Query

from fulfillment_api.dependencies import TheDatabase
from fulfillment_api.fields import Since, Text, Until
from fulfillment_api.pagination import Page, Paged, row_id
from fulfillment_api.resources.audit.repository import AuditFilters, read_audit
from fulfillment_api.resources.audit.schemas import EXAMPLE, AuditLine
from fulfillment_api.routing import example, page_example, resource

_LIST: Final = "audit"

router = resource("audit")


@router.get("/audit", responses=example(page_example(EXAMPLE)))
def list_audit(
    database: TheDatabase,
    paging: Paged,
    actor: Annotated[Text | None, Query(description="Only by the key of this name.")] = None,
    action: Annotated[
        Text | None, Query(description="Only this.", examples=["settings.set"])
    ] = None,
    target: Annotated[Text | None, Query(description="Only of this name or id.")] = None,
    since: Since = None,
    until: Until = None,
) -> Page[AuditLine]:
    """Every change through the API, the newest first."""
    filters = AuditFilters(actor, action, target, since, until)
    after = paging.after(_LIST, row_id)
    with database.read() as connection:
        found = read_audit(connection, filters, after=after, limit=paging.limit)
    return paging.page(_LIST, found)
