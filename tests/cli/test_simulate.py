"""`fulfillment simulate`: the same seed, the same bytes or messages; mistakes are named."""

from __future__ import annotations

import csv
import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fulfillment_assets.events.client import admin
from fulfillment_assets.events.messages import Message
from fulfillment_assets.events.ranges import StreamRange
from fulfillment_assets.events.reader import read_range
from fulfillment_assets.events.topic_log import look_at
from fulfillment_assets.settings import PROJECT_ROOT, Settings
from tests.cli.commands import MAIN, Fulfillment, bare_environment

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
        ({"--to": "paper"}, 2, "'paper' is not one of 'csv', 'kafka'"),
        ({"--duration": "5"}, 2, "Invalid value for --duration: it goes with --to kafka only"),
        ({"--burst": "5@1"}, 2, "Invalid value for --burst: it goes with --to kafka only"),
        ({"--duplicate-share": "0.1"}, 2, "--duplicate-share: it goes with --to kafka only"),
        ({"--out-of-order-share": "0.1"}, 2, "--out-of-order-share: it goes with --to kafka only"),
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


@pytest.mark.parametrize("needed", ["--count", "--seed"])
def test_a_file_needs_a_count_and_a_seed(
    needed: str, fulfillment: Fulfillment, tmp_path: Path
) -> None:
    given = {"--count": 5, "--seed": 1, "--out": tmp_path / "orders.csv"}
    del given[needed]
    outcome = fulfillment("simulate", *(part for option in given.items() for part in option))
    assert outcome.status == 2
    words = " ".join(outcome.err.replace("│", "").split())
    assert f"Invalid value for {needed}: it is needed with --to csv" in words
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_told_of_in_json(fulfillment: Fulfillment, tmp_path: Path) -> None:
    out = tmp_path / "orders.csv"
    arguments = ("--count", 100, "--seed", 1, "--out", out, "--fault-share", 0.5, *FIXED)
    told = json.loads(fulfillment("simulate", *arguments, "--json").out)
    assert told.pop("seconds") > 0
    assert told.pop("faulty") == pytest.approx(50, abs=20)
    assert told.pop("late_share") == pytest.approx(0.6, abs=0.2)
    assert told == {"orders": 100, "out": str(out), "truth": str(tmp_path / "orders.truth.csv")}


@pytest.fixture
def topic(kafka_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Lets commands send to the session's broker, to topics of the test."""
    for name, value in on_topic(kafka_settings).items():
        monkeypatch.setenv(name, value)
    return kafka_settings


def on_topic(settings: Settings) -> dict[str, str]:
    return {
        "KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers or "",
        "FULFILLMENT_EVENTS_TOPIC": settings.events_topic,
        "FULFILLMENT_DEVIATIONS_TOPIC": settings.deviations_topic,
        "FULFILLMENT_DLQ_TOPIC": settings.dlq_topic,
    }


def received(settings: Settings) -> list[Message]:
    with admin(settings) as client:
        ends = look_at(client, settings.events_topic).ends
    return [
        message
        for partition, end in ends.items()
        for stretch in read_range(settings, StreamRange(settings.events_topic, partition, 0, end))
        for message in stretch.messages
    ]


def test_events_go_to_kafka_and_json_tells_how_many(
    topic: Settings, fulfillment: Fulfillment, tmp_path: Path
) -> None:
    shares = ("--fault-share", 0.1, "--duplicate-share", 0.1, "--out-of-order-share", 0.1)
    truth = tmp_path / "truth.csv.gz"
    arguments = ("simulate", "--to", "kafka", "--count", 2000, "--seed", 3, *FIXED, *shares)
    outcome = fulfillment(*arguments, "--out", truth, "--json")
    assert outcome.status == 0, outcome.err
    told = json.loads(outcome.out)
    assert set(told) == {
        "topic",
        "produced",
        "orders",
        "faulty",
        "duplicates",
        "out_of_order",
        "seconds",
        "rate",
        "seed",
        "truth",
    }
    assert told["topic"] == topic.events_topic
    assert told["produced"] == len(received(topic)) == 2000
    assert told["faulty"] == pytest.approx(200, abs=60)
    assert told["duplicates"] == pytest.approx(160, abs=40)
    assert told["out_of_order"] == pytest.approx(180, abs=60)
    assert told["rate"] == pytest.approx(2000 / told["seconds"], rel=0.05)
    rows = list(csv.DictReader(gzip.decompress(truth.read_bytes()).decode().splitlines()))
    assert len(rows) == told["orders"]
    assert {row["is_late"] for row in rows} == {"true", "false"}


def test_the_same_seed_gives_the_same_messages(topic: Settings, fulfillment: Fulfillment) -> None:
    arguments = ("simulate", "--to", "kafka", "--count", 300, *FIXED)
    for seed in (("--seed", 5), ("--seed", 5), (), ()):
        assert fulfillment(*arguments, *seed).status == 0
    keys = [message.key for message in received(topic)]
    # Twice the orders of seed 5, and those of two random seeds.
    prefixes = {(key or b"").rsplit(b"-", 1)[0] for key in keys}
    assert len(prefixes) == 3
    assert sum((key or b"").startswith(b"ORD-0005-") for key in keys) == 600


def test_it_says_what_it_sent_and_where(topic: Settings, fulfillment: Fulfillment) -> None:
    outcome = fulfillment("simulate", "--to", "kafka", "--rate", 400, "--duration", 0.5)
    assert outcome.status == 0, outcome.err
    assert outcome.out.startswith("200 events of ")
    where = f"sent to {topic.events_topic} at {topic.kafka_bootstrap_servers} in 0.5 s"
    assert where in outcome.out
    assert "0 faulty, 0 sent twice, 0 out of order" in outcome.out


def test_bursts_come_on_top_of_the_rate(topic: Settings, fulfillment: Fulfillment) -> None:
    arguments = ("simulate", "--to", "kafka", "--rate", 50, "--duration", 1, "--burst", "500@0.6")
    assert fulfillment(*arguments).status == 0
    times = sorted(message.timestamp for message in received(topic))
    assert len(times) == 1050
    assert sum(time - times[0] < 300 for time in times) == pytest.approx(515, abs=15)


def test_ctrl_c_ends_it_and_what_was_sent_is_told(kafka_settings: Settings) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", MAIN, "simulate", "--to", "kafka", "--rate", "200", "--json"],
        cwd=PROJECT_ROOT,
        env={**bare_environment(), **on_topic(kafka_settings)},
        stdout=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not received(kafka_settings) and time.monotonic() < deadline:
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert json.loads(out)["produced"] == len(received(kafka_settings)) > 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--burst", "many"), "error: burst must be MESSAGES@SECONDS, such as 5000@30"),
        (("--count", 5, "--late-share", 2), "error: late_share must be"),
    ],
)
def test_a_mistake_in_an_option_for_kafka_is_named(
    options: tuple[str, ...], words: str, fulfillment: Fulfillment
) -> None:
    outcome = fulfillment("simulate", "--to", "kafka", *options)
    assert outcome.status == 1
    assert words in outcome.err


def test_a_broker_that_does_not_answer_is_named(
    monkeypatch: pytest.MonkeyPatch, fulfillment: Fulfillment
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    outcome = fulfillment("simulate", "--to", "kafka", "--count", 5)
    assert outcome.status == 1
    assert "error: No Kafka broker answers (127.0.0.1:1: Connection refused)" in outcome.err
