"""What the audit's endpoint takes and gives."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field


class AuditLine(BaseModel):
    """A change through the API."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    api_key_id: uuid.UUID | None = Field(
        description="By which key; null on loopback before the first key was made."
    )
    actor: str = Field(description="The key's name.")
    role: str
    action: str
    target: str = Field(description="What was changed: a name or an id.")
    details: dict[str, Any] = Field(description="What was asked for.")
    request_id: str
    created_at: dt.datetime


EXAMPLE: Final = {
    "id": 17,
    "api_key_id": "0195d0a0-7a3c-7cc4-8a1e-3f6f8f3f9b70",
    "actor": "ada",
    "role": "admin",
    "action": "settings.set",
    "target": "severity_critical_above",
    "details": {"value": 0.75},
    "request_id": "b7f1c0f5f6a84d0f9a0c1c0b8a7e6d5c",
    "created_at": "2026-03-10T09:30:00Z",
}
