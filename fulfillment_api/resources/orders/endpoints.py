"""Orders, searched and shown with their whole story."""

from __future__ import annotations

from fastapi import Response

from fulfillment_api.answers import answer
from fulfillment_api.dependencies import TheDatabase, TheServices
from fulfillment_api.errors import NotFoundError
from fulfillment_api.fields import OrderId
from fulfillment_api.pagination import Page, Paged
from fulfillment_api.resources.orders.repository import Place, listing_of, read_orders
from fulfillment_api.resources.orders.schemas import (
    EXAMPLE,
    STORY_EXAMPLE,
    Filtered,
    Order,
    OrderStory,
)
from fulfillment_api.resources.orders.story import read_story
from fulfillment_api.routing import example, page_example, resource

router = resource("orders")


@router.get("/orders", response_model=Page[Order], responses=example(page_example(EXAMPLE)))
def list_orders(database: TheDatabase, filters: Filtered, paging: Paged) -> Response:
    """Orders by their id, each in its latest known state; by their date with `since` or `until`."""
    listing = listing_of(filters)
    after = paging.after(listing, Place.of)
    with database.read() as connection:
        found = read_orders(connection, filters, after=after, limit=paging.limit)
    return answer(paging.page(listing, found))


@router.get("/orders/{order_id:path}", response_model=OrderStory, responses=example(STORY_EXAMPLE))
def show_order(services: TheServices, order_id: OrderId) -> Response:
    """An order with its predictions and why, its deviations, what agents did, and a timeline."""
    with services.database.read() as connection:
        story = read_story(connection, services.model_cards, order_id)
    if story is None:
        raise NotFoundError(f"Nothing was heard of an order {order_id!r}; GET /orders lists them.")
    return answer(story)
