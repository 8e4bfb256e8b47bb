"""Rows that break the contract: recorded, listed beside the file, mended, dropped again."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from fulfillment_assets.orders.simulator.faults import FAULTS
from fulfillment_assets.scoring import rejected
from tests.orders.examples import csv_text, order_row
from tests.scoring.test_pipeline import truth_of
from tests.scoring.workplace import LATE, OPEN, Workplace, files_below

ROWS = 2_000


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        return list(csv.DictReader(file))


def write_csv(path: Path, rows: Sequence[dict[str, str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture
def faulty(workplace: Workplace) -> Path:
    """A file with every fault that the simulator knows."""
    path = workplace.simulated(ROWS, fault_share=0.1, name="faulty.csv")
    assert {row["fault"] for row in truth_of(path)} == {"", *FAULTS}
    return path


def test_exactly_the_broken_rows_are_rejected(workplace: Workplace, faulty: Path) -> None:
    broken = {number for number, row in enumerate(truth_of(faulty), 1) if row["fault"]}
    result = workplace.score(faulty)
    records = workplace.rows("SELECT * FROM rejected_records")
    assert {record["row_number"] for record in records} == broken
    assert result.job.rejected_count == len(records) == len(broken)
    assert result.predictions == ROWS - len(broken)
    for record in records:
        assert record["source"] == "batch"
        assert record["batch_job_id"] == result.job.id
        assert record["created_at"] == result.job.created_at
        assert record["errors"]
        assert all(error["field"] and error["rule"] for error in record["errors"])


def test_the_rejected_rows_stand_beside_the_processed_file(
    workplace: Workplace, faulty: Path
) -> None:
    result = workplace.score(faulty)
    processed = workplace.settings.processed
    assert files_below(processed) == ["faulty.csv", "faulty.rejected.csv"]
    listed = read_csv(processed / "faulty.rejected.csv")
    with workplace.engine.connect() as connection:
        recorded = list(rejected.of_batch(connection, result.job.id))
    assert [(int(row["row_number"]), row["errors"]) for row in listed] == [
        (row.row_number, row.reasons) for row in recorded
    ]


def test_a_mended_list_of_rejected_rows_scores_the_rest(workplace: Workplace, faulty: Path) -> None:
    first = workplace.score(faulty)
    sound = dict(enumerate(read_csv(workplace.simulated(ROWS)), start=1))
    listed = workplace.settings.processed / "faulty.rejected.csv"
    mended = [row | sound[int(row["row_number"])] for row in read_csv(listed)]
    workplace.outside.mkdir(exist_ok=True)
    second = workplace.score(write_csv(workplace.outside / "faulty.rejected.csv", mended))
    assert second.job.rejected_count == 0
    assert second.predictions == first.job.rejected_count
    assert workplace.counts()["orders"] == ROWS
    assert workplace.rollup_differences() == 0
    assert listed.exists(), "the archived copy of the mended file has a name of its own"
    assert len(files_below(workplace.settings.processed)) == 3
    assert len(read_csv(listed)) == first.job.rejected_count


def test_two_files_never_share_one_list_of_rejected_rows(workplace: Workplace) -> None:
    for number, name in enumerate(("orders.csv", "orders.csv.gz", "orders", "orders.csv")):
        row = order_row(order_id=f"O{number}", gender="?")
        workplace.score(workplace.file(csv_text([row]), name))
    names = files_below(workplace.settings.processed)
    assert len(names) == 8
    lists = [name for name in names if name.endswith(".rejected.csv")]
    ids = [read_csv(workplace.settings.processed / name)[0]["order_id"] for name in lists]
    assert sorted(ids) == ["O0", "O1", "O2", "O3"]


def test_formula_like_cells_are_harmless_in_the_list_and_whole_after_mending(
    workplace: Workplace,
) -> None:
    formula = "=cmd|' /C calc'!A0"
    row = order_row(order_id=formula, customer_id="@SUM(1)", gender="?")
    workplace.score(workplace.file(csv_text([row])))
    listed = workplace.settings.processed / "orders.rejected.csv"
    (cells,) = read_csv(listed)
    assert (cells["order_id"], cells["customer_id"]) == (f"'{formula}", "'@SUM(1)")
    mended = write_csv(workplace.outside / "orders.rejected.csv", [cells | {"gender": "F"}])
    assert workplace.score(mended).predictions == 1
    assert workplace.rows("SELECT order_id, customer_id FROM orders") == [
        {"order_id": formula, "customer_id": "@SUM(1)"}
    ]


def test_nul_bytes_and_overlong_ids_are_rejected_and_still_recorded(workplace: Workplace) -> None:
    nul = csv_text([order_row(order_id="O\0ne"), order_row(order_id="9" * 10_000)])
    workplace.score(workplace.file(nul))
    first, second = workplace.rows("SELECT * FROM rejected_records ORDER BY row_number")
    assert first["raw"]["order_id"] == "O\ufffdne"
    assert second["raw"]["order_id"] == "9" * 10_000
    assert [error["field"] for error in first["errors"] + second["errors"]] == ["order_id"] * 2
    assert "64 characters" in second["errors"][0]["rule"]


def test_a_nul_byte_in_a_description_costs_the_description_and_not_the_order(
    workplace: Workplace,
) -> None:
    assert workplace.score(workplace.orders({"customer_id": "C\0"})).predictions == 1
    assert workplace.value("SELECT customer_id FROM orders") is None
    assert workplace.value("SELECT extra ->> 'customer_id' FROM predictions") == "C\ufffd"


@pytest.mark.parametrize(
    "name",
    ["Ærøskøbing-注文-🚚", "O'Brien; DROP TABLE orders--", '"quoted", \\backslash', "=1+1", "\\N"],
)
def test_strange_names_pass_through_every_table_unharmed(name: str, workplace: Workplace) -> None:
    workplace.score(workplace.orders({"order_id": name, "customer_id": name} | OPEN | LATE))
    for table in ("predictions", "orders", "deviations"):
        assert {row["order_id"] for row in workplace.rows(f"SELECT order_id FROM {table}")} == {
            name
        }
    assert workplace.value("SELECT customer_id FROM orders") == name
    assert workplace.value("SELECT context -> 'order' ->> 'customer_id' FROM deviations") == name
    (event, *_) = workplace.rows("SELECT key, payload FROM outbox")
    assert (event["key"], event["payload"]["context"]["order"]["order_id"]) == (name, name)


def test_the_cells_of_a_rejected_row_keep_the_order_of_the_file(workplace: Workplace) -> None:
    row = {"zebra": "1"} | order_row(gender="?") | {"apple": "2"}
    workplace.score(workplace.file(csv_text([row])))
    raw = workplace.value("SELECT raw::text FROM rejected_records")
    assert list(json.loads(raw).items()) == list(row.items())
