"""What health tells."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, Field

Verdict = Literal["ready", "degraded", "not ready"]
State = Literal["up", "down", "not configured"]
Name = Literal["database", "model", "chroma", "kafka", "dagster"]


class Alive(BaseModel):
    """The process answers."""

    status: Literal["alive"] = "alive"


class Component(BaseModel):
    """One thing that the API works with."""

    name: Name
    needed: bool = Field(description="Whether the API is not ready without it.")
    state: State
    detail: str = Field(description="What was found, in words.")
    latency_ms: float = Field(description="How long the answer took, in milliseconds.")


class Readiness(BaseModel):
    """Whether the API can do its work, and what it needs for that."""

    status: Verdict = Field(
        description="`degraded`: something is away that only some paths, or the platform, need."
    )
    components: list[Component]


EXAMPLE: Final = {
    "status": "ready",
    "components": [
        {
            "name": "database",
            "needed": True,
            "state": "up",
            "detail": "PostgreSQL answers, and its schema is the newest.",
            "latency_ms": 1.2,
        }
    ],
}
