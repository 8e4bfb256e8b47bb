"""Others see how far a file is while its rows are still invisible to them."""

from __future__ import annotations

import gzip
import logging
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

from fulfillment_assets.orders.csv_reader import read_orders
from fulfillment_assets.scoring import batch_jobs, job_progress, pipeline, progress
from fulfillment_assets.scoring.batch_jobs import BatchJob
from fulfillment_assets.scoring.job_progress import JobProgress
from tests.scoring.workplace import NOTHING, Workplace

ROWS = 30_000


@pytest.fixture(autouse=True)
def noted_always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every chunk be noted, however fast they come."""
    monkeypatch.setattr(job_progress, "NOTED_EVERY", 0.0)


def noted(workplace: Workplace, job: BatchJob) -> tuple[int, int]:
    now = workplace.job(job)
    return now.rows_done, now.bytes_done


@pytest.mark.parametrize("gzipped", [False, True])
def test_the_rows_and_bytes_so_far_are_seen_from_outside_of_the_transaction(
    gzipped: bool, workplace: Workplace
) -> None:
    path = workplace.simulated(ROWS, fault_share=0.1)
    if gzipped:
        path = workplace.file(gzip.compress(path.read_bytes()), "orders.csv.gz")
    job = workplace.claim(path)
    seen: list[tuple[int, int]] = []
    told: list[int] = []
    go_on, reached = threading.Semaphore(0), threading.Semaphore(0)

    def pause(rows: int) -> None:
        told.append(rows)
        reached.release()
        assert go_on.acquire(timeout=60)

    def score() -> None:
        with progress.listening(pause):
            workplace.run(job)

    assert noted(workplace, job) == (0, 0)
    scoring = threading.Thread(target=score)
    scoring.start()
    chunks = -(-ROWS // pipeline.CHUNK_ROWS)
    for _ in range(chunks):
        assert reached.acquire(timeout=60)
        seen.append(noted(workplace, job))  # the listener hears of a chunk before it is noted
        assert workplace.counts() == NOTHING
        assert workplace.job(job).status == "processing"
        go_on.release()
    scoring.join(60)
    assert [rows for rows, _ in seen] == [0, *told[:-1]]
    positions = [position for _, position in seen]
    assert positions == sorted(positions)
    assert 0 < positions[1] < job.size_bytes
    assert noted(workplace, job) == (ROWS, job.size_bytes)


def test_the_position_is_that_in_the_file_on_disk(workplace: Workplace) -> None:
    content = workplace.simulated(20_000).read_bytes()
    for path in (workplace.file(content), workplace.file(gzip.compress(content), "o.csv.gz")):
        positions: list[int] = []
        for _ in read_orders(path, chunk_rows=1_000, on_read=positions.append):
            pass
        assert positions == sorted(positions)
        assert len(positions) > 2
        assert positions[-1] == path.stat().st_size


def test_a_run_that_was_overtaken_notes_nothing(workplace: Workplace) -> None:
    waiting = workplace.claim(workplace.simulated(10))
    with workplace.engine.begin() as connection:
        first = batch_jobs.start(connection, waiting.id, "run-1")
        second = batch_jobs.start(connection, waiting.id, "run-2")
    JobProgress(workplace.engine, second).tell(4, 40)
    JobProgress(workplace.engine, first).tell(9, 90)
    assert noted(workplace, waiting) == (4, 40)


def test_a_retry_begins_anew_and_what_failed_has_done_nothing(workplace: Workplace) -> None:
    waiting = workplace.claim(workplace.simulated(10))
    with workplace.engine.begin() as connection:
        started = batch_jobs.start(connection, waiting.id, "run-1")
    JobProgress(workplace.engine, started).tell(4, 40)
    with workplace.engine.begin() as connection:
        assert batch_jobs.start(connection, waiting.id, "run-2").rows_done == 0
    JobProgress(workplace.engine, workplace.job(waiting)).tell(5, 50)
    with workplace.engine.begin() as connection:
        batch_jobs.fail(connection, waiting.id, "no orders")
    assert noted(workplace, waiting) == (0, 0)


def test_notes_are_a_second_apart_and_listeners_hear_of_all(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(job_progress, "NOTED_EVERY", 1.0)
    waiting = workplace.claim(workplace.simulated(10))
    with workplace.engine.begin() as connection:
        progress_of_job = JobProgress(
            workplace.engine,
            batch_jobs.start(connection, waiting.id, "run-1"),
            clock=lambda: now,
        )
    heard: list[int] = []
    seen: list[int] = []
    with progress.listening(heard.append):
        for rows, now in enumerate((100.5, 101.0, 101.5, 102.0), start=1):  # noqa: B007
            progress_of_job.tell(rows, rows)
            seen.append(noted(workplace, waiting)[0])
    assert heard == [1, 2, 3, 4]
    assert seen == [0, 2, 2, 4]


def test_a_row_that_somebody_holds_is_not_waited_for(workplace: Workplace) -> None:
    waiting = workplace.claim(workplace.simulated(10))
    with workplace.engine.begin() as connection:
        started = batch_jobs.start(connection, waiting.id, "run-1")
    with workplace.engine.begin() as holder:
        holder.execute(sa.text("SELECT FROM batch_jobs FOR UPDATE"))
        JobProgress(workplace.engine, started).tell(4, 40)
    assert noted(workplace, waiting) == (0, 0)


def test_progress_that_cannot_be_noted_does_not_stop_the_batch(
    workplace: Workplace, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    nowhere = sa.create_engine("postgresql+psycopg2://nobody@127.0.0.1:1/nowhere")
    job = workplace.claim(workplace.simulated(10))
    heard: list[int] = []
    with caplog.at_level(logging.WARNING), progress.listening(heard.append):
        JobProgress(nowhere, job).tell(4, 40)
    assert heard == [4]
    assert f"the progress of batch job {job.id} cannot be noted" in caplog.text
