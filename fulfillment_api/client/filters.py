"""What lists and figures can be narrowed to; what is left out does not restrict."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Literal, TypeAlias, TypedDict

Some: TypeAlias = str | Sequence[str]
"""One value, or several of which any fits."""


class KpiFilters(TypedDict, total=False):
    """Which orders count; `days` up to `until`."""

    days: int
    until: dt.datetime
    warehouse: str
    mode: str
    importance: str


class SegmentFilters(KpiFilters, total=False):
    """Which orders count, and the dimensions to break down by."""

    by: Some


class SeriesFilters(KpiFilters, total=False):
    """Which orders count, and how long a point is."""

    grain: Literal["hour", "day"]


class OrderFilters(TypedDict, total=False):
    """Which orders; `search` is the start of an id."""

    search: str
    customer_id: str
    risk: Some
    status: Some
    warehouse: str
    mode: str
    since: dt.datetime
    until: dt.datetime


class DeviationFilters(TypedDict, total=False):
    """Which deviations."""

    severity: Some
    kind: Some
    status: Some
    order_id: str
    warehouse: str
    mode: str
    importance: str
    since: dt.datetime
    until: dt.datetime


class ResponseFilters(TypedDict, total=False):
    """Which responses of agents; `search` is in the action or the summary."""

    agent_type: str
    deviation_id: uuid.UUID
    order_id: str
    search: str


class ApprovalFilters(TypedDict, total=False):
    """Which approvals."""

    status: str


class BatchFilters(TypedDict, total=False):
    """Which files."""

    status: str


class DocumentFilters(TypedDict, total=False):
    """Which documents; `retired` gives those that were replaced or withdrawn."""

    category: str
    retired: bool


class AuditFilters(TypedDict, total=False):
    """Which changes."""

    actor: str
    action: str
    target: str
    since: dt.datetime
    until: dt.datetime


class LiveFilters(TypedDict, total=False):
    """Which events, and the id of the last one that was had."""

    kinds: Some
    last_event_id: str
