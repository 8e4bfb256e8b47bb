"""The whole platform, started as its users start it: with one command, in a process of its own."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import re
import signal
from pathlib import Path
from typing import Any

import psutil
import sqlalchemy as sa
from kafka import TopicPartition  # type: ignore[import-untyped]

from fulfillment_assets.events.client import KafkaUnavailableError, consumer, producer
from fulfillment_assets.kpis import rollups
from fulfillment_assets.local.postgres import EmbeddedPostgres
from fulfillment_assets.orders.simulator import SimulationPlan, write_csv
from fulfillment_assets.settings import Settings
from fulfillment_assets.store.connection import create_engine
from tests.events.broker import broker_processes, lend_jars
from tests.platforms import WAIT_SECONDS, Platform, platform, wait_for

__all__ = ["platform"]

IS_UP = "The platform is up"

COPYING = (
    "SELECT client_port FROM pg_stat_activity "
    "WHERE application_name = 'fulfillment' AND query LIKE 'COPY predictions%'"
)


def test_the_demonstration_shows_a_result_ends_well_and_leaves_nothing_behind(
    platform: Platform,
) -> None:
    platform.start("demo")
    assert len(platform.left_behind()) > 5
    status = platform.end()
    shown = "".join(platform.output)
    assert status == 0, shown
    for words in (
        "demo-orders-1.csv: 2,000 rows, ",
        " predicted by model lgbm-",
        "Orders by severity",
        "critical",
        "Deviations",
        "fulfillment_gap",
        "Riskiest orders",
        "far above usual",
        "KPIs of the last 30 days",
        "The same by mode of shipment",
        "Rejected rows",
        "order_id is missing",
        "Critical deviations: ",
        "One of them, from its risk to its outcome:",
        "retrieved  ",
        "shipment (policy",
        "outcome    ",
        "Where to look next:",
        "/docs",
    ):
        assert words in shown
    assert "No orders from Kafka: no Java 17: install a JDK 17" in shown
    assert platform.left_behind() == []
    settings = Settings(data_dir=platform.data_dir, inbox_dir=None)
    assert sorted(path.name for path in settings.processed.iterdir()) == [
        "demo-orders-1.csv",
        "demo-orders-1.rejected.csv",
    ]
    assert list(settings.inbox.iterdir()) == []


def test_dropped_files_are_scored_exactly_once_even_if_their_run_is_killed(
    platform: Platform, tmp_path: Path
) -> None:
    platform.start("up")
    settings = Settings(data_dir=platform.data_dir, inbox_dir=None)
    engine = create_engine(EmbeddedPostgres(platform.data_dir).url)

    def value(query: str) -> Any:
        with engine.connect() as connection:
            return connection.scalar(sa.text(query))

    def completed(jobs: int) -> bool:
        done = value("SELECT count(*) FROM batch_jobs WHERE status = 'completed' AND path IS NULL")
        return bool(done == jobs)

    twins = simulated(tmp_path / "twins.csv", rows=1_000, seed=1).read_bytes()
    for name in ("first.csv", "second.csv"):
        (settings.inbox / name).write_bytes(twins)
    wait_for(lambda: completed(1), "the twins are scored")
    wait_for((settings.processed / "duplicates").exists, "one twin is a duplicate")
    assert list(settings.inbox.iterdir()) == []
    assert value("SELECT count(*) FROM batch_jobs") == 1
    assert value("SELECT count(*) FROM predictions") == 1_000

    large = simulated(tmp_path / "large.csv", rows=60_000, seed=2)
    large.replace(settings.inbox / "large.csv")
    client_port = wait_for(lambda: value(COPYING), "the large file is being written")
    for pid in owners_of(client_port):
        os.kill(pid, signal.SIGKILL)
    assert value("SELECT count(*) FROM predictions") == 1_000, "nothing half-written is visible"
    second = platform.launch("up")
    assert "the platform is running already on" in second.communicate(timeout=WAIT_SECONDS)[0]
    assert second.returncode == 1
    wait_for(lambda: completed(2), "the large file is scored by another run")
    assert value("SELECT attempts FROM batch_jobs WHERE filename = 'large.csv'") > 1
    assert value("SELECT accepted_count FROM batch_jobs WHERE filename = 'large.csv'") == 60_000
    assert value("SELECT count(*) FROM predictions") == 61_000
    assert value("SELECT count(*) FROM orders") == 61_000
    assert value("SELECT count(*) FROM dagster.runs WHERE status = 'FAILURE'") == 1
    with engine.connect() as connection:
        assert rollups.differences(connection) == 0
    engine.dispose()

    assert platform.process is not None
    platform.process.send_signal(signal.SIGTERM)
    assert platform.end() == 0, "".join(platform.output)
    assert platform.left_behind() == []


def test_kafka_comes_up_with_it_and_comes_back_after_a_kill(
    platform: Platform, kafka_jars: Path
) -> None:
    lend_jars(kafka_jars, platform.data_dir)
    platform.environment["PATH"] = os.environ["PATH"]
    platform.start("up")
    address = f"127.0.0.1:{platform.environment['FULFILLMENT_KAFKA_PORT']}"
    settings = Settings(kafka_bootstrap_servers=address)

    def producible() -> bool:
        with contextlib.suppress(KafkaUnavailableError), producer(settings) as sender:
            sender.send("fulfillment-events", value=b"{}", partition=0).get(timeout=10)
            return True
        return False

    assert producible(), "the topics are there"
    (killed,) = broker_processes(platform.data_dir)
    killed.kill()
    wait_for(lambda: not killed.is_running(), "the broker is gone")
    wait_for(producible, "another one took its place")
    with consumer(settings) as reader:
        place = TopicPartition("fulfillment-events", 0)
        assert reader.end_offsets([place]) == {place: 2}

    assert platform.process is not None
    platform.process.send_signal(signal.SIGTERM)
    assert platform.end() == 0
    shown = "".join(platform.output)
    assert re.search(rf"kafka +│ healthy +│ {address}", shown), shown
    assert platform.left_behind() == []


def simulated(path: Path, *, rows: int, seed: int) -> Path:
    """A file of orders; its truth stays beside it, outside the inbox."""
    return write_csv(SimulationPlan(rows, seed, dt.date(2026, 3, 1)), path).out_path


def owners_of(port: int) -> set[int]:
    """The processes that hold this local port of a TCP connection to the database."""
    return {
        connection.pid
        for connection in psutil.net_connections("tcp4")
        if getattr(connection.laddr, "port", None) == port and connection.pid is not None
    }
