"""Clients that go away and workers that are killed, over real HTTP."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
import sqlalchemy as sa

from fulfillment_assets.scoring.inbox import take_in
from tests.api.examples import url_of
from tests.api.uploading import CSV, PATH, folders, open_jobs, untouched
from tests.api.workers import HANG_SECONDS, Worker, wait_until, worker
from tests.scoring.workplace import Workplace

HALF = b"x" * (3 * 1024**2)


@contextmanager
def serving(workplace: Workplace, folder: Path) -> Iterator[Worker]:
    data = str(workplace.settings.data_dir)
    with worker(url_of(workplace.engine), folder, FULFILLMENT_DATA_DIR=data) as found:
        yield found


@contextmanager
def half_sent(found: Worker, workplace: Workplace, content_type: str) -> Iterator[socket.socket]:
    """A connection on which half of a file was sent, and of which some is stored."""
    address = urlsplit(found.url)
    assert address.hostname
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {2 * len(HALF)}\r\n\r\n"
    )
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall(head.encode())
        if content_type.startswith("multipart"):
            connection.sendall(b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n')
        connection.sendall(HALF)
        wait_until(lambda: stored(workplace) > 0, "some of the file is stored", found.log)
        yield connection


def stored(workplace: Workplace) -> int:
    """How many bytes lie in the folder of uploads."""
    return sum(path.stat().st_size for path in workplace.settings.uploads.glob("*"))


def post(found: Worker, content: bytes) -> httpx2.Response:
    return httpx2.post(found.url + PATH, content=content, headers=CSV, timeout=HANG_SECONDS)


@pytest.mark.parametrize("content_type", ["text/csv", "multipart/form-data; boundary=b"])
def test_a_client_that_goes_away_in_the_middle_leaves_nothing(
    content_type: str, workplace: Workplace, tmp_path: Path
) -> None:
    with serving(workplace, tmp_path) as found:
        with half_sent(found, workplace, content_type):
            pass
        wait_until(lambda: folders(workplace) == [], "the file is removed", found.log)
        wait_until(lambda: '"status":400' in found.log.read_text(), "it is logged", found.log)
        assert "unexpected error" not in found.log.read_text()
        assert post(found, HALF).status_code == 202, "it goes on"


def test_a_worker_killed_in_the_middle_leaves_nothing_that_is_ever_scored(
    workplace: Workplace, tmp_path: Path
) -> None:
    with (
        serving(workplace, tmp_path) as found,
        half_sent(found, workplace, "text/csv"),
    ):
        found.process.kill()
        found.process.wait()
    [left] = folders(workplace)
    assert left.startswith("uploads/")
    take_in(workplace.engine, workplace.settings)
    assert open_jobs(workplace) == []
    assert workplace.value("SELECT count(*) FROM batch_jobs") == 0
    with serving(workplace, tmp_path) as found:
        assert post(found, HALF * 2).status_code == 202, "the same file, sent again"
    assert len(open_jobs(workplace)) == 1


def test_a_worker_killed_before_it_has_registered_a_file_loses_nothing_it_acknowledged(
    workplace: Workplace, tmp_path: Path
) -> None:
    first, second = (workplace.simulated(10, seed=seed).read_bytes() for seed in (1, 2))
    with serving(workplace, tmp_path) as found:
        acknowledged = post(found, first).json()["batch_job_id"]
        with workplace.engine.connect() as gate:
            # The line of the audit is written after the file was moved and before the commit.
            gate.execute(sa.text("LOCK TABLE api_audit IN ACCESS EXCLUSIVE MODE"))
            sending = threading.Thread(target=ignoring, args=(found, second))
            sending.start()
            wait_until(lambda: len(claimed(workplace)) == 2, "the file is moved", found.log)
            found.process.kill()
            found.process.wait()
        sending.join()
    wait_until(lambda: registering(workplace) == 0, "the transaction is gone", found.log)
    assert [str(job.id) for job in open_jobs(workplace)] == [acknowledged]
    assert workplace.run(open_jobs(workplace)[0]).job.status == "completed"
    take_in(workplace.engine, workplace.settings)
    assert open_jobs(workplace) == [], "the other file is no job's"
    with serving(workplace, tmp_path) as found:
        response = post(found, second)
        assert (response.status_code, response.json()["known"]) == (202, False)
    [job] = open_jobs(workplace)
    assert workplace.run(job).job.status == "completed"


def claimed(workplace: Workplace) -> list[Path]:
    return list(workplace.settings.claimed.rglob("*.csv"))


def ignoring(found: Worker, content: bytes) -> None:
    """Send a file to a worker that dies before it answers."""
    with pytest.raises(httpx2.TransportError):
        post(found, content)


def registering(workplace: Workplace) -> int:
    """How many transactions hold the lock of registrations."""
    return int(workplace.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"))


def test_a_database_that_is_away_is_told_and_nothing_is_kept(
    workplace: Workplace, tmp_path: Path
) -> None:
    with serving(workplace, tmp_path) as found:
        assert found.get("/batch").status_code == 200
        cut = sa.text(
            "SELECT count(*) FROM (SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
            "datname = current_database() AND query LIKE '%INSERT INTO api_audit%' "
            "AND wait_event_type = 'Lock') AS ended"
        )
        answers: list[httpx2.Response] = []
        with workplace.engine.connect() as gate, workplace.engine.connect() as knife:
            gate.execute(sa.text("LOCK TABLE api_audit IN ACCESS EXCLUSIVE MODE"))
            sending = threading.Thread(target=lambda: answers.append(post(found, HALF)))
            sending.start()
            deadline = time.monotonic() + HANG_SECONDS
            while not knife.scalar(cut):
                assert time.monotonic() < deadline, found.log.read_text()
                knife.rollback()
                time.sleep(0.02)
        sending.join()
        assert answers[0].status_code == 503
        assert untouched(workplace)
        assert post(found, HALF).status_code == 202
