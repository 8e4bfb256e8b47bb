"""What is taken from the inbox, and which jobs get a run."""

from __future__ import annotations

import logging
import os
import shutil
import time
from pathlib import Path

import pytest

from fulfillment_assets.scoring import inbox
from fulfillment_assets.scoring.batch_jobs import BatchJob
from fulfillment_assets.scoring.inbox import MAX_RUNS, RunNeeded, Runs, runs_needed, take_in
from tests.scoring.workplace import Workplace, files_below

NONE = Runs(alive=False, count=0, in_vain=0)
ALIVE = Runs(alive=True, count=1, in_vain=1)


def dead(count: int) -> Runs:
    return Runs(alive=False, count=count, in_vain=count)


def needed(workplace: Workplace, runs: Runs) -> list[RunNeeded]:
    return runs_needed(workplace.engine, workplace.settings, lambda _job: runs)


def drop_all(workplace: Workplace, *names: str, seed: int = 1) -> None:
    """Drop the same content under each name, long enough ago to have settled."""
    for name in names:
        path = workplace.drop(workplace.simulated(10, seed=seed), name)
        changed = time.time() - 60
        os.utime(path, (changed, changed))


def jobs(workplace: Workplace) -> list[dict[str, object]]:
    return workplace.rows("SELECT filename, status FROM batch_jobs ORDER BY filename")


def test_every_settled_file_becomes_a_waiting_job(workplace: Workplace) -> None:
    drop_all(workplace, "a.csv", seed=1)
    drop_all(workplace, "b.csv", seed=2)
    take_in(workplace.engine, workplace.settings)
    assert jobs(workplace) == [
        {"filename": "a.csv", "status": "pending"},
        {"filename": "b.csv", "status": "pending"},
    ]
    assert files_below(workplace.settings.inbox) == []


def test_two_copies_dropped_at_once_become_one_job_and_one_duplicate(
    workplace: Workplace, caplog: pytest.LogCaptureFixture
) -> None:
    drop_all(workplace, "a.csv", "b.csv")
    with caplog.at_level(logging.WARNING):
        take_in(workplace.engine, workplace.settings)
    ((job),) = jobs(workplace)
    assert job == {"filename": "a.csv", "status": "pending"}
    assert "b.csv holds the same content as batch job" in caplog.text
    assert len(needed(workplace, NONE)) == 1
    assert len(files_below(workplace.settings.processed / "duplicates")) == 1


def test_taking_in_makes_the_folders(workplace: Workplace) -> None:
    take_in(workplace.engine, workplace.settings)
    assert sorted(path.name for path in workplace.settings.inbox.parent.iterdir()) == [
        "claimed",
        "failed",
        "inbox",
        "processed",
    ]


def test_a_file_that_cannot_be_moved_does_not_keep_the_others_waiting(
    workplace: Workplace, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop_all(workplace, "locked.csv", seed=1)
    drop_all(workplace, "open.csv", seed=2)
    move = shutil.move

    def refuse(source: Path, target: Path) -> None:
        if source.name == "locked.csv":
            raise PermissionError(13, "Permission denied", str(source))
        move(source, target)

    monkeypatch.setattr(shutil, "move", refuse)
    with caplog.at_level(logging.WARNING):
        take_in(workplace.engine, workplace.settings)
    assert files_below(workplace.settings.inbox) == ["locked.csv"]
    assert "'locked.csv' cannot be taken out of the inbox: Permission denied" in caplog.text
    assert [entry.job.filename for entry in needed(workplace, NONE)] == ["open.csv"]
    monkeypatch.undo()
    take_in(workplace.engine, workplace.settings)
    assert len(needed(workplace, NONE)) == 2, "it is taken once it can be"


@pytest.fixture
def waiting(workplace: Workplace) -> BatchJob:
    """A job that waits to be scored."""
    return workplace.claim(workplace.simulated(10))


def test_a_waiting_job_without_a_run_gets_its_first(
    workplace: Workplace, waiting: BatchJob
) -> None:
    (entry,) = needed(workplace, NONE)
    assert (entry.job.id, entry.attempt, entry.key) == (waiting.id, 1, f"{waiting.id}:1")


def test_a_job_whose_run_is_alive_gets_none(workplace: Workplace, waiting: BatchJob) -> None:
    assert needed(workplace, ALIVE) == []
    assert workplace.job(waiting).status == "pending"


def test_a_job_whose_run_died_gets_the_next_attempt_under_a_new_key(
    workplace: Workplace, waiting: BatchJob
) -> None:
    (entry,) = needed(workplace, dead(2))
    assert entry.key == f"{waiting.id}:3"


def test_a_job_that_was_being_scored_when_its_run_died_gets_the_next_attempt(
    workplace: Workplace, waiting: BatchJob
) -> None:
    workplace.execute("UPDATE batch_jobs SET status = 'processing'")
    assert [entry.job.id for entry in needed(workplace, dead(1))] == [waiting.id]


def test_a_job_whose_runs_keep_dying_is_given_up_with_the_reason(
    workplace: Workplace, waiting: BatchJob
) -> None:
    assert needed(workplace, dead(MAX_RUNS)) == []
    job = workplace.job(waiting)
    assert (job.status, job.path) == ("failed", None)
    assert job.error_message is not None
    assert f"given up after {MAX_RUNS} runs that died" in job.error_message
    assert str(job.id) in job.error_message
    assert files_below(workplace.settings.failed) == ["orders.csv"]


def test_a_job_that_is_handed_in_again_is_not_charged_with_its_earlier_runs(
    workplace: Workplace, waiting: BatchJob
) -> None:
    needed(workplace, dead(MAX_RUNS))
    workplace.claim(workplace.simulated(10))
    (entry,) = needed(workplace, Runs(alive=False, count=MAX_RUNS, in_vain=0))
    assert entry.key == f"{waiting.id}:{MAX_RUNS + 1}"


def test_a_finished_job_gets_no_run_and_its_file_is_archived(
    workplace: Workplace, waiting: BatchJob
) -> None:
    workplace.execute("UPDATE batch_jobs SET status = 'failed', error_message = 'for a test'")
    assert needed(workplace, dead(MAX_RUNS)) == []
    assert files_below(workplace.settings.inbox.parent) == ["failed/orders.csv"]
    assert workplace.job(waiting).error_message == "for a test"


def test_a_file_that_vanished_fails_its_job_after_a_while(
    workplace: Workplace, waiting: BatchJob
) -> None:
    assert waiting.path is not None
    waiting.path.unlink()
    assert needed(workplace, NONE) == []
    assert workplace.job(waiting).status == "pending", "it may be on its way"
    workplace.execute("UPDATE batch_jobs SET created_at = created_at - interval '11 minutes'")
    assert needed(workplace, NONE) == []
    job = workplace.job(waiting)
    assert (job.status, job.path) == ("failed", None)
    assert job.error_message == inbox.VANISHED
    assert needed(workplace, NONE) == []


def test_jobs_get_their_runs_in_the_order_of_receipt(workplace: Workplace) -> None:
    ids = [workplace.claim(workplace.simulated(10, seed=seed)).id for seed in (3, 1, 2)]
    assert [entry.job.id for entry in needed(workplace, NONE)] == ids


def test_jobs_that_are_over_and_archived_are_not_looked_at(workplace: Workplace) -> None:
    workplace.score(workplace.simulated(10))
    asked: list[BatchJob] = []

    def runs_of(job: BatchJob) -> Runs:
        asked.append(job)
        return NONE

    assert runs_needed(workplace.engine, workplace.settings, runs_of) == []
    assert asked == []
