"""The application: `uvicorn fulfillment_api.app:create_app --factory`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from fulfillment_api import health
from fulfillment_assets.settings import Settings
from fulfillment_assets.store.connection import create_engine


def create_app(settings: Settings | None = None) -> FastAPI:
    """Build the API over the database of `settings` (from the environment, if not given).

    Raises:
        ValueError: `DATABASE_URL` is not set; `fulfillment up` sets it.
    """
    chosen = settings or Settings()
    if chosen.database_url is None:
        raise ValueError("DATABASE_URL is not set: start the API with `fulfillment up`, or set it")
    engine = create_engine(chosen.database_url.get_secret_value())

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        engine.dispose()

    app = FastAPI(
        title="Fulfilment platform",
        summary="Reads what the asset graph writes.",
        lifespan=lifespan,
    )
    app.state.engine = engine
    app.state.settings = chosen
    app.include_router(health.router)
    app.include_router(health.router, prefix="/api/v1")
    return app
