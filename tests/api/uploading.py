"""Files as clients send them, and what is on disk and in the database afterwards."""

from __future__ import annotations

from typing import Any

from fastapi.testclient import TestClient
from httpx2 import Response

from fulfillment_assets.scoring.batch_jobs import BatchJob
from fulfillment_assets.scoring.inbox import Runs, runs_needed
from tests.scoring.workplace import Workplace, files_below

PATH = "/predict/batch"
CONTENT = b"order_id,warehouse_block\nO-1,A\n"
CSV = {"Content-Type": "text/csv"}
NO_RUNS = Runs(alive=False, count=0, in_vain=0)


def send(api: TestClient, content: bytes = CONTENT, **headers: str) -> Response:
    """Send a raw CSV body; of headers, `_` stands for `-`."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return api.post(PATH, content=content, headers=CSV | names)


def form(*parts: bytes, end: bytes = b"--b--\r\n") -> dict[str, Any]:
    """The request of a multipart body, written by hand."""
    body = b"".join(b"--b\r\n" + part + b"\r\n" for part in parts) + end
    return {"content": body, "headers": {"Content-Type": "multipart/form-data; boundary=b"}}


def part(name: str = "file", filename: str | None = "o.csv", content: bytes = CONTENT) -> bytes:
    """A part of a multipart body."""
    named = "" if filename is None else f'; filename="{filename}"'
    head = f'Content-Disposition: form-data; name="{name}"{named}\r\n\r\n'
    return head.encode() + content


def folders(workplace: Workplace) -> list[str]:
    """What lies in the folders of files."""
    return files_below(workplace.settings.inbox.parent)


def untouched(workplace: Workplace) -> bool:
    """Whether no file and no job is there."""
    return not folders(workplace) and workplace.value("SELECT count(*) FROM batch_jobs") == 0


def open_jobs(workplace: Workplace) -> list[BatchJob]:
    """The jobs for which the sensor would start a run."""
    found = runs_needed(workplace.engine, workplace.settings, lambda _job: NO_RUNS)
    return [one.job for one in found]
