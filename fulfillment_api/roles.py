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
    ("GET", "/settings"): VIEWER,
    ("PUT", "/settings/{name}"): ADMIN,
    ("GET", "/models"): VIEWER,
    ("POST", "/predict"): OPERATOR,
    ("POST", "/predict/orders"): OPERATOR,
}
"""The role that a method of a path (below `PREFIX`) asks for; None: anybody, without a key."""

PUBLIC: Final = frozenset(
    {f"{PREFIX}{path}" for (_, path), role in ROLES.items() if role is None}
    | {"/openapi.json", "/docs", "/docs/oauth2-redirect"}
)
"""Paths that are open to anybody: health, and the description of the API."""
