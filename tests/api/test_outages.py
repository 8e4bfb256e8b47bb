"""A database or Chroma that goes away under load: 503 meanwhile, and all is well afterwards."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psutil
import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient
from sqlalchemy.engine import Engine

from fulfillment_api.resources.predictions.schemas import ORDER_EXAMPLE
from fulfillment_assets.local.chroma import EmbeddedChroma
from fulfillment_assets.local.postgres import EmbeddedPostgres
from fulfillment_assets.store.connection import create_engine
from tests.api.conftest import Start
from tests.api.examples import THEN, problem, url_of, with_knowledge
from tests.api.workers import Answer, Clients, Request, Worker, wait_until, worker
from tests.kpis.examples import Event, commit

THREADS: Final = 6
POOL: Final = 50
SEARCH: Final = "/knowledge/search"
READS: Final = {"/orders", "/orders/O1", "/deviations", "/kpi/dashboard"}
PATHS: Final = READS | {"/predict"}
SESSIONS: Final = (
    "SELECT count(*) FILTER (WHERE pid <> pg_backend_pid()) AS open, "
    "count(*) FILTER (WHERE state <> 'idle' AND pid <> pg_backend_pid()) AS busy "
    "FROM pg_stat_activity WHERE application_name = 'fulfillment'"
)


def reads(_number: int) -> list[Request]:
    return [("GET", path, None) for path in sorted(READS)]


def reads_and_predictions(number: int) -> list[Request]:
    order = ORDER_EXAMPLE | {"order_id": f"N-{number}"}
    return [*reads(number), ("POST", "/predict", order)]


def reads_and_searches(number: int) -> list[Request]:
    # Each question is another one, for answers are remembered.
    return [*reads(number), ("POST", SEARCH, {"query": f"refund of order {number}"})]


def processes_of(folder: Path) -> list[psutil.Process]:
    """The processes of the PostgreSQL server whose data lie there, its first one first."""
    first = int((folder / "postgres" / "postmaster.pid").read_text().split()[0])
    process = psutil.Process(first)
    return [process, *process.children(recursive=True)]


def signalled(processes: list[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            continue


@contextmanager
def served(server: EmbeddedPostgres, folder: Path) -> Iterator[Worker]:
    """The API over a server of PostgreSQL, with an order in it."""
    engine = create_engine(server.url)
    commit(engine, Event("O1", 0.9, at=THEN), received_at=THEN)
    engine.dispose()
    with worker(server.url, folder) as found:
        yield found


def is_told(answer: Answer) -> bool:
    """Whether the answer tells, as it should, that something is away for the moment."""
    return (
        answer.status == 503
        and answer.headers["content-type"] == "application/problem+json"
        and int(answer.headers["retry-after"]) > 0
    )


def sessions_are_few(server: EmbeddedPostgres) -> bool:
    """Whether the pool holds what it may, and all of it was given back."""
    engine = create_engine(server.url)
    with engine.connect() as connection:
        found = connection.execute(sa.text(SESSIONS)).one()
    engine.dispose()
    return bool(found.open <= POOL and found.busy == 0)


def stop(server: EmbeddedPostgres, _folder: Path) -> None:
    server.stop()


def kill(_server: EmbeddedPostgres, folder: Path) -> None:
    signalled(processes_of(folder), signal.SIGKILL)


@pytest.mark.parametrize("end", [stop, kill])
def test_while_postgresql_is_away_requests_are_told_to_come_again(
    postgres_alone: EmbeddedPostgres, tmp_path: Path, end: Callable[[EmbeddedPostgres, Path], None]
) -> None:
    with served(postgres_alone, tmp_path) as api:
        clients = Clients(api, reads_and_predictions)
        with clients.busy(THREADS):
            clients.wait_for(200, PATHS)
            files = api.process.num_fds()
            for _ in range(2):
                end(postgres_alone, tmp_path / "alone")
                clients.wait_for(503, PATHS)
                assert api.get("/health/ready").status_code == 503
                assert api.get("/health/ready").json()["status"] == "not ready"
                assert api.get("/health/live").status_code == 200
                postgres_alone.start()
                clients.wait_for(200, PATHS)
            assert api.get("/health/ready").status_code == 200
            recovered = time.monotonic()
            clients.wait_for(200, PATHS)
            assert {answer.status for answer in clients.since(recovered)} == {200}
        assert [one for one in clients.answers if one.status != 200 and not is_told(one)] == []
        wait_until(lambda: sessions_are_few(postgres_alone), "connections returned", api.log)
        assert api.process.num_fds() <= files + THREADS


def test_a_postgresql_that_is_frozen_makes_no_request_hang(
    postgres_alone: EmbeddedPostgres, tmp_path: Path
) -> None:
    with served(postgres_alone, tmp_path) as api:
        clients = Clients(api, reads_and_predictions)
        with clients.busy(THREADS):
            clients.wait_for(200, PATHS)
            frozen = processes_of(tmp_path / "alone")
            signalled(frozen, signal.SIGSTOP)
            try:
                clients.wait_for(503, READS, count=1)
                assert api.get("/health/ready").status_code == 503
            finally:
                signalled(frozen, signal.SIGCONT)
            clients.wait_for(200, PATHS)
        assert [one for one in clients.answers if one.status != 200 and not is_told(one)] == []
        wait_until(lambda: sessions_are_few(postgres_alone), "connections returned", api.log)


def test_a_request_that_gets_no_connection_is_told_to_come_again(
    engine: Engine, start: Start
) -> None:
    api: TestClient = start(url_of(engine))
    assert api.get("/orders").status_code == 200
    database = api.app.state.services.database.engine  # type: ignore[attr-defined]
    taken = [database.connect() for _ in range(POOL)]
    assert "does not answer" in problem(api.get("/orders"), 503)["detail"]
    for connection in taken:
        connection.close()
    assert api.get("/orders").status_code == 200


@pytest.mark.parametrize("how", ["stopped", "frozen"])
def test_while_chroma_is_away_only_searches_are_told_to_come_again(
    engine: Engine, private_chroma: EmbeddedChroma, tmp_path: Path, how: str
) -> None:
    with_knowledge(engine, private_chroma.url)
    commit(engine, Event("O1", 0.9, at=THEN), received_at=THEN)
    variables = {"CHROMA_URL": private_chroma.url, "FULFILLMENT_KNOWLEDGE_EMBEDDER": "lexical"}
    with worker(url_of(engine), tmp_path, **variables) as api:
        clients = Clients(api, reads_and_searches)
        with clients.busy(THREADS):
            clients.wait_for(200, {*READS, SEARCH})
            files = api.process.num_fds()
            server = private_chroma.process()
            assert server is not None
            if how == "stopped":
                private_chroma.stop()
            else:
                server.suspend()
            clients.wait_for(503, {SEARCH}, count=1)
            clients.wait_for(200, READS)
            assert api.get("/health/ready").json()["status"] == "degraded"
            if how == "stopped":
                private_chroma.start()
            else:
                server.resume()
            clients.wait_for(200, {*READS, SEARCH})
        failed = [answer for answer in clients.answers if answer.status != 200]
        assert {answer.path for answer in failed} == {SEARCH}
        assert all(map(is_told, failed))
        assert api.process.num_fds() <= files + THREADS
