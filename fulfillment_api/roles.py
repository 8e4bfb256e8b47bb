"""Which role each route asks for: the one table, in which every route must stand."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

PREFIX: Final = "/api/v1"


class Role(StrEnum):
    """What a key may do; each role may do what those before it may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    def covers(self, needed: Role) -> bool:
        """Whether this role may do what `needed` may."""
        ranks = list(Role)
        return ranks.index(self) >= ranks.index(needed)


VIEWER, OPERATOR, ADMIN = Role.VIEWER, Role.OPERATOR, Role.ADMIN

ROLES: Final[Mapping[tuple[str, str], Role | None]] = {
    ("GET", "/health/live"): None,
    ("GET", "/health/ready"): None,
    ("GET", "/metrics"): VIEWER,
    ("GET", "/kpi/dashboard"): VIEWER,
    ("GET", "/kpi/segments"): VIEWER,
    ("GET", "/kpi/timeseries"): VIEWER,
    ("GET", "/deviations"): VIEWER,
    ("GET", "/deviations/{deviation_id}"): VIEWER,
    ("GET", "/agent-responses"): VIEWER,
    ("GET", "/agent-response/{deviation_id}"): VIEWER,
    ("GET", "/approvals"): VIEWER,
    ("GET", "/approvals/{approval_id}"): VIEWER,
    ("POST", "/trigger-agent"): OPERATOR,
    ("POST", "/approvals/{approval_id}/approve"): OPERATOR,
    ("POST", "/approvals/{approval_id}/reject"): OPERATOR,
    ("GET", "/orders"): VIEWER,
    ("GET", "/orders/{order_id}"): VIEWER,
    ("GET", "/batch"): VIEWER,
    ("GET", "/batch/{batch_id}/status"): VIEWER,
    ("GET", "/batch/{batch_id}/predictions"): VIEWER,
    ("GET", "/batch/{batch_id}/deviations"): VIEWER,
    ("GET", "/batch/{batch_id}/agent-responses"): VIEWER,
    ("GET", "/batch/{batch_id}/rejected"): VIEWER,
    ("GET", "/knowledge/documents"): VIEWER,
    ("POST", "/knowledge/search"): VIEWER,
    ("GET", "/knowledge/documents/{document_id}"): VIEWER,
    ("DELETE", "/knowledge/documents/{document_id}"): ADMIN,
    ("POST", "/knowledge/ingest"): OPERATOR,
    ("GET", "/live"): VIEWER,
    ("POST", "/live/ticket"): VIEWER,
    ("GET", "/settings"): VIEWER,
    ("GET", "/settings/{name}"): VIEWER,
    ("GET", "/settings/{name}/history"): VIEWER,
    ("PUT", "/settings/{name}"): ADMIN,
    ("GET", "/models"): VIEWER,
    ("GET", "/models/{version}"): VIEWER,
    ("POST", "/models/{version}/promote"): ADMIN,
    ("POST", "/models/rollback"): ADMIN,
    ("GET", "/audit"): ADMIN,
    ("POST", "/predict"): OPERATOR,
    ("POST", "/predict/orders"): OPERATOR,
    ("POST", "/predict/batch"): OPERATOR,
}
"""The role that a method of a path (below `PREFIX`) asks for; None: anybody, without a key."""

SOCKETS: Final[Mapping[str, Role]] = {"/ws/kpi": VIEWER}
"""The role that a websocket (below `PREFIX`) asks for."""

PUBLIC: Final = frozenset(
    {f"{PREFIX}{path}" for (_, path), role in ROLES.items() if role is None}
    | {"/openapi.json", "/docs", "/docs/oauth2-redirect"}
)
"""Paths that are open to anybody: health, and the description of the API."""
