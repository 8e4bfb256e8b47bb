"""A worker that is killed while it stores orders: what it answered is there, nothing by half."""

from __future__ import annotations

import http.client
import json
import threading
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from fulfillment_api.resources.predictions.schemas import ORDER_EXAMPLE
from fulfillment_assets.kpis import rollups
from tests.api.examples import url_of
from tests.api.workers import wait_until, worker

CLIENTS: Final = 6
ENOUGH: Final = 60
LATE: Final = {"order_status": "processing", "delivery_date": None, "discount_offered": 60}


def ask(host: str, client: int, answered: list[str]) -> None:
    """Send one order after another until the worker is gone; note those that were answered."""
    connection = http.client.HTTPConnection(host, timeout=60)
    for number in range(100_000):
        order = ORDER_EXAMPLE | LATE | {"order_id": f"K-{client}-{number}"}
        try:
            connection.request(
                "POST", "/predict", json.dumps(order), {"Content-Type": "application/json"}
            )
            response = connection.getresponse()
            body = json.loads(response.read())
        except (OSError, http.client.HTTPException, json.JSONDecodeError):
            return
        assert response.status == 200, body
        answered.append(body["id"])


def test_what_was_answered_is_stored_and_nothing_by_half(engine: Engine, tmp_path: Path) -> None:
    answered: list[str] = []
    with worker(url_of(engine), tmp_path) as found:
        host = found.url.removeprefix("http://")
        clients = [
            threading.Thread(target=ask, args=(host, client, answered)) for client in range(CLIENTS)
        ]
        for client in clients:
            client.start()
        wait_until(lambda: len(answered) >= ENOUGH, "orders are answered", found.log)
        found.process.kill()
        for client in clients:
            client.join()
    with engine.connect() as connection:
        # The server ends what it was doing for the worker; the lock waits for that.
        connection.execute(sa.text("LOCK TABLE predictions, orders, deviations"))
        stored = set(connection.scalars(sa.text("SELECT id::text FROM predictions")))
        assert stored >= set(answered)
        assert len(stored) - len(answered) <= CLIENTS
        orders = set(connection.scalars(sa.text("SELECT prediction_id::text FROM orders")))
        deviations = set(connection.scalars(sa.text("SELECT prediction_id::text FROM deviations")))
        assert stored == orders == deviations
        assert rollups.differences(connection) == 0
