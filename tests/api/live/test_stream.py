"""The live stream over real HTTP: server-sent events and websockets."""

from __future__ import annotations

import itertools
import json
import signal
import threading
import time
from contextlib import ExitStack

import httpx2
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from fulfillment_assets.local.postgres import EmbeddedPostgres
from fulfillment_assets.store.connection import create_engine
from tests.api.conftest import scored
from tests.api.examples import url_of
from tests.api.live.conftest import Serve, Server
from tests.api.live.listening import (
    PATIENCE,
    commit_deviations,
    deviate,
    listening,
    new_batch,
    of_json,
    orders_in,
    until,
)

__all__ = ["scored"]

BACKENDS = sa.text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
    "AND application_name = 'fulfillment-live'"
)


def test_it_begins_with_the_state_of_things_and_then_tells_what_happens(
    server: Server, scored: Engine
) -> None:
    with listening(server.url) as events:
        status = until(events, "status")[-1]
        assert status.data == {"database": "up"}
        assert status.id
        kpi = until(events, "kpi")[-1]
        assert kpi.data["overall"]["orders"] == 3
        assert kpi.data["critical_deviations_waiting"] == 2
        assert kpi.id is None
        commit_deviations(scored, "N1", severity="critical")
        found = until(events, "kpi")
    deviation = next(event for event in found if event.event == "deviation")
    assert deviation.data | {"id": 0, "at": 0} == {
        "subject": "deviation",
        "action": "created",
        "count": 1,
        "id": 0,
        "order_id": "N1",
        "segment": None,
        "kind": "delay_risk",
        "severity": "critical",
        "status": "pending",
        "reason": "r",
        "batch_job_id": None,
        "at": 0,
    }
    assert found[-1].data["critical_deviations_waiting"] == 3


def test_its_headers_let_nothing_hold_it_back(server: Server) -> None:
    with httpx2.Client(timeout=PATIENCE) as client, client.stream("GET", f"{server.url}/live") as r:
        assert r.headers["cache-control"] == "no-store"
        assert r.headers["x-accel-buffering"] == "no"
        assert r.headers["x-content-type-options"] == "nosniff"
        assert "content-length" not in r.headers
        assert next(r.iter_lines()) == "retry: 2000"


def test_a_transaction_that_began_first_and_commits_last_is_not_passed_over(
    server: Server, engine: Engine
) -> None:
    with listening(server.url, params={"kinds": "deviation"}) as events:
        until(events, "status")
        with engine.connect() as slow:
            deviate(slow, "slow")
            commit_deviations(engine, "quick")
            assert orders_in(events, 1) == ["quick"]
            slow.commit()
        assert orders_in(events, 1) == ["slow"]


def test_whoever_comes_again_gets_all_that_was_missed_and_nothing_twice(
    serve: Serve, engine: Engine
) -> None:
    first, second = serve(url_of(engine)), serve(url_of(engine))
    with listening(first.url, params={"kinds": "deviation"}) as events:
        until(events, "status")
        with engine.connect() as slow:
            deviate(slow, "slow-1", "slow-2")
            commit_deviations(engine, "A1", "A2", "A3")
            [first_of_three] = until(events, "deviation")
            first.process.kill()
            commit_deviations(engine, "B1")
            slow.commit()
    commit_deviations(engine, "C1")
    came_from = {"Last-Event-ID": str(first_of_three.id)}
    with listening(second.url, params={"kinds": "deviation"}, headers=came_from) as events:
        missed = until(events, "status")
        commit_deviations(engine, "D1")
        after = orders_in(events, 1)
    told = [first_of_three.order_id, *(event.order_id for event in missed[:-1]), *after]
    assert sorted(told) == ["A1", "A2", "A3", "B1", "C1", "D1", "slow-1", "slow-2"]


def test_many_writers_and_clients_that_come_and_go_lose_and_repeat_nothing(
    server: Server, engine: Engine
) -> None:
    writers, each = 4, 25
    names = {f"{writer}-{number}" for writer in range(writers) for number in range(each)}

    def write(writer: int) -> None:
        for number in range(each):
            with engine.begin() as connection:
                deviate(connection, f"{writer}-{number}")
                connection.execute(sa.text("SELECT pg_sleep(random() / 100)"))

    told: list[str] = []
    last: dict[str, str] = {}
    with listening(server.url, params={"kinds": "deviation"}) as events:
        last["last_event_id"] = str(until(events, "status")[-1].id)
    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(writers)]
    for thread in threads:
        thread.start()
    for visit in itertools.count(1):
        with listening(server.url, params={"kinds": "deviation", **last}) as events:
            for event in itertools.islice(events, visit % 7 + 1):
                last["last_event_id"] = event.id or last["last_event_id"]
                if event.event == "deviation":
                    told.append(event.order_id)
                if event.event == "status":  # there may be nothing more to come
                    break
        if len(told) >= len(names) and not any(thread.is_alive() for thread in threads):
            break
    for thread in threads:
        thread.join()
    assert len(told) == len(names)
    assert set(told) == names


def test_only_the_kinds_that_were_asked_for_are_told(server: Server, engine: Engine) -> None:
    with listening(server.url, params={"kinds": ["batch", "agent"]}) as events:
        until(events, "status")
        commit_deviations(engine, "O1")
        with engine.begin() as connection:
            job = new_batch(connection)
        found = until(events, "batch")
        assert [event.event for event in found] == ["batch"]
        assert (found[0].data["id"], found[0].data["status"]) == (str(job), "pending")


def test_a_position_whose_events_are_gone_is_reset_and_one_that_misses_none_is_not(
    server: Server, engine: Engine
) -> None:
    with listening(server.url) as events:
        begin = until(events, "status")[-1].id
        commit_deviations(engine, "O1")
        end = until(events, "deviation")[-1].id
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE live_retention SET pruned = :end"), {"end": end})
        connection.execute(sa.text("DELETE FROM live_events"))
    with listening(server.url, params={"last_event_id": begin}) as events:
        reset = until(events, "status")[0]
        assert reset.event == "reset"
        assert reset.data == {"reason": "The events that follow this id are no longer kept."}
        commit_deviations(engine, "O2")
        assert orders_in(events, 1) == ["O2"]
    with listening(server.url, params={"last_event_id": end}) as events:
        assert [event.order_id for event in until(events, "status")[:-1]] == ["O2"]


def test_an_id_that_is_none_is_refused(server: Server) -> None:
    url = f"{server.url}/live"
    for response in (
        httpx2.get(url, params={"last_event_id": "5:4:"}, timeout=PATIENCE),
        httpx2.get(url, headers={"Last-Event-ID": "5"}, timeout=PATIENCE),
    ):
        assert response.status_code == 422
        [problem] = response.json()["errors"]
        assert problem["field"] in ("query.last_event_id", "header.Last-Event-ID")
        assert problem["rule"] == "must be the id of an event, as the stream gave it"


def test_an_id_of_another_database_is_reset(server: Server) -> None:
    number = f"{2**62}:{2**62}:"
    with listening(server.url, headers={"Last-Event-ID": number}) as events:
        assert (
            "is not the one that this id was given for" in until(events, "reset")[-1].data["reason"]
        )
        assert until(events, "status")[-1].id != number


def test_a_websocket_tells_the_same(server: Server, engine: Engine) -> None:
    url = f"{server.sockets}/ws/kpi?kinds=deviation"
    with connect(url, open_timeout=PATIENCE) as socket:
        events = map(of_json, socket)
        begin = until(events, "status")[-1]
        assert begin.data == {"database": "up"}
        commit_deviations(engine, "O1", "O2")
        assert orders_in(events, 2) == ["O1", "O2"]
    commit_deviations(engine, "O3")
    with connect(f"{url}&last_event_id={begin.id}", open_timeout=PATIENCE) as socket:
        events = map(of_json, socket)
        assert [event.order_id for event in until(events, "status")[:-1]] == ["O1", "O2", "O3"]


def test_the_database_may_stop_and_start_meanwhile(
    postgres_alone: EmbeddedPostgres, serve: Serve
) -> None:
    server = serve(postgres_alone.url)
    engine = create_engine(postgres_alone.url)
    with (
        listening(server.url, params={"kinds": "deviation"}) as events,
        connect(f"{server.sockets}/ws/kpi?kinds=deviation", open_timeout=PATIENCE) as socket,
    ):
        both = (events, map(of_json, socket))
        for stream in both:
            assert until(stream, "status")[-1].data == {"database": "up"}
        commit_deviations(engine, "before")
        for stream in both:
            assert orders_in(stream, 1) == ["before"]
        engine.dispose()
        postgres_alone.stop()
        for stream in both:
            assert until(stream, "status")[-1].data == {"database": "away"}
        refused = httpx2.get(f"{server.url}/live", timeout=PATIENCE)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
        postgres_alone.start()
        commit_deviations(engine, "after")
        for stream in both:
            assert until(stream, "status")[-1].data == {"database": "up"}
            assert orders_in(stream, 1) == ["after"]
    engine.dispose()


def test_it_listens_as_long_as_there_are_clients(server: Server, engine: Engine) -> None:
    def listeners() -> int:
        with engine.connect() as connection:
            found: int = connection.execute(BACKENDS).scalar_one()
            return found

    assert listeners() == 0
    with ExitStack() as clients:
        streams = [clients.enter_context(listening(server.url)) for _ in range(3)]
        for events in streams:
            until(events, "status")
        assert listeners() == 1
    deadline = time.monotonic() + PATIENCE
    while listeners():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_that_is_asked_to_end_ends_with_clients_connected(
    server: Server, number: signal.Signals
) -> None:
    with (
        listening(server.url) as events,
        connect(f"{server.sockets}/ws/kpi", open_timeout=PATIENCE) as socket,
    ):
        until(events, "status")
        of_json(socket.recv(PATIENCE))
        server.process.send_signal(number)
        assert all(event.event in ("", "kpi") for event in events)  # and then it is over
        with pytest.raises(ConnectionClosed):
            while True:
                socket.recv(PATIENCE)
    server.process.wait(PATIENCE)
    told = server.log.read_text()
    assert "Application shutdown complete." in told
    assert "Traceback" not in told
    lines = [json.loads(line) for line in told.splitlines() if line.startswith("{")]
    assert sorted(
        (line["method"], line["route"], line["status"])
        for line in lines
        if line["event"] == "request" and line["route"] != "/api/v1/health/live"
    ) == [("GET", "/api/v1/live", 200), ("WEBSOCKET", "/api/v1/ws/kpi", 101)]
