"""An upload that is sent again, or twice at once, is one job."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from tests.api.conftest import Start
from tests.api.examples import new_key, problem, url_of
from tests.api.uploading import CONTENT, CSV, PATH, folders, open_jobs, send, untouched
from tests.scoring.workplace import Workplace


def test_a_key_sent_again_with_its_content_is_answered_as_the_first_time(
    workplace: Workplace, desk: TestClient
) -> None:
    content = workplace.simulated(10).read_bytes()
    first = send(desk, content, Idempotency_Key="k 1")
    assert send(desk, content, Idempotency_Key="k 1").json() == first.json()
    workplace.run(open_jobs(workplace)[0])
    repeated = desk.post(
        PATH, params={"again": "true"}, content=content, headers=CSV | {"Idempotency-Key": "k 1"}
    )
    assert (repeated.status_code, repeated.json()) == (202, first.json() | {"status": "completed"})
    assert workplace.value("SELECT count(*) FROM batch_jobs") == 1


def test_a_key_with_other_content_is_refused(workplace: Workplace, desk: TestClient) -> None:
    send(desk, Idempotency_Key="k1")
    found = problem(send(desk, b"other", Idempotency_Key="k1"), 422)
    assert "used for other content in the last 24 hours" in found["detail"]
    assert found["errors"][0]["field"] == "header.Idempotency-Key"
    assert workplace.value("SELECT count(*) FROM batch_jobs") == 1
    assert len(folders(workplace)) == 1


def test_a_key_is_that_of_its_sender_and_is_forgotten_after_a_day(
    workplace: Workplace, start: Start
) -> None:
    data_dir, url = workplace.settings.data_dir, url_of(workplace.engine)
    senders = [
        start(url, data_dir=data_dir, key=new_key(workplace.engine, "operator", name))
        for name in ("ada", "bob")
    ]
    jobs = [
        send(one, name, Idempotency_Key="k").json()["batch_job_id"]
        for one, name in zip(senders, (b"ada", b"bob"), strict=True)
    ]
    assert len(set(jobs)) == 2
    workplace.execute("UPDATE idempotency_keys SET created_at = now() - interval '25 hours'")
    assert send(senders[0], b"other", Idempotency_Key="k").status_code == 202
    assert workplace.value("SELECT count(*) FROM idempotency_keys") == 1, "the old ones are gone"


@pytest.mark.parametrize("key", ["k" * 256, "clé", "a\x7f"])
def test_a_key_that_breaks_its_rule_is_refused(
    key: str, workplace: Workplace, desk: TestClient
) -> None:
    headers = [(b"Content-Type", b"text/csv"), (b"Idempotency-Key", key.encode("latin-1"))]
    found = problem(desk.post(PATH, content=CONTENT, headers=headers), 422)
    assert "must have 1 to 255 printable ASCII characters" in found["detail"]
    assert untouched(workplace)


@pytest.mark.parametrize("key", [None, "k"])
def test_many_uploads_of_one_content_at_once_are_one_job(
    key: str | None, workplace: Workplace, desk: TestClient
) -> None:
    headers = CSV | ({} if key is None else {"Idempotency-Key": key})

    def upload(_number: int) -> Response:
        return desk.post(PATH, content=CONTENT, headers=headers)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(upload, range(8)))
    assert len({answer.json()["batch_job_id"] for answer in answers}) == 1
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == ([200] * 7 + [202] if key is None else [202] * 8)
    assert workplace.value("SELECT count(*) FROM batch_jobs") == 1
    [job] = open_jobs(workplace)
    assert folders(workplace) == [f"claimed/{job.id}/{job.id}.csv"]
    assert workplace.value("SELECT count(*) FROM api_audit") == 1
