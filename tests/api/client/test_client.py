"""The client against a real server, and against one that is busy."""

from __future__ import annotations

import datetime as dt
import inspect
import json
import threading
import typing
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
from sqlalchemy.engine import Engine

from fulfillment_api.client import ApiProblemError, Client
from fulfillment_api.client.live import LiveEvent, events_of
from fulfillment_api.documentation import document_text
from fulfillment_api.resources.knowledge.schemas import ENTERED_EXAMPLE, EnteredDocument
from fulfillment_api.resources.predictions.schemas import ORDER_EXAMPLE
from fulfillment_assets.knowledge.rulebook import load_rules
from fulfillment_assets.orders.model import EnrichedOrder
from fulfillment_assets.settings import PROJECT_ROOT
from tests.agents.examples import Office
from tests.api.examples import new_key, url_of
from tests.api.workers import worker

PAGING = {"limit", "cursor", "format"}
"""Parameters that the client sees to by itself."""


def parameters_of(name: str) -> set[str]:
    """The keyword parameters of a client's method."""
    method = getattr(Client, name)
    found = set(inspect.signature(method).parameters)
    hint = typing.get_type_hints(method, include_extras=True).get("asked")
    if hint is None:
        return found
    return found | set(typing.get_type_hints(typing.get_args(hint)[0]))


def test_each_operation_has_its_method_with_all_its_parameters() -> None:
    operations = [
        operation
        for item in json.loads(document_text())["paths"].values()
        for operation in item.values()
    ]
    for operation in operations:
        name = operation["operationId"]
        assert hasattr(Client, name), name
        wanted = {
            parameter["name"]
            for parameter in operation.get("parameters", ())
            if parameter["in"] in ("query", "path")
        }
        missing = wanted - PAGING - {"ticket", "source"} - parameters_of(name)
        assert missing == set(), name
    methods = {name for name, _ in inspect.getmembers(Client, inspect.isfunction) if name[0] != "_"}
    assert methods - {"close"} == {operation["operationId"] for operation in operations}


@pytest.fixture
def api(engine: Engine, tmp_path: Path) -> Iterator[Client]:
    """A client of a real server, with an admin's key."""
    key = new_key(engine, "admin", "ada")
    with (
        worker(url_of(engine), tmp_path, FULFILLMENT_DATA_DIR=str(tmp_path / "data")) as server,
        Client(server.url, key) as made,
    ):
        yield made


@pytest.fixture
def office(engine: Engine) -> Office:
    return Office(engine, load_rules(PROJECT_ROOT / "knowledge_base"))


def test_orders_are_scored_and_their_story_is_read(api: Client) -> None:
    order = EnrichedOrder.model_validate(ORDER_EXAMPLE | {"order_id": "a/b c?"})
    scored = api.predict(order)
    assert [one.id for one in api.show_order("a/b c?").predictions] == [scored.id]
    assert [one.order_id for one in api.list_orders(warehouse=order.warehouse_block)] == ["a/b c?"]
    many = api.predict_orders([order], store=False)
    assert many.predictions[0].delay_probability == scored.delay_probability
    assert api.dashboard(days=3_650).overall.orders == 1
    assert api.segments(by=["warehouse"]).by == ["warehouse_block"]
    assert api.timeseries(grain="day").grain == "day"
    assert api.list_models().champion == scored.model_version
    assert api.show_model(scored.model_version).is_champion
    assert "fulfillment" in api.metrics()
    assert api.health_live().status == "alive"
    assert api.health_ready().status in ("ready", "degraded")


def test_lists_are_read_through_all_their_pages(
    api: Client, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fulfillment_api.client.transport.MAX_LIMIT", 2)
    made = [office.deviation(office.order(f"O-{number}")) for number in range(5)]
    assert [one.id for one in api.list_deviations()] == made[::-1]
    since = dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)
    assert len(list(api.list_deviations(severity=["critical", "info"], since=since))) == 5
    assert list(api.list_deviations(status="resolved")) == []


def test_an_operators_day(api: Client, office: Office) -> None:
    deviation = office.deviation(office.order("O-1"))
    assert api.trigger_agent(deviation, note="They called.").asked_by == "ada"
    assert api.show_response(deviation).deviation.id == deviation
    assert api.set_setting("kpi_window_days", 7).value == 7
    assert [one.new_value for one in api.list_setting_changes("kpi_window_days")] == [7, 30]
    made = api.ingest_document(EnteredDocument.model_validate(ENTERED_EXAMPLE))
    assert api.show_document(made.id).content == made.content
    api.withdraw_document(made.id)
    assert [one.id for one in api.list_documents(retired=True)] == [made.id]
    assert [line.action for line in api.list_audit(actor="ada")] == [
        "knowledge.withdraw",
        "knowledge.ingest",
        "settings.set",
        "agents.trigger",
    ]


def test_a_file_is_handed_in_once(api: Client, tmp_path: Path) -> None:
    file = tmp_path / "orders é.csv"
    file.write_text("order_id\nO-1\n")
    first = api.upload_batch(file, idempotency_key="k-1")
    again = api.upload_batch(file, idempotency_key="k-1")
    assert (first.batch_job_id, first.filename) == (again.batch_job_id, "orders é.csv")
    assert api.show_batch_status(first.batch_job_id).status == "pending"
    assert [one.id for one in api.list_batches(status="pending")] == [first.batch_job_id]


def test_what_is_refused_says_why(api: Client) -> None:
    unknown = uuid.uuid4()
    with pytest.raises(ApiProblemError, match=f"404 Not found: .*{unknown}") as found:
        api.show_deviation(unknown)
    assert found.value.status == 404
    with pytest.raises(ApiProblemError) as found:
        api.set_setting("kpi_window_days", 0)
    assert found.value.status == 422
    with pytest.raises(ApiProblemError) as found:
        list(api.list_deviations(severity="grave"))
    assert [one.field for one in found.value.errors] == ["query.severity.0"]


def test_what_happens_is_told_while_it_happens(api: Client, office: Office) -> None:
    events = api.live(kinds=["deviation"])
    assert next(events).kind == "status"
    deviation = office.deviation(office.order("O-1"))
    event = next(one for one in events if one.kind == "deviation")
    assert event.data["order_id"] == "O-1"
    assert event.id is not None
    events.close()  # type: ignore[attr-defined]
    assert deviation is not None


class Busy(BaseHTTPRequestHandler):
    """Answers with what is listed, and with 200 after that."""

    answers: ClassVar[list[tuple[int, str | None]]] = []
    asked: ClassVar[list[tuple[str, bytes]]] = []

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.asked.append((self.path, body))
        status, wait = self.answers.pop(0) if self.answers else (200, None)
        content = b'{"status": "alive"}'
        self.send_response(status)
        if wait is not None:
            self.send_header("Retry-After", wait)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = _answer  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def busy(*answers: tuple[int, str | None]) -> Iterator[tuple[Client, list[float]]]:
    """A client of a server that answers so first, and for how long it has waited."""
    Busy.answers, Busy.asked = list(answers), []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Busy)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    waits: list[float] = []
    try:
        url = f"http://127.0.0.1:{server.server_address[1]}"
        with Client(url, attempts=3, sleep=waits.append) as client:
            yield client, waits
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_it_waits_as_long_as_the_server_asks() -> None:
    with busy((429, "3"), (503, "2")) as (client, waits):
        assert client.health_live().status == "alive"
    assert waits == [3.0, 2.0]


def test_it_gives_up_after_some_attempts() -> None:
    with (
        busy((503, "2"), (503, None), (503, "2")) as (client, waits),
        pytest.raises(ApiProblemError) as found,
    ):
        client.health_live()
    assert (found.value.status, waits) == (503, [2.0, 1.0])


def test_it_does_not_wait_longer_than_a_minute() -> None:
    with busy((429, "600")) as (client, waits), pytest.raises(ApiProblemError, match="429"):
        client.health_live()
    assert waits == []


def test_what_may_have_been_done_is_not_done_twice() -> None:
    with busy((503, "2")) as (client, _), pytest.raises(ApiProblemError):
        client.roll_back_model()
    assert len(Busy.asked) == 1
    with busy((429, "1"), (503, "1")) as (client, _), pytest.raises(ApiProblemError):
        client.roll_back_model()
    assert len(Busy.asked) == 2


def test_an_upload_is_sent_again_whole(tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    file.write_bytes(b"order_id\nO-1\n")
    with busy((503, "1")) as (client, _), pytest.raises(ValueError, match="UploadAnswer"):
        client.upload_batch(file)
    assert [body for _, body in Busy.asked] == [b"order_id\nO-1\n"] * 2


def test_a_server_that_is_not_there_is_told() -> None:
    client = Client("http://127.0.0.1:1", attempts=2, sleep=lambda _: None)
    with client, pytest.raises(httpx.TransportError):
        client.health_live()


def test_events_are_read_as_they_are_defined() -> None:
    lines = ["retry: 2000", "", ": heartbeat", "id: 7", "event: kpi", 'data: {"a":', "data:1}", ""]
    assert list(events_of([*lines, 'data: {"b": 2}', "", 'data: {"cut": 1}'])) == [
        LiveEvent("7", "kpi", {"a": 1}),
        LiveEvent("7", "message", {"b": 2}),
    ]
