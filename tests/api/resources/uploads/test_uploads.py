"""Files handed in over HTTP: stored once, registered once, and scored by the next run."""

from __future__ import annotations

import gzip
import hashlib
import os

import pytest
from fastapi.testclient import TestClient

from fulfillment_api.resources.uploads.receiving import BLOCK_BYTES, clean_name
from tests.api.uploading import CONTENT, CSV, PATH, folders, form, open_jobs, part, send
from tests.scoring.workplace import Workplace


@pytest.mark.parametrize("way", ["raw", "octets", "multipart"])
def test_a_file_is_answered_at_once_and_scored_by_the_next_run(
    way: str, workplace: Workplace, desk: TestClient
) -> None:
    path = workplace.simulated(300, fault_share=0.1)
    content = path.read_bytes()
    if way == "multipart":
        response = desk.post(PATH, files={"file": ("March orders.csv", content, "text/csv")})
    else:
        kind = "text/csv; charset=utf-8" if way == "raw" else "application/octet-stream"
        name = 'attachment; filename="March orders.csv"'
        headers = {"Content-Type": kind, "Content-Disposition": name}
        response = desk.post(PATH, content=content, headers=headers)
    assert response.status_code == 202, response.text
    answer = response.json()
    assert (answer["status"], answer["known"]) == ("pending", False)
    assert answer["sha256"] == hashlib.sha256(content).hexdigest()
    assert (answer["filename"], answer["size_bytes"]) == ("March orders.csv", len(content))
    assert response.headers["location"] == answer["links"]["status"]
    assert desk.get(answer["links"]["status"]).json()["progress"] == 0
    [job] = open_jobs(workplace)
    assert str(job.id) == answer["batch_job_id"]
    assert folders(workplace) == [f"claimed/{job.id}/{job.id}.csv"]
    assert workplace.run(job).job.status == "completed"
    assert folders(workplace) == [f"processed/{job.id}.csv", f"processed/{job.id}.rejected.csv"]
    status = desk.get(answer["links"]["status"]).json()
    assert (status["progress"], status["rows_done"], status["row_count"]) == (1.0, 300, 300)
    for link in answer["links"].values():
        assert desk.get(link).status_code == 200


@pytest.mark.parametrize("kind", ["application/gzip", "text/csv"])
def test_a_gzipped_file_is_known_by_its_content(
    kind: str, workplace: Workplace, desk: TestClient
) -> None:
    content = gzip.compress(workplace.simulated(20).read_bytes())
    answer = desk.post(PATH, content=content, headers={"Content-Type": kind}).json()
    [job] = open_jobs(workplace)
    assert job.path == workplace.settings.claimed / str(job.id) / f"{job.id}.csv.gz"
    workplace.run(job)
    assert desk.get(answer["links"]["status"]).json()["accepted_count"] == 20


def test_a_file_larger_than_a_block_arrives_as_it_was_sent(
    workplace: Workplace, desk: TestClient
) -> None:
    content = b"\r\n--".join(b"a" + os.urandom(1_000) for _ in range(3 * BLOCK_BYTES // 1_000))
    chunks = [content[first : first + 7_919] for first in range(0, len(content), 7_919)]
    assert desk.post(PATH, content=iter(chunks), headers=CSV).status_code == 202
    body = form(part(content=content))
    pieces = [body["content"][first : first + 7_919] for first in range(0, len(content), 7_919)]
    pieces.append(body["content"][len(pieces) * 7_919 :])
    response = desk.post(PATH, content=iter(pieces), headers=body["headers"])
    assert (response.status_code, response.json()["known"]) == (200, True), "the same content"
    [stored] = workplace.settings.claimed.rglob("*.csv")
    assert stored.read_bytes() == content


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("../../etc/cron.d/evil.csv", "evil.csv"),
        ("C:\\Users\\ada\\orders.csv", "orders.csv"),
        ("a\tb\x7fc\u202egnp.csv", "abcgnp.csv"),
        ("注文.csv", "注文.csv"),
        ("", "upload.csv"),
        ("..", ".."),
        ("x" * 500, "x" * 200),
        (None, "upload.csv"),
    ],
)
def test_a_clients_name_is_shown_and_never_reaches_the_disk(
    sent: str | None, shown: str, workplace: Workplace, desk: TestClient
) -> None:
    assert clean_name(sent) == shown
    answer = desk.post(PATH, **form(part(filename=sent))).json()
    assert answer["filename"] == shown
    job_id = answer["batch_job_id"]
    assert folders(workplace) == [f"claimed/{job_id}/{job_id}.csv"]
    job = workplace.run(open_jobs(workplace)[0]).job
    assert (job.status, folders(workplace)) == ("failed", [f"failed/{job_id}.csv"])


def test_known_content_is_answered_with_its_job(workplace: Workplace, desk: TestClient) -> None:
    path = workplace.simulated(10)
    content = path.read_bytes()
    first = send(desk, content).json()
    for status in ("pending", "completed"):
        response = send(desk, content, Content_Disposition='attachment; filename="other.csv"')
        assert response.status_code == 200
        assert response.json() == first | {"known": True, "status": status}
        if status == "pending":
            workplace.run(open_jobs(workplace)[0])
    assert workplace.value("SELECT count(*) FROM batch_jobs") == 1
    assert folders(workplace) == [f"processed/{first['batch_job_id']}.csv"]


def test_a_file_that_was_dropped_is_known_when_it_is_uploaded(
    workplace: Workplace, desk: TestClient
) -> None:
    path = workplace.simulated(10)
    job = workplace.score(path).job
    response = send(desk, path.read_bytes())
    assert (response.status_code, response.json()["batch_job_id"]) == (200, str(job.id))
    assert folders(workplace) == ["processed/orders.csv"]


def test_completed_content_is_scored_again_if_that_is_asked_for(
    workplace: Workplace, desk: TestClient
) -> None:
    content = workplace.simulated(10).read_bytes()
    first = send(desk, content).json()["batch_job_id"]
    again = desk.post(PATH, params={"again": "true"}, content=content, headers=CSV)
    assert again.status_code == 200, "it is not completed yet"
    workplace.run(open_jobs(workplace)[0])
    second = desk.post(PATH, params={"again": "true"}, content=content, headers=CSV)
    assert (second.status_code, second.json()["known"]) == (202, True)
    assert second.json()["batch_job_id"] != first
    workplace.run(open_jobs(workplace)[0])
    assert folders(workplace) == sorted(
        f"processed/{job}.csv" for job in (first, second.json()["batch_job_id"])
    )


def test_content_whose_job_failed_is_tried_again(workplace: Workplace, desk: TestClient) -> None:
    first = send(desk, b"no orders").json()
    assert workplace.run(open_jobs(workplace)[0]).job.status == "failed"
    assert desk.get(first["links"]["status"]).json()["progress"] is None
    response = send(desk, b"no orders")
    assert response.status_code == 202
    assert response.json() == first | {"known": True}
    assert [job.path and job.path.exists() for job in open_jobs(workplace)] == [True]


def test_a_waiting_job_whose_file_was_lost_takes_the_one_that_is_sent_again(
    workplace: Workplace, desk: TestClient
) -> None:
    send(desk)
    [job] = open_jobs(workplace)
    assert job.path is not None
    job.path.unlink()
    assert send(desk).status_code == 200
    assert job.path.read_bytes() == CONTENT


def test_every_upload_that_changes_something_is_audited(
    workplace: Workplace, desk: TestClient
) -> None:
    response = send(desk)
    job_id = response.json()["batch_job_id"]
    send(desk)
    [line] = workplace.rows("SELECT actor, action, target, details, request_id FROM api_audit")
    assert line["request_id"] == response.headers["x-request-id"]
    assert (line["actor"], line["action"], line["target"]) == ("local", "batch.upload", job_id)
    assert line["details"]["sha256"] == hashlib.sha256(CONTENT).hexdigest()


def test_a_part_without_a_name_for_the_file_is_a_file(desk: TestClient) -> None:
    response = desk.post(PATH, **form(part(filename=None)))
    assert (response.status_code, response.json()["filename"]) == (202, "upload.csv")
