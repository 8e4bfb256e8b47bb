"""Health: for supervisors and load balancers, open to anybody."""

from __future__ import annotations

import asyncio

from anyio.to_thread import run_sync
from fastapi import Response, status

from fulfillment_api.dependencies import TheServices
from fulfillment_api.resources.health.components import CHECKS, examine
from fulfillment_api.resources.health.schemas import EXAMPLE, Alive, Component, Readiness, Verdict
from fulfillment_api.routing import example, resource

router = resource("health")


@router.get("/health/live", responses=example({"status": "alive"}))
async def health_live() -> Alive:
    """Answer as long as the process runs."""
    return Alive()


@router.get(
    "/health/ready",
    responses={
        **example(EXAMPLE),
        503: {"model": Readiness, "description": "Something that is needed is down."},
    },
)
async def health_ready(services: TheServices, response: Response) -> Readiness:
    """Check the database with its schema, the model, Chroma, Kafka and Dagster's daemon.

    503 if the database or the model is missing; without the others it is `degraded`.
    """
    components = list(await asyncio.gather(*(run_sync(examine, name, services) for name in CHECKS)))
    verdict = _verdict(components)
    if verdict == "not ready":
        response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
        response.headers["Retry-After"] = "2"
    return Readiness(status=verdict, components=components)


def _verdict(components: list[Component]) -> Verdict:
    down = [component for component in components if component.state == "down"]
    if any(component.needed for component in down):
        return "not ready"
    return "degraded" if down else "ready"
