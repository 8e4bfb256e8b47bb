"""Health: is the process alive, and can it do its work?"""

from __future__ import annotations

import time
from typing import Final, Literal

import sqlalchemy as sa
from fastapi import APIRouter, Request, Response, status
from pydantic import BaseModel, Field
from sqlalchemy.engine import Engine
from sqlalchemy.exc import ProgrammingError, SQLAlchemyError

from fulfillment_assets.delay_model.artifacts import verify_artifacts
from fulfillment_assets.delay_model.errors import ArtifactError
from fulfillment_assets.settings import Settings
from fulfillment_assets.store.migrate import head

_UPGRADE: Final = "run `fulfillment db upgrade`"

router = APIRouter(prefix="/health", tags=["health"])


class Alive(BaseModel):
    """The process answers."""

    status: Literal["alive"] = "alive"


class Component(BaseModel):
    """One thing that the API needs."""

    name: str
    healthy: bool
    detail: str = Field(description="What was found, in words.")
    latency_ms: float = Field(description="How long the answer took, in milliseconds.")


class Readiness(BaseModel):
    """Whether the API can do its work, and what it needs for that."""

    status: Literal["ready", "not ready"]
    components: list[Component]


@router.get("/live")
def live() -> Alive:
    """Answer as long as the process runs."""
    return Alive()


@router.get("/ready", responses={503: {"model": Readiness, "description": "Something is down."}})
def ready(request: Request, response: Response) -> Readiness:
    """Check the database with its schema, and the model; 503 if one of them is missing."""
    components = [_database(request.app.state.engine), _model(request.app.state.settings)]
    healthy = all(component.healthy for component in components)
    if not healthy:
        response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    return Readiness(status="ready" if healthy else "not ready", components=components)


def _database(engine: Engine) -> Component:
    started = time.perf_counter()
    try:
        with engine.connect() as connection:
            revision = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
        healthy = revision == head()
        detail = f"schema at revision {revision or 'none'}"
        if not healthy:
            detail += f", {head()} is needed: {_UPGRADE}"
    except ProgrammingError:
        healthy, detail = False, f"schema is missing, or closed to this user: {_UPGRADE}"
    except SQLAlchemyError:
        healthy, detail = False, "does not answer"
    return Component(name="database", healthy=healthy, detail=detail, latency_ms=_since(started))


def _model(settings: Settings) -> Component:
    started = time.perf_counter()
    try:
        healthy, detail = True, verify_artifacts(settings.models_dir).version
    except ArtifactError as error:
        healthy, detail = False, str(error)
    return Component(name="model", healthy=healthy, detail=detail, latency_ms=_since(started))


def _since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 2)
