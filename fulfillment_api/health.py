"""Health: is the process alive, and can it do its work?"""

from __future__ import annotations

import time
from typing import Final, Literal

import sqlalchemy as sa
from fastapi import APIRouter, Request, Response, status
from pydantic import BaseModel, Field
from sqlalchemy.engine import Engine
from sqlalchemy.exc import ProgrammingError, SQLAlchemyError

from fulfillment_assets.delay_model.artifacts import read_files, verify_artifacts
from fulfillment_assets.delay_model.errors import DelayModelError
from fulfillment_assets.delay_model.registry.champion import champion_version
from fulfillment_assets.delay_model.registry.versions import read_version
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


_UNKNOWN_MODEL: Final = Component(
    name="model",
    healthy=False,
    detail="unknown: the database tells which model scores",
    latency_ms=0.0,
)


@router.get("/live")
def live() -> Alive:
    """Answer as long as the process runs."""
    return Alive()


@router.get("/ready", responses={503: {"model": Readiness, "description": "Something is down."}})
def ready(request: Request, response: Response) -> Readiness:
    """Check the database with its schema, and the model; 503 if one of them is missing."""
    engine: Engine = request.app.state.engine
    database = _database(engine)
    components = [
        database,
        _model(engine, request.app.state.settings) if database.healthy else _UNKNOWN_MODEL,
    ]
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


def _model(engine: Engine, settings: Settings) -> Component:
    """The champion; in a database without one, the model that will be the first."""
    started = time.perf_counter()
    try:
        with engine.connect() as connection:
            version = champion_version(connection)
            files = (
                read_files(settings.models_dir)
                if version is None
                else read_version(connection, version)
            )
        healthy, detail = True, verify_artifacts(files).version
    except DelayModelError as error:
        healthy, detail = False, str(error)
    except SQLAlchemyError:
        healthy, detail = False, _UNKNOWN_MODEL.detail
    return Component(name="model", healthy=healthy, detail=detail, latency_ms=_since(started))


def _since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 2)
