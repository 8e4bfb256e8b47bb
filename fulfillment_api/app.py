"""The application: `uvicorn fulfillment_api.app:create_app --factory`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from anyio.to_thread import run_sync
from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from fulfillment_api.live.retention import pruning
from fulfillment_api.live.shutdown import at_shutdown
from fulfillment_api.observability.requests import Observer
from fulfillment_api.openapi import add_openapi
from fulfillment_api.problems import add_error_handlers
from fulfillment_api.request_id import HEADER
from fulfillment_api.resources.agents import changes as agent_changes
from fulfillment_api.resources.agents import endpoints as agents
from fulfillment_api.resources.audit import endpoints as audit
from fulfillment_api.resources.batches import endpoints as batches
from fulfillment_api.resources.deviations import endpoints as deviations
from fulfillment_api.resources.health import endpoints as health
from fulfillment_api.resources.knowledge import changes as knowledge_changes
from fulfillment_api.resources.knowledge import endpoints as knowledge
from fulfillment_api.resources.kpis import endpoints as kpis
from fulfillment_api.resources.live import endpoints as live
from fulfillment_api.resources.metrics import endpoints as metrics
from fulfillment_api.resources.models import endpoints as models
from fulfillment_api.resources.orders import endpoints as orders
from fulfillment_api.resources.predictions import endpoints as predictions
from fulfillment_api.resources.settings import endpoints as settings_endpoints
from fulfillment_api.resources.uploads import endpoints as uploads
from fulfillment_api.security.exposure import refuse_open_door
from fulfillment_api.security.guard import Guard
from fulfillment_api.services import Services
from fulfillment_assets.observability.logs import configure_logging
from fulfillment_assets.settings import Settings

_RESOURCES: Final = (  # what is asked for most comes first: a request tries one after another
    predictions,
    kpis,
    orders,
    deviations,
    health,
    metrics,
    agents,
    agent_changes,
    batches,
    uploads,
    knowledge,
    knowledge_changes,
    settings_endpoints,
    models,
    audit,
    live,
)
_DESCRIPTION: Final = """
Every path is also served without `/api/v1`. Lists come in pages: pass `pagination.next` as
`cursor`. Errors are problem details (RFC 9457). Times are in UTC.

Send an API key as `Authorization: Bearer KEY` or `X-API-Key: KEY`; `fulfillment keys create` makes
one. Before the first key is made, whoever uses the machine on which the API runs may do
everything, and nobody else anything.
"""


def create_app(settings: Settings | None = None) -> FastAPI:
    """Build the API over the database of `settings` (from the environment, if not given).

    Raises:
        ValueError: `DATABASE_URL` is not set (`fulfillment up` sets it), or the API is to bind
            beyond loopback and there is no API key.
    """
    chosen = settings or Settings()
    if chosen.database_url is None:
        raise ValueError("DATABASE_URL is not set: start the API with `fulfillment up`, or set it")
    configure_logging(chosen.log_format)
    services = Services.of(chosen, chosen.database_url.get_secret_value())
    refuse_open_door(services.database.engine, chosen.api_host)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        with at_shutdown(services.live.end_streams):
            async with pruning(services.database):
                yield
        await services.live.close()
        await run_sync(services.scoring.close)
        services.database.close()

    app = FastAPI(
        title="Fulfilment platform",
        summary="Reads what the asset graph writes, and scores orders.",
        description=_DESCRIPTION,
        version="1",
        lifespan=lifespan,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.services = services
    for endpoints in _RESOURCES:
        # Not `include_router`: it would match every request twice.
        app.router.routes.extend(endpoints.router.routes)
    add_openapi(app)
    add_error_handlers(app)
    _add_middleware(app, services)
    return app


def _add_middleware(app: FastAPI, services: Services) -> None:
    """What comes last here is outermost."""
    settings = services.settings
    app.add_middleware(Guard, keys=services.keys, settings=settings)
    if settings.api_cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.api_cors_origins,
            allow_methods=["GET", "POST", "PUT", "DELETE"],
            allow_headers=["Authorization", "X-API-Key", "Idempotency-Key", "Last-Event-ID"],
            expose_headers=[HEADER, "Retry-After"],
        )
    app.add_middleware(Observer, metrics=services.metrics)
