"""Deviations, listed by filters and shown in full."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from fastapi import Response

from fulfillment_api.answers import answer
from fulfillment_api.dependencies import TheDatabase
from fulfillment_api.errors import NotFoundError
from fulfillment_api.fields import DeviationId
from fulfillment_api.pagination import Page, Paged
from fulfillment_api.resources.deviations.repository import read_deviations
from fulfillment_api.resources.deviations.schemas import (
    DETAIL_EXAMPLE,
    EXAMPLE,
    Deviation,
    DeviationDetail,
    Filtered,
)
from fulfillment_api.routing import example, page_example, resource
from fulfillment_assets.deviations.reads import find_deviation

_LIST: Final = "deviations"

router = resource("deviations")


@router.get("/deviations", response_model=Page[Deviation], responses=example(page_example(EXAMPLE)))
def list_deviations(database: TheDatabase, filters: Filtered, paging: Paged) -> Response:
    """Deviations of orders and of segments, the newest first."""
    after = paging.after(_LIST, UUID)
    with database.read() as connection:
        found = read_deviations(connection, filters, after=after, limit=paging.limit)
    return answer(paging.page(_LIST, found))


@router.get("/deviations/{deviation_id}", responses=example(DETAIL_EXAMPLE))
def show_deviation(database: TheDatabase, deviation_id: DeviationId) -> DeviationDetail:
    """One deviation with all that is known of it."""
    with database.read() as connection:
        found = find_deviation(connection, deviation_id)
    if found is None:
        raise NotFoundError(f"There is no deviation {deviation_id}; GET /deviations lists them.")
    return DeviationDetail.of(found)
