"""Files of orders, in pages and as CSV."""

from __future__ import annotations

import csv
import io

import pytest

from fulfillment_assets.scoring import job_progress, progress
from tests.api.conftest import Start
from tests.api.examples import pages, url_of
from tests.scoring.workplace import Workplace


def test_batches_are_listed_and_read_in_pages_and_as_csv(
    workplace: Workplace, start: Start
) -> None:
    result = workplace.score(workplace.simulated(60, fault_share=0.2))
    api = start(url_of(workplace.engine))
    [listed] = api.get("/batch").json()["items"]
    assert listed["id"] == str(result.job.id)
    assert api.get("/batch", params={"status": "failed"}).json()["items"] == []
    path = f"/batch/{result.job.id}"
    status = api.get(f"{path}/status").json()
    assert (status["status"], status["progress"], status["row_count"]) == ("completed", 1.0, 60)
    accepted, rejected = status["accepted_count"], status["rejected_count"]
    assert rejected > 0
    counts = {"predictions": accepted, "rejected": rejected, "agent-responses": 0}
    for name, count in counts.items():
        items = [one for page in pages(api, f"{path}/{name}", limit=7) for one in page]
        assert len(items) == count
        assert [one["row_number"] for one in items] == sorted(one["row_number"] for one in items)
        as_csv = api.get(f"{path}/{name}", headers={"Accept": "text/csv"})
        assert as_csv.headers["content-type"] == "text/csv; charset=utf-8"
        assert as_csv.headers["content-disposition"].endswith(f'-{name}.csv"')
        rows = list(csv.DictReader(io.StringIO(as_csv.text)))
        assert len(rows) == count
        assert [row["row_number"] for row in rows] == [str(one["row_number"]) for one in items]
    deviations = [one for page in pages(api, f"{path}/deviations", limit=5) for one in page]
    text = api.get(f"{path}/deviations?format=csv").text
    assert [row["id"] for row in csv.DictReader(io.StringIO(text))] == [d["id"] for d in deviations]
    broken = api.get(f"{path}/rejected").json()["items"][0]
    assert broken["errors"]
    assert all(error["field"] in broken["reason"] for error in broken["errors"])


def test_a_csv_longer_than_a_slice_is_whole(workplace: Workplace, start: Start) -> None:
    result = workplace.score(workplace.simulated(4_500))
    text = start(url_of(workplace.engine)).get(f"/batch/{result.job.id}/predictions?format=csv")
    rows = list(csv.DictReader(io.StringIO(text.text)))
    assert [int(row["row_number"]) for row in rows] == list(range(1, 4_501))


def test_what_a_spreadsheet_would_run_is_made_harmless(workplace: Workplace, start: Start) -> None:
    result = workplace.score(workplace.orders({"order_id": "=cmd()"}))
    path = f"/batch/{result.job.id}/predictions"
    api = start(url_of(workplace.engine))
    assert api.get(path).json()["items"][0]["order_id"] == "=cmd()"
    [row] = csv.DictReader(io.StringIO(api.get(f"{path}?format=csv").text))
    assert row["order_id"] == "'=cmd()"


def test_the_progress_of_a_file_that_is_being_scored_is_told(
    workplace: Workplace, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_progress, "NOTED_EVERY", 0.0)
    api = start(url_of(workplace.engine))
    job = workplace.claim(workplace.simulated(30_000))
    found: list[tuple[str, float | None, int]] = []

    def look(_rows: int) -> None:
        status = api.get(f"/batch/{job.id}/status").json()
        found.append((status["status"], status["progress"], status["rows_done"]))

    look(0)
    with progress.listening(look):
        workplace.run(job)
    look(0)
    assert found[0] == ("pending", 0.0, 0)
    assert found[1] == ("processing", None, 0), "it is not known yet"
    assert [rows for _, _, rows in found[2:]] == [8_192, 16_384, 24_576, 30_000]
    shares = [share for _, share, _ in found[2:]]
    assert shares == sorted(shares, key=lambda share: share or 0)
    assert all(share is not None and 0 < share < 1 for share in shares[:-1])
    assert found[-1] == ("completed", 1.0, 30_000)
