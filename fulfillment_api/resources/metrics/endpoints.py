"""Measurements for Prometheus."""

from __future__ import annotations

from typing import Final

from fastapi import Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from fulfillment_api.dependencies import TheServices
from fulfillment_api.routing import resource

_EXAMPLE: Final = 'fulfillment_batches{status="completed"} 12.0\n'

router = resource("metrics")


@router.get(
    "/metrics",
    response_class=PlainTextResponse,
    responses={200: {"content": {"text/plain": {"example": _EXAMPLE}}}},
)
def metrics(services: TheServices) -> Response:
    """Requests by route, batches, open deviations and the stream's lag, as Prometheus reads it.

    The process's own measurements are those of one process: scrape each.
    """
    content = generate_latest(services.metrics.registry)
    return Response(content, media_type=CONTENT_TYPE_LATEST)
