"""Scorers that meet: at one job, or at the same orders in several files."""

from __future__ import annotations

import threading

import pytest
import sqlalchemy as sa

from fulfillment_assets.scoring import batch_jobs, progress
from fulfillment_assets.scoring.batch_jobs import BatchBusyError
from tests.scoring.workplace import Workplace, assert_complete, wait_for


def test_of_two_scorers_of_one_job_one_scores_and_the_other_finds_it_done(
    workplace: Workplace,
) -> None:
    job = workplace.claim(workplace.simulated(100))
    scored_by: list[str] = []
    outcomes: dict[str, str] = {}

    def scorer(name: str) -> threading.Thread:
        def run() -> None:
            def note(_rows: int) -> None:
                scored_by.append(name)
                if name == "first":
                    second.start()
                    wait_for(lambda: is_waiting_for_lock(workplace))

            with progress.listening(note):
                outcomes[name] = workplace.run(job, run_id=name).job.status

        return threading.Thread(target=run)

    first, second = scorer("first"), scorer("second")
    first.start()
    first.join()
    second.join()
    assert scored_by == ["first"]
    assert outcomes == {"first": "completed", "second": "completed"}
    assert_complete(workplace, job, 100)


def is_waiting_for_lock(workplace: Workplace) -> bool:
    return bool(
        workplace.value(
            "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database "
            "WHERE d.datname = current_database() AND locktype = 'advisory' AND NOT granted"
        )
    )


def test_a_job_that_is_held_for_too_long_is_busy(workplace: Workplace) -> None:
    job = workplace.claim(workplace.simulated(10))
    with workplace.engine.begin() as holder, workplace.engine.begin() as other:
        batch_jobs.lock(holder, job.id)
        with pytest.raises(BatchBusyError, match=f"still scoring batch job {job.id}"):
            batch_jobs.lock(other, job.id, seconds=1)


def test_concurrent_files_with_the_same_orders_end_in_one_consistent_state(
    workplace: Workplace,
) -> None:
    rows = workplace.simulated(5_000).read_text().splitlines(keepends=True)
    jobs = [
        workplace.claim(
            workplace.file("".join((rows[0], *rows[1 : 4_000 + number])), f"{number}.csv")
        )
        for number in range(1, 4)
    ]
    threads = [threading.Thread(target=workplace.run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {workplace.job(job).status for job in jobs} == {"completed"}
    assert workplace.counts()["predictions"] == 4_000 + 4_001 + 4_002
    assert workplace.counts()["orders"] == 4_002
    assert workplace.rollup_differences() == 0
    assert workplace.value("SELECT count(*) FROM outbox") == workplace.counts()["deviations"]


def test_the_database_forgets_a_killed_scorers_lock(workplace: Workplace) -> None:
    job = workplace.claim(workplace.simulated(10))
    holder = workplace.engine.connect()
    batch_jobs.lock(holder, job.id)
    pid = holder.scalar(sa.text("SELECT pg_backend_pid()"))
    workplace.execute("SELECT pg_terminate_backend(:pid)", pid=pid)
    workplace.run(job)
    assert_complete(workplace, job, 10)
    holder.invalidate()
    holder.close()
