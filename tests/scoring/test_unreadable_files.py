"""A file that cannot be scored at all ends as failed, with a message its sender understands."""

from __future__ import annotations

import gzip
from dataclasses import replace

import pytest

from fulfillment_assets.scoring.pipeline import BatchResult
from tests.orders.examples import csv_text, order_row
from tests.scoring.workplace import NOTHING, Workplace, files_below

SOUND = csv_text([order_row(order_id=f"O{number}") for number in range(200)]).encode()
HEADER, ROWS = SOUND.split(b"\r\n", 1)


def assert_failed(workplace: Workplace, result: BatchResult, name: str, *words: str) -> None:
    job = workplace.job(result.job)
    assert job.status == "failed"
    assert job.error_message is not None
    for word in words:
        assert word in job.error_message
    assert job.path is None
    assert job.completed_at is not None
    assert (job.row_count, result.predictions) == (0, 0)
    assert workplace.counts() == NOTHING
    assert files_below(workplace.settings.inbox.parent) == [f"failed/{name}"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["empty", "header"]),
        (b"\r\n \n", ["empty"]),
        (HEADER.replace(b"weight_in_gms", b"mass") + b"\r\n" + ROWS, ["weight_in_gms", "missing"]),
        (bytes(range(256)) * 50, ["binary", "CSV"]),
        (b"PK\x03\x04" + bytes(500), ["Excel", "CSV"]),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500), ["Excel", "CSV"]),
        (b"PAR1" + bytes(500), ["Parquet"]),
        (gzip.compress(SOUND)[:-200], ["gzip", "damaged"]),
        (SOUND + b'"an open quote,' + ROWS, ["quote", "closed"]),
        (HEADER + b",order_id\r\n", ["order_id"]),
    ],
    ids=[
        "empty",
        "blank",
        "without a required column",
        "binary",
        "Excel workbook",
        "old Excel workbook",
        "Parquet",
        "half a gzip file",
        "a quote that is never closed",
        "a column twice",
    ],
)
def test_a_file_that_is_no_list_of_orders_fails_and_says_why(
    content: bytes, words: list[str], workplace: Workplace
) -> None:
    result = workplace.score(workplace.file(content, "strange.csv"))
    assert_failed(workplace, result, "strange.csv", *words)


def test_a_file_that_is_too_large_fails_and_names_the_limit(workplace: Workplace) -> None:
    small = replace(
        workplace, settings=workplace.settings.model_copy(update={"max_file_bytes": 1000})
    )
    result = small.score(workplace.file(SOUND))
    assert_failed(
        workplace, result, "orders.csv", f"{len(SOUND):,}", "1,000", "FULFILLMENT_MAX_FILE_BYTES"
    )
    assert workplace.score(workplace.file(SOUND)).predictions == 200, "the limit was raised"


def test_a_file_that_turns_bad_late_leaves_nothing_of_its_sound_rows(workplace: Workplace) -> None:
    rows = workplace.simulated(20_000).read_bytes()
    result = workplace.score(workplace.file(rows + b'"an open quote,', "late.csv"))
    assert_failed(workplace, result, "late.csv", "quote")


def test_the_same_bad_content_is_tried_again_when_it_is_dropped_again(
    workplace: Workplace,
) -> None:
    first = workplace.score(workplace.file(b"nonsense", "first.csv"))
    second = workplace.score(workplace.file(b"nonsense", "second.csv"))
    assert first.job.id == second.job.id
    assert workplace.value("SELECT attempts FROM batch_jobs") == 2
    assert_failed(workplace, second, "first.csv", "missing")
