"""What is asked of the API at scale, and how fast it should answer."""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from benchmarks.api_load import NUMBER, request
from fulfillment_assets.orders.contract import FIELDS

PREFIX: Final = "/api/v1"
LIMIT: Final = 50
DEEP_PAGE: Final = 10_000
PREDICT: Final = "POST /predict, stored"

_SAMPLE: Final = 5_000
_LIST_P95: Final = 15.0
_FEED: Final = tuple(field.name for field in FIELDS)

_DEVIATIONS: Final[Sequence[dict[str, Any]]] = (
    {"severity": "critical"},
    {"severity": "info"},
    {"kind": "fulfillment_gap"},
    {"kind": "segment_risk"},
    {"status": "pending"},
    {"status": "escalated"},
    {"status": "failed"},
    {"status": ["failed", "awaiting_approval"], "severity": "critical"},
    {"severity": "critical", "kind": "delay_risk", "status": "pending"},
    {"warehouse": "F"},
    {"mode": "Road"},
    {"importance": "high"},
    {"warehouse": "F", "mode": "Road", "importance": "high"},
    {"warehouse": "A", "status": "failed"},
    {"warehouse": "F", "mode": "Road", "importance": "high", "status": "escalated"},
    {"warehouse": "F", "kind": "segment_risk"},
)
_ORDERS: Final[Sequence[dict[str, Any]]] = (
    {"risk": "critical"},
    {"risk": "warning"},
    {"risk": "none"},
    {"risk": ["none", "warning"]},
    {"status": "shipped"},
    {"status": "cancelled"},
    {"status": "delayed"},
    {"risk": "critical", "status": "processing"},
    {"risk": "warning", "status": "processing"},
    {"warehouse": "F", "mode": "Road"},
    {"warehouse": "F", "mode": "Road", "risk": "critical", "status": "shipped"},
)


@dataclass(frozen=True, slots=True)
class Case:
    """Requests of one kind.

    Attributes:
        name: method, path and filters, without what differs between the requests.
        requests: whole requests, as bytes.
        least_rate: requests a second that it should reach; None: no bar.
        most_p95: milliseconds that 95 of 100 answers should not exceed; None: no bar.
        is_read: whether it leaves the database as it is.
    """

    name: str
    requests: Sequence[bytes]
    least_rate: float | None = None
    most_p95: float | None = _LIST_P95
    is_read: bool = True


def cases_for(connection: Connection, key: str) -> list[Case]:
    """The cases over a filled database, writes last.

    Args:
        connection: to choose ids, moments and pages from.
        key: an API key of the role operator.
    """

    def case(name: str, *paths: str, **bars: Any) -> Case:
        return Case(f"GET {name}", [request(PREFIX + path, key=key) for path in paths], **bars)

    def listing(path: str, query: dict[str, Any]) -> Case:
        words = urlencode(query, doseq=True)
        shown = {name: "…" if name in _TOLD_SHORT else value for name, value in query.items()}
        name = urlencode(shown, doseq=True).replace("%E2%80%A6", "…")
        return case(f"{path}?{name}", f"{path}?{words}")

    now = dt.datetime.now(dt.UTC)
    ids = connection.scalars(sa.text(_SOME_ORDERS), {"count": _SAMPLE}).all()
    deviating = connection.scalars(sa.text(_SOME_DEVIATING), {"count": _SAMPLE}).all()
    customers = connection.scalars(sa.text(_SOME_CUSTOMERS), {"count": _SAMPLE}).all()
    recent = {"since": _text(now - dt.timedelta(hours=6))}
    early = {"until": _text(now - dt.timedelta(days=25))}
    between = {
        "since": _text(now - dt.timedelta(days=15)),
        "until": _text(now - dt.timedelta(days=14)),
    }
    return [
        case("/kpi/dashboard", "/kpi/dashboard", least_rate=800.0, most_p95=20.0),
        case("/orders/{id}", *(f"/orders/{found}" for found in ids)),
        case("/deviations, first page", "/deviations"),
        case(
            f"/deviations, page {DEEP_PAGE:,}", f"/deviations?cursor={_deep_deviation(connection)}"
        ),
        *(listing("/deviations", query) for query in (*_DEVIATIONS, recent, early, between)),
        listing("/deviations", {"status": "failed"} | between),
        case("/deviations?order_id=…", *(f"/deviations?order_id={found}" for found in deviating)),
        case("/agent-responses, first page", "/agent-responses"),
        case("/orders, first page", "/orders"),
        case("/orders, nine tenths down", f"/orders?cursor={_deep_order(connection)}"),
        *(listing("/orders", query) for query in (*_ORDERS, recent, early, between)),
        listing("/orders", {"risk": "critical", "status": "shipped"} | between),
        case("/orders?search=…", *(f"/orders?search={found[:-2]}" for found in ids)),
        case("/orders?customer_id=…", *(f"/orders?customer_id={found}" for found in customers)),
        _predictions(connection, key),
    ]


_TOLD_SHORT: Final = ("since", "until")
_SOME_ORDERS: Final = "SELECT order_id FROM orders ORDER BY hashtext(order_id) LIMIT :count"
_SOME_DEVIATING: Final = (
    "SELECT order_id FROM deviations WHERE order_id IS NOT NULL "
    "ORDER BY hashtext(id::text) LIMIT :count"
)
_SOME_CUSTOMERS: Final = "SELECT DISTINCT customer_id FROM orders LIMIT :count"
_DEEP_DEVIATION: Final = "SELECT id::text FROM deviations ORDER BY id DESC OFFSET :before LIMIT 1"
_DEEP_ORDER: Final = "SELECT '/' || order_id FROM orders ORDER BY order_id OFFSET :before LIMIT 1"


def _deep_deviation(connection: Connection) -> str:
    """The cursor of the 10,000th page, or of the last one."""
    count = connection.execute(sa.text("SELECT count(*) FROM deviations")).scalar_one()
    before = min((DEEP_PAGE - 1) * LIMIT, count - LIMIT) - 1
    return _cursor(connection, "deviations", _DEEP_DEVIATION, before)


def _deep_order(connection: Connection) -> str:
    count = connection.execute(sa.text("SELECT count(*) FROM orders")).scalar_one()
    return _cursor(connection, "orders", _DEEP_ORDER, count * 9 // 10)


def _cursor(connection: Connection, listing: str, query: str, before: int) -> str:
    """The cursor as a client would have got it after so many items."""
    key = connection.execute(sa.text(query), {"before": before}).scalar_one()
    packed = json.dumps([listing, key]).encode()
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def _predictions(connection: Connection, key: str) -> Case:
    """Orders like those in the database, each with an id of its own."""
    rows = connection.execute(
        sa.text(f"SELECT {', '.join(_FEED)} FROM orders ORDER BY hashtext(order_id) LIMIT 500")
    ).mappings()
    bodies = [
        json.dumps(dict(row) | {"order_id": f"API-{NUMBER.decode()}"}, default=_text).encode()
        for row in rows
    ]
    requests = [request(f"{PREFIX}/predict", key=key, body=body) for body in bodies]
    return Case(PREDICT, requests, least_rate=1_200.0, is_read=False)


def _text(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
