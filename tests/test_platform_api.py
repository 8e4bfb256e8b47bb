"""A retailer's day over HTTP: from a file to what the agents learned, on the whole platform."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from fulfillment_api.client import Client, LiveEvent
from fulfillment_api.resources.knowledge.schemas import Search
from tests.orders.examples import csv_text, order_row
from tests.platforms import Platform, platform, wait_for
from tests.scoring.workplace import LATE, OPEN

__all__ = ["platform"]

CALM = 40
LATE_ORDERS = ("HTTP-LATE-1", "HTTP-LATE-2")


def orders_file(folder: Path) -> Path:
    """Orders that are on time, two that are surely late, and one that breaks a rule."""
    undated = dict.fromkeys(("ship_date", "delivery_date"), "")
    rows = [
        *(order_row(order_id=f"HTTP-{n}", discount_offered="2") for n in range(CALM)),
        *(order_row(order_id=name, **undated | OPEN | LATE) for name in LATE_ORDERS),
        order_row(order_id="HTTP-WRONG", customer_rating="9"),
    ]
    path = folder / "spring orders.csv"
    path.write_text(csv_text(rows))
    return path


@contextmanager
def watching(url: str) -> Iterator[list[LiveEvent]]:
    """The events of the live stream, as they come in meanwhile."""
    events: list[LiveEvent] = []
    began = threading.Event()

    def read() -> None:
        with Client(url) as api:
            for event in api.live():
                events.append(event)
                began.set()

    threading.Thread(target=read, daemon=True).start()
    assert began.wait(60), "the stream begins with the KPIs as they are"
    yield events


def of_kind(events: list[LiveEvent], kind: str, **data: object) -> list[Mapping[str, Any]]:
    """What was told about something, in the order of its telling."""
    return [
        event.data
        for event in list(events)
        if event.kind == kind and all(event.data.get(key) == value for key, value in data.items())
    ]


def test_from_an_upload_to_what_was_learned_from_it(platform: Platform, tmp_path: Path) -> None:
    platform.start("up")
    url = f"http://127.0.0.1:{platform.environment['FULFILLMENT_API_PORT']}"
    with Client(url) as api, watching(url) as events:
        assert {part.name for part in api.health_ready().components if part.state == "up"} >= {
            "database",
            "model",
            "chroma",
            "dagster",
        }
        upload = api.upload_batch(orders_file(tmp_path))
        batch_id = upload.batch_job_id
        assert (upload.status, upload.known) == ("pending", False)
        assert api.upload_batch(orders_file(tmp_path)).batch_job_id == batch_id

        wait_for(lambda: api.show_batch_status(batch_id).status == "completed", "the file is done")
        status = api.show_batch_status(batch_id)
        assert (status.row_count, status.rejected_count, status.progress) == (CALM + 3, 1, 1.0)
        steps = [step["status"] for step in of_kind(events, "batch", id=str(batch_id))]
        wait_for(lambda: _ended(events, batch_id), "the stream tells the end of the file")
        assert steps[:1] == ["pending"]

        [rejected] = api.list_batch_rejected(batch_id)
        assert "customer_rating" in rejected.model_dump_json()
        severities = Counter(one.severity for one in api.list_batch_predictions(batch_id))
        assert (severities.total(), severities["critical"]) == (CALM + 2, len(LATE_ORDERS))
        deviations = list(api.list_batch_deviations(batch_id))
        assert {one.order_id for one in deviations} == set(LATE_ORDERS)

        first = deviations[0]
        wait_for(lambda: api.show_deviation(first.id).status in SETTLED, "the agents have decided")
        answer = api.show_response(first.id)
        assert answer.summary
        assert {one.agent_type for one in answer.responses} > {"orchestrator"}
        assert answer.correlation_id == status.correlation_id
        wait_for(lambda: of_kind(events, "agent"), "the stream tells the agents' steps")
        assert of_kind(events, "deviation")

        story = api.show_order(str(first.order_id))
        told = {event.what for event in story.timeline}
        assert told >= {"predicted", "deviation", "agent_action"}

        order = story.order
        question = Search(
            query=f"delay risk, critical: an order from block {order.warehouse_block} by "
            f"{order.mode_of_shipment}, {order.product_importance} importance, it ended "
            f"{api.show_deviation(first.id).status}",
            k=10,
        )
        resolutions = wait_for(
            lambda: [hit for hit in api.search_documents(question).hits if _learned(hit)],
            "the search finds the resolution",
        )
        assert resolutions[0].score > 0
    assert platform.process is not None
    platform.process.terminate()
    assert platform.end() == 0
    assert platform.left_behind() == []


SETTLED = {"resolved", "escalated"}


def _ended(events: list[LiveEvent], batch_id: UUID) -> bool:
    return bool(of_kind(events, "batch", id=str(batch_id), status="completed"))


def _learned(hit: Any) -> bool:
    return bool(hit.category == "resolution")
