"""What is no file, or does not fit, is refused and leaves nothing."""

from __future__ import annotations

import os
import resource
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from fulfillment_api.resources.uploads.receiving import BLOCK_BYTES
from fulfillment_api.security import body_limit
from fulfillment_assets.scoring.uploads import IncomingFile
from fulfillment_assets.settings import Settings
from tests.api.conftest import Start
from tests.api.examples import new_key, problem, url_of
from tests.api.uploading import CONTENT, CSV, PATH, form, part, send, untouched
from tests.scoring.workplace import Workplace


def test_a_viewer_may_not_upload_and_nothing_is_read(workplace: Workplace, start: Start) -> None:
    key = new_key(workplace.engine, "viewer")
    api = start(url_of(workplace.engine), data_dir=workplace.settings.data_dir, key=key)
    problem(send(api), 403)
    assert untouched(workplace)


@pytest.mark.parametrize(
    ("request_", "status", "told"),
    [
        ({"content": b"", "headers": CSV}, 422, "the file is empty"),
        (form(part(content=b"")), 422, "the file is empty"),
        (form(), 422, "body.file: is missing"),
        (form(part(), part()), 422, "body.file: send one file"),
        (form(part("upload")), 422, "body.upload: is not expected here; send nothing but one part"),
        (form(part("x", None), part()), 422, "body.x: is not expected"),
        (form(b"Content-Type: text/csv\r\n\r\nx"), 422, "is not expected"),
        (form(b"garbage\r\n\r\n", part()), 400, "The multipart body is broken"),
        (form(b"x" * 10_000 + b": y\r\n\r\n"), 400, "Maximum header size exceeded"),
        (form(part(), end=b""), 400, "ends before its last boundary"),
        (form(part(), end=b"--b"), 400, "ends before its last boundary"),
        ({"content": b"garbage", "headers": form()["headers"]}, 400, "is broken"),
        ({"content": b"x", "headers": {"Content-Type": "multipart/form-data"}}, 400, "boundary"),
        (
            {
                "content": b"x",
                "headers": {"Content-Type": f"multipart/form-data; boundary={'b' * 300}"},
            },
            400,
            "exceeds maximum",
        ),
        ({"content": CONTENT, "headers": {}}, 415, "Send the file as multipart/form-data"),
        (
            {"content": CONTENT, "headers": {"Content-Type": "application/json"}},
            415,
            "text/csv, application/gzip or application/octet-stream",
        ),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, str) else "",
)
def test_what_is_not_one_file_is_refused_and_leaves_nothing(
    request_: dict[str, Any], status: int, told: str, workplace: Workplace, desk: TestClient
) -> None:
    assert told in problem(desk.post(PATH, **request_), status)["detail"]
    assert untouched(workplace)


@pytest.mark.parametrize("request_", [{"content": CONTENT, "headers": CSV}, form(part())])
def test_a_file_beyond_its_limit_is_refused_and_removed(
    request_: dict[str, Any], workplace: Workplace, start: Start
) -> None:
    data_dir = workplace.settings.data_dir
    api = start(url_of(workplace.engine), data_dir=data_dir, max_file_bytes=len(CONTENT) - 1)
    assert f"{len(CONTENT) - 1} bytes" in problem(api.post(PATH, **request_), 413)["detail"]
    assert untouched(workplace)


def test_a_body_beyond_the_limit_is_refused_and_removed(
    workplace: Workplace, desk: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body_limit, "UPLOAD_BYTES", 2 * BLOCK_BYTES)
    chunks = iter([b"x" * BLOCK_BYTES] * 3)
    problem(desk.post(PATH, content=chunks, headers=CSV), 413)
    assert untouched(workplace)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """This process can write no larger file, as if the disk were full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_told_and_nothing_is_kept(workplace: Workplace, desk: TestClient) -> None:
    content = b"x" * (2 * BLOCK_BYTES)
    with largest_file(BLOCK_BYTES):
        response = send(desk, content)
    assert "Free some space there, and send it again" in problem(response, 507)["detail"]
    assert untouched(workplace)
    assert send(desk, content).status_code == 202


def test_a_full_device_refuses_the_data_and_the_file_can_be_discarded(tmp_path: Path) -> None:
    file = IncomingFile(tmp_path)
    file.discard()
    full = IncomingFile(tmp_path)
    full.path.unlink()
    full.path.symlink_to("/dev/full")
    full._file = full.path.open("wb")
    with pytest.raises(OSError, match="No space left"):
        full.write(b"x" * BLOCK_BYTES)
    full.discard()
    assert list(tmp_path.iterdir()) == []


def test_a_registration_that_fails_leaves_no_file(workplace: Workplace, desk: TestClient) -> None:
    workplace.execute("ALTER TABLE api_audit ADD CONSTRAINT never CHECK (action = '')")
    assert send(desk, Idempotency_Key="k").status_code == 500
    assert untouched(workplace)
    assert workplace.value("SELECT count(*) FROM idempotency_keys") == 0
    workplace.execute("ALTER TABLE api_audit DROP CONSTRAINT never")
    assert send(desk, Idempotency_Key="k").status_code == 202


def aged(path: Path) -> Path:
    """Let a path look as if it had been made more than a day ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.write_bytes(b"x")
    long_ago = time.time() - 25 * 3600
    os.utime(path, (long_ago, long_ago))
    return path


def test_what_crashes_left_is_swept_a_day_later_and_nothing_else(
    workplace: Workplace, desk: TestClient
) -> None:
    settings: Settings = workplace.settings
    waiting = workplace.claim(workplace.simulated(10))
    assert waiting.path is not None
    old = aged(settings.uploads / "old.part")
    lost = aged(settings.claimed / str(uuid.uuid4()) / "lost.csv")
    young = settings.uploads / "young.part"
    young.write_bytes(b"x")
    unregistered = settings.claimed / str(uuid.uuid4()) / "young.csv"
    unregistered.parent.mkdir()
    unregistered.write_bytes(b"x")
    aged(lost.parent)
    aged(waiting.path.parent)
    assert send(desk).status_code == 202
    assert (old.exists(), lost.parent.exists()) == (False, False)
    assert young.exists()
    assert unregistered.exists(), "it may be one that is being registered"
    assert waiting.path.exists(), "its job waits for it"
