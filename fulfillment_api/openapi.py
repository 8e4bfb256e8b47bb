"""The description of the API: problems have their own media type, and keys are declared."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from fulfillment_api.problems import MEDIA_TYPE
from fulfillment_api.roles import PREFIX, ROLES

_SCHEMES: Final = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
TAGS: Final = {
    "predict": "Delay risk of orders, at once.",
    "batch": "Files of orders: handed in, followed, and what came of each.",
    "orders": "Orders as they stand, with their history.",
    "kpi": "Key figures, overall, by segment and over time.",
    "deviations": "Orders and segments that need attention.",
    "agents": "What agents did about deviations, and what a person is to decide.",
    "live": "What happens, while it happens.",
    "knowledge": "What agents look up: policies, agreements, resolutions.",
    "models": "The models that are known, and the champion among them.",
    "settings": "Thresholds and targets that change while the platform runs.",
    "audit": "What was changed through this API, and by whom.",
    "health": "Whether the API can do its work; open to anybody.",
    "metrics": "Measurements for Prometheus.",
}
"""Every tag with what it is about, in the order in which they are shown."""

_PROBLEM: Final = {"$ref": "#/components/schemas/Problem"}


def add_openapi(app: FastAPI) -> None:
    """Let the application describe itself so."""

    def describe() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _describe(app)
        return app.openapi_schema

    app.openapi = describe  # type: ignore[method-assign]


def _describe(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title,
        version=app.version,
        summary=app.summary,
        description=app.description,
        routes=app.routes,
        tags=[{"name": name, "description": text} for name, text in TAGS.items()],
    )
    document["components"]["securitySchemes"] = _SCHEMES
    for path, item in document["paths"].items():
        for method, operation in item.items():
            _use_problems(operation["responses"])
            role = ROLES[method.upper(), path.removeprefix(PREFIX)]
            if role is not None:
                operation["security"] = [{name: []} for name in _SCHEMES]
                text = operation.get("description", "")
                operation["description"] = f"{text}\n\nRole: {role}.".strip()
    return document


def _use_problems(responses: dict[str, Any]) -> None:
    for response in responses.values():
        content = response.get("content", {})
        for media_type in list(content):
            if content[media_type].get("schema") == _PROBLEM:
                content[MEDIA_TYPE] = content.pop(media_type)
