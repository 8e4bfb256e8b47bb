"""The moves of a batch job, and who gets the word to score."""

from __future__ import annotations

import datetime as dt
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from fulfillment_assets.scoring import batch_jobs
from fulfillment_assets.scoring.batch_jobs import BatchJob
from tests.scoring.workplace import Workplace

SHA256 = "ab" * 32


def register(workplace: Workplace, *, again: bool = False) -> tuple[BatchJob, bool]:
    with workplace.engine.begin() as connection:
        return batch_jobs.register(
            connection,
            filename="orders.csv",
            sha256=SHA256,
            size_bytes=7,
            claimed=workplace.settings.claimed,
            again=again,
        )


def complete(workplace: Workplace, job: BatchJob) -> None:
    with workplace.engine.begin() as connection:
        batch_jobs.complete(connection, job.id, accepted=2, rejected=1, model_version="m1")


def fail(workplace: Workplace, job: BatchJob) -> None:
    with workplace.engine.begin() as connection:
        batch_jobs.fail(connection, job.id, "no orders")


def start(workplace: Workplace, job: BatchJob, run_id: str) -> BatchJob:
    with workplace.engine.begin() as connection:
        return batch_jobs.start(connection, job.id, run_id)


def test_new_content_waits_to_be_scored(workplace: Workplace) -> None:
    job, to_score = register(workplace)
    assert to_score
    assert (job.status, job.submission, job.run_id, job.finished) == ("pending", 1, None, False)
    assert job.seconds == 0
    assert job.day == dt.datetime.now(dt.UTC).date()


@pytest.mark.parametrize("again", [False, True])
def test_content_that_waits_is_not_registered_twice(again: bool, workplace: Workplace) -> None:
    job, _ = register(workplace)
    assert register(workplace, again=again) == (job, False)


@pytest.mark.parametrize("again", [False, True])
def test_content_that_is_being_scored_is_left_in_peace(again: bool, workplace: Workplace) -> None:
    job = start(workplace, register(workplace)[0], "run-1")
    assert job.status == "processing"
    assert register(workplace, again=again) == (job, False)


def test_completed_content_is_known_unless_it_is_asked_for_again(workplace: Workplace) -> None:
    job, _ = register(workplace)
    complete(workplace, job)
    known, to_score = register(workplace)
    assert (known.id, known.row_count, known.finished, to_score) == (job.id, 3, True, False)
    second, to_score = register(workplace, again=True)
    assert to_score
    assert (second.submission, second.status) == (2, "pending")
    assert second.archive_name == f"orders-{SHA256[:12]}-2.csv"
    assert register(workplace)[0].id == second.id, "the latest submission speaks for the content"


def test_failed_content_waits_again_when_it_is_handed_in_again(workplace: Workplace) -> None:
    job, _ = register(workplace)
    start(workplace, job, "run-1")
    fail(workplace, job)
    assert workplace.job(job).error_message == "no orders"
    renewed, to_score = register(workplace)
    assert to_score
    assert (renewed.id, renewed.status, renewed.error_message) == (job.id, "pending", None)
    assert renewed.path == job.path
    assert renewed.seconds == 0
    assert renewed.completed_at is not None, "when it failed is still known"


def test_a_completed_job_is_neither_started_nor_failed(workplace: Workplace) -> None:
    job, _ = register(workplace)
    complete(workplace, job)
    assert start(workplace, job, "run-2").status == "completed"
    fail(workplace, job)
    after = workplace.job(job)
    assert (after.status, after.run_id, after.error_message) == ("completed", None, None)


def test_of_concurrent_registrations_exactly_one_gets_the_word_to_score(
    workplace: Workplace,
) -> None:
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(lambda _: register(workplace), range(8)))
    assert sum(to_score for _, to_score in outcomes) == 1
    assert len({job.id for job, _ in outcomes}) == 1


def test_a_job_that_does_not_exist_is_named(workplace: Workplace) -> None:
    missing = uuid.UUID(int=1)
    with (
        workplace.engine.connect() as connection,
        pytest.raises(LookupError, match=f"there is no batch job {missing}"),
    ):
        batch_jobs.find_job(connection, missing)
    with workplace.engine.connect() as connection:
        assert batch_jobs.find_by_content(connection, SHA256) is None


def test_failed_content_that_is_handed_in_again_is_received_anew(workplace: Workplace) -> None:
    job, _ = register(workplace)
    fail(workplace, job)
    workplace.execute("UPDATE batch_jobs SET created_at = now() - interval '200 days'")
    again, to_score = register(workplace)
    assert to_score
    assert again.id == job.id
    assert again.day == dt.datetime.now(dt.UTC).date(), "no old partition comes back for it"
