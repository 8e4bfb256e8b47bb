from __future__ import annotations

import csv
import datetime
import gzip
import hashlib
import itertools
import subprocess
import sys
from pathlib import Path

import pytest

from fulfillment_assets.orders.contract import FIELDS
from fulfillment_assets.orders.simulator import SimulationPlan, files, simulate, write_csv

PLAN = SimulationPlan(500, 5, datetime.date(2026, 3, 1))
FAULTY = SimulationPlan(70_000, 5, datetime.date(2026, 3, 1), fault_share=0.02)

WRITE = """
import datetime, pathlib, sys
from fulfillment_assets.orders.simulator import SimulationPlan, write_csv
plan = SimulationPlan(70_000, 5, datetime.date(2026, 3, 1), fault_share=0.02)
write_csv(plan, pathlib.Path(sys.argv[1]))
"""


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def cell(value: object) -> str:
    if isinstance(value, datetime.datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    return "" if value is None else str(value)


def test_the_file_has_every_contract_field_and_the_simulated_rows(tmp_path: Path) -> None:
    write_csv(PLAN, tmp_path / "orders.csv")
    written = rows_of(tmp_path / "orders.csv")
    assert list(written[0]) == [field.name for field in FIELDS]
    (chunk,) = simulate(PLAN)
    assert len(written) == 500
    for row, order in zip(written, chunk.orders.to_pylist(), strict=True):
        assert row == {name: cell(value) for name, value in order.items()}


def test_the_truth_stands_in_a_file_of_its_own_row_for_row(tmp_path: Path) -> None:
    report = write_csv(PLAN, tmp_path / "orders.csv")
    assert report.truth_path == tmp_path / "orders.truth.csv"
    orders, truth = rows_of(report.out_path), rows_of(report.truth_path)
    assert [row["order_id"] for row in orders] == [row["order_id"] for row in truth]
    assert {row["is_late"] for row in truth} == {"true", "false"}
    for order, outcome in zip(orders, truth, strict=True):
        assert order["delivery_date"] in ("", outcome["delivery_date"])
        late = outcome["delivery_date"] > order["promised_delivery_date"]
        assert outcome["is_late"] == str(late).lower()


def test_the_report_counts_what_was_written(tmp_path: Path) -> None:
    report = write_csv(FAULTY, tmp_path / "orders.csv")
    truth = rows_of(report.truth_path)
    assert report.rows == len(truth) == 70_000
    assert report.faulty_rows == sum(row["fault"] != "" for row in truth)
    assert report.late_share == sum(row["is_late"] == "true" for row in truth) / 70_000
    assert report.seconds > 0


@pytest.mark.parametrize("name", ["orders.csv", "orders.csv.gz"])
def test_another_process_writes_the_same_bytes(tmp_path: Path, name: str) -> None:
    here, there = tmp_path / "here" / name, tmp_path / "there" / name
    report = write_csv(FAULTY, here)
    subprocess.run([sys.executable, "-c", WRITE, str(there)], check=True)
    assert digest(there) == digest(here)
    assert digest(there.with_name(report.truth_path.name)) == digest(report.truth_path)


def test_a_gz_name_gives_the_same_text_gzipped(tmp_path: Path) -> None:
    plain = write_csv(PLAN, tmp_path / "plain.csv")
    zipped = write_csv(PLAN, tmp_path / "zipped.csv.gz")
    assert zipped.truth_path == tmp_path / "zipped.truth.csv.gz"
    assert gzip.decompress(zipped.out_path.read_bytes()) == plain.out_path.read_bytes()
    assert gzip.decompress(zipped.truth_path.read_bytes()) == plain.truth_path.read_bytes()


def test_a_failure_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    out = tmp_path / "orders.csv"
    out.write_text("old")

    def interrupt(rows: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_csv(PLAN, out, progress=interrupt)
    assert out.read_text() == "old"
    assert list(tmp_path.iterdir()) == [out]


def test_a_file_appears_only_when_it_is_complete(tmp_path: Path) -> None:
    out = tmp_path / "orders.csv"
    seen: list[tuple[int, bool]] = []
    write_csv(FAULTY, out, progress=lambda rows: seen.append((rows, out.exists())))
    assert seen == [(65_536, False), (70_000, False)]
    assert {path.name for path in tmp_path.iterdir()} == {"orders.csv", "orders.truth.csv"}


def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError, match="name a file to write to"):
        write_csv(PLAN, tmp_path)


class Clock:
    """Time that passes only while sleeping."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.mark.parametrize("rate", [0.5, 40, 1_000, 1e9])
def test_a_rate_is_kept_while_the_file_grows_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rate: float
) -> None:
    clock = Clock()
    monkeypatch.setattr(files, "time", clock)
    out = tmp_path / "orders.csv"
    elapsed: list[tuple[int, float]] = []

    def watch(rows: int) -> None:
        assert out.read_bytes().count(b"\n") == 1 + rows
        elapsed.append((rows, clock.now - 100))

    report = write_csv(PLAN, out, rate=rate, progress=watch)
    assert report.seconds == pytest.approx(500 / rate)
    for (before, _), (_, seconds) in itertools.pairwise(elapsed):
        assert seconds == pytest.approx(before / rate)


def test_a_rate_does_not_change_the_orders(tmp_path: Path) -> None:
    paced = write_csv(PLAN, tmp_path / "paced.csv", rate=100_000)
    whole = write_csv(PLAN, tmp_path / "whole.csv")
    assert digest(paced.out_path) == digest(whole.out_path)
    assert digest(paced.truth_path) == digest(whole.truth_path)


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_a_senseless_rate_is_refused(tmp_path: Path, rate: float) -> None:
    with pytest.raises(ValueError, match="rate must be a number above 0"):
        write_csv(PLAN, tmp_path / "orders.csv", rate=rate)
