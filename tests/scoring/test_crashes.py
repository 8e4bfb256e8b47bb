"""Whatever dies, and whenever: nothing is half-written, and the next try completes exactly."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from sqlalchemy.exc import OperationalError

from fulfillment_assets.local.ports import any_port
from fulfillment_assets.orders.csv_reader import sha256_of
from fulfillment_assets.scoring import batch_jobs, pipeline, progress
from fulfillment_assets.scoring.batch_jobs import BatchJob
from fulfillment_assets.scoring.inbox import Runs, runs_needed, take_in
from fulfillment_assets.settings import PROJECT_ROOT
from fulfillment_assets.store.connection import DatabaseUnavailableError, create_engine
from tests.scoring.workplace import (
    NOTHING,
    Workplace,
    assert_complete,
    files_below,
    wait_for,
)

ROWS = 40_000
"""Several chunks."""

NO_RUN = Runs(alive=False, count=1, in_vain=1)

SCORE_AND_STALL = """
import sys, time, uuid
from pathlib import Path
from fulfillment_assets.delay_model.scorer import DelayScorer
from fulfillment_assets.scoring.pipeline import score_file
from fulfillment_assets.scoring.progress import listening
from fulfillment_assets.settings import Settings
from fulfillment_assets.store.connection import create_engine

url, data_dir, job = sys.argv[1:]
settings = Settings(data_dir=Path(data_dir))

def stall(rows):
    print(rows, flush=True)
    if rows > 30_000:
        time.sleep(60)

with listening(stall):
    score_file(
        create_engine(url), settings, DelayScorer.load(settings.models_dir), uuid.UUID(job),
        run_id="killed",
    )
"""


def assert_untouched(workplace: Workplace, job: BatchJob) -> None:
    """Nothing of the job is to be seen, and its file waits for the next try."""
    assert workplace.counts() == NOTHING
    now = workplace.job(job)
    assert (now.status, now.row_count, now.completed_at) == ("processing", 0, None)
    assert now.path is not None
    assert now.path.exists()


def test_a_killed_process_leaves_nothing_and_its_retry_completes(workplace: Workplace) -> None:
    job = workplace.claim(workplace.simulated(ROWS))
    url = workplace.engine.url.render_as_string(hide_password=False)
    process = subprocess.Popen(
        [sys.executable, "-c", SCORE_AND_STALL, url, workplace.settings.data_dir, str(job.id)],
        env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert any(int(rows) > 30_000 for rows in iter(process.stdout.readline, ""))
    assert_untouched(workplace, job)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert_untouched(workplace, job)
    workplace.run(job, run_id="retry")
    assert_complete(workplace, job, ROWS)
    assert workplace.job(job).run_id == "retry"
    assert workplace.value("SELECT attempts FROM batch_jobs") == 2


def test_a_connection_cut_in_the_middle_of_a_copy_leaves_nothing(workplace: Workplace) -> None:
    job = workplace.claim(workplace.simulated(ROWS))
    cut = threading.Event()

    def cut_a_copy() -> None:
        def found() -> bool:
            return bool(
                workplace.value(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND state = 'active' "
                    "AND query LIKE 'COPY predictions%'"
                )
            )

        wait_for(found)
        cut.set()

    thread = threading.Thread(target=cut_a_copy)
    thread.start()
    with pytest.raises(DatabaseUnavailableError, match="connection to PostgreSQL was lost"):
        workplace.run(job)
    thread.join()
    assert cut.is_set()
    assert_untouched(workplace, job)
    workplace.run(job, run_id="retry")
    assert_complete(workplace, job, ROWS)


def test_an_error_of_our_own_leaves_nothing(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = workplace.claim(workplace.simulated(100))

    def fail(*_arguments: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
        patch.setattr(pipeline, "apply_staged", fail)
        workplace.run(job)
    assert_untouched(workplace, job)
    workplace.run(job)
    assert_complete(workplace, job, 100)


def test_a_database_that_is_down_is_named_and_the_file_stays_in_the_inbox(
    workplace: Workplace,
) -> None:
    dropped = workplace.drop(workplace.simulated(10))
    port = any_port()
    nowhere = create_engine(workplace.engine.url.set(port=port))
    time.sleep(workplace.settings.inbox_settle_seconds)
    with pytest.raises(OperationalError, match=rf"port {port} failed: Connection refused"):
        take_in(nowhere, workplace.settings)
    assert dropped.exists()
    job = workplace.claim(workplace.simulated(10))
    with pytest.raises(OperationalError, match="Connection refused"):
        pipeline.score_file(nowhere, workplace.settings, workplace.scorer, job.id, run_id="run-1")
    assert workplace.job(job).status == "pending"


def test_a_file_that_changes_while_it_is_read_fails_and_leaves_nothing(
    workplace: Workplace,
) -> None:
    job = workplace.claim(workplace.simulated(100))
    path = job.path
    assert path is not None

    def append(_rows: int) -> None:
        with path.open("ab") as file:
            file.write(b"more\n")

    with progress.listening(append):
        result = workplace.run(job)
    assert result.job.status == "failed"
    assert result.job.error_message is not None
    assert "changed while it was being read" in result.job.error_message
    assert workplace.counts() == NOTHING
    assert files_below(workplace.settings.inbox.parent) == ["failed/orders.csv"]


def test_a_claimed_file_that_disappears_fails_and_says_so(workplace: Workplace) -> None:
    job = workplace.claim(workplace.simulated(100))
    assert job.path is not None
    job.path.unlink()
    result = workplace.run(job)
    assert result.job.status == "failed"
    assert result.job.error_message is not None
    assert "disappeared before it could be scored; drop it again" in result.job.error_message


def test_a_file_registered_and_not_yet_moved_is_taken_in_later(workplace: Workplace) -> None:
    dropped = workplace.drop(workplace.simulated(100))
    with workplace.engine.begin() as connection:
        job, to_score = batch_jobs.register(
            connection,
            filename=dropped.name,
            sha256=sha256_of(dropped),
            size_bytes=dropped.stat().st_size,
            claimed=workplace.settings.claimed,
        )
    assert to_score
    assert runs_needed(workplace.engine, workplace.settings, lambda _job: NO_RUN) == []
    take_in(workplace.engine, workplace.settings)
    (needed,) = runs_needed(workplace.engine, workplace.settings, lambda _job: NO_RUN)
    assert needed.job.id == job.id
    workplace.run(job)
    assert_complete(workplace, job, 100)


@pytest.mark.parametrize("moved", [False, True], ids=["before the move", "after the move"])
def test_a_file_committed_and_not_yet_archived_is_archived_later(
    moved: bool, workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = workplace.claim(workplace.simulated(500, fault_share=0.1))

    def die(*_arguments: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        if moved:
            patch.setattr(batch_jobs, "mark_archived", die)
        else:
            patch.setattr(pipeline, "archive", die)
        workplace.run(job)
    before = workplace.counts()
    assert workplace.job(job).status == "completed"
    assert workplace.job(job).path is not None
    assert runs_needed(workplace.engine, workplace.settings, lambda _job: NO_RUN) == []
    assert workplace.job(job).path is None
    assert workplace.counts() == before
    assert files_below(workplace.settings.inbox.parent) == [
        "processed/orders.csv",
        "processed/orders.rejected.csv",
    ]
