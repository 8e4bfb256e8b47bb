"""`fulfillment simulate`: the same seed, the same bytes; mistakes are named."""

from __future__ import annotations

import csv
import gzip
import time
from pathlib import Path

import pytest

from tests.cli.commands import Fulfillment

FIXED = ("--start", "2026-03-01", "--days", 7)


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(
    fulfillment: Fulfillment, tmp_path: Path
) -> None:
    contents = []
    for number, seed in enumerate((7, 7, 8)):
        out = tmp_path / f"{number}.csv"
        outcome = fulfillment("simulate", "--count", 200, "--seed", seed, "--out", out, *FIXED)
        assert outcome.status == 0, outcome.err
        contents.append((out.read_bytes(), (tmp_path / f"{number}.truth.csv").read_bytes()))
    assert contents[0] == contents[1] != contents[2]


def test_it_says_what_it_wrote_and_where(fulfillment: Fulfillment, tmp_path: Path) -> None:
    out = tmp_path / "orders.csv"
    outcome = fulfillment(
        "simulate", "--count", 1000, "--seed", 1, "--out", out, "--fault-share", 0.1, *FIXED
    )
    with (tmp_path / "orders.truth.csv").open(newline="") as file:
        faulty = sum(row["fault"] != "" for row in csv.DictReader(file))
    assert "1,000 orders from 2026-03-01 on" in outcome.out
    assert f"{faulty} faulty" in outcome.out
    assert f"in {out}, their true outcomes in {tmp_path / 'orders.truth.csv'}" in outcome.out
    assert "is_late" not in out.read_text(errors="replace")


def test_the_share_of_late_orders_can_be_chosen(fulfillment: Fulfillment, tmp_path: Path) -> None:
    out = tmp_path / "orders.csv"
    arguments = ("simulate", "--count", 4000, "--seed", 1, "--out", out, *FIXED)
    assert "(79.6% late" in fulfillment(*arguments, "--late-share", 0.8).out


def test_a_name_in_gz_is_compressed(fulfillment: Fulfillment, tmp_path: Path) -> None:
    out = tmp_path / "orders.csv.gz"
    fulfillment("simulate", "--count", 5, "--seed", 1, "--out", out, *FIXED)
    assert gzip.decompress(out.read_bytes()).count(b"\n") == 6
    assert (tmp_path / "orders.truth.csv.gz").exists()


def test_a_rate_paces_the_writing(fulfillment: Fulfillment, tmp_path: Path) -> None:
    started = time.monotonic()
    arguments = ("simulate", "--count", 100, "--seed", 1, "--out", tmp_path / "orders.csv")
    assert fulfillment(*arguments, "--rate", 200).status == 0
    assert time.monotonic() - started >= 0.5


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        ({"--count": "0"}, 2, "'--count': Input should be greater than or equal to 1"),
        ({"--count": "many"}, 2, "'--count': Input should be a valid integer"),
        ({"--seed": "-1"}, 2, "'--seed': Input should be greater than or equal to 0"),
        ({"--days": "0"}, 2, "'--days': Input should be greater than or equal to 1"),
        ({"--fault-share": "1.5"}, 2, "'--fault-share': Input should be less than or equal to 1"),
        ({"--rate": "0"}, 2, "'--rate': Input should be greater than or equal to 0.001"),
        ({"--rate": "nan"}, 2, "'--rate': Input should be greater than or equal to 0.001"),
        ({"--start": "01.03.2026"}, 2, "'01.03.2026' does not match the formats '%Y-%m-%d'"),
        ({"--to": "paper"}, 2, "'paper' is not one of 'csv'"),
        ({"--late-share": "2"}, 1, "error: late_share must be"),
        ({"--count": "1000000000"}, 1, "error: count must be between 1 and 999999999"),
        ({"--days": "4000"}, 1, "error: days must be between 1 and 3650, not 4000"),
        ({"--start": "1950-01-01"}, 1, "error: start must be from 1970-01-01"),
    ],
    ids=lambda value: "=".join(*value.items()) if isinstance(value, dict) else "",
)
def test_a_mistake_in_an_option_is_named_and_nothing_is_written(
    options: dict[str, str], status: int, words: str, fulfillment: Fulfillment, tmp_path: Path
) -> None:
    given = {"--count": "10", "--seed": "1", "--out": str(tmp_path / "orders.csv")} | options
    outcome = fulfillment("simulate", *(part for option in given.items() for part in option))
    assert outcome.status == status
    assert words in " ".join(outcome.err.replace("│", "").split())
    assert "Traceback" not in outcome.err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_no_file_to_write_to(fulfillment: Fulfillment, tmp_path: Path) -> None:
    outcome = fulfillment("simulate", "--count", 1, "--seed", 1, "--out", tmp_path)
    assert outcome.status == 1
    assert f"error: {tmp_path} is a folder; name a file to write to" in outcome.err
