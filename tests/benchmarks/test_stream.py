"""What the stream's benchmark counts, on a real broker and database."""

from __future__ import annotations

import datetime as dt
import threading
import time

import pytest

from benchmarks import stream
from benchmarks.private_platform import PrivatePlatform
from benchmarks.stream import drain, latencies, ledger_of
from fulfillment_assets.events.client import admin
from fulfillment_assets.events.producing import Pace, send
from fulfillment_assets.events.ranges import StreamRange
from fulfillment_assets.events.simulated import Mark, Traffic, simulated_messages
from fulfillment_assets.events.topic_log import look_at
from fulfillment_assets.local.supervisor import Supervisor
from fulfillment_assets.scoring.stream import score_range
from fulfillment_assets.settings import Settings
from tests.events.simulated import PLAN
from tests.scoring.workplace import Workplace

LONG_AGO = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)


class Bench:
    """A topic with 300 messages, and the database that they are committed to."""

    def __init__(self, workplace: Workplace, settings: Settings) -> None:
        self.workplace = workplace
        self.up = PrivatePlatform(settings, Supervisor([], settings.data_dir), workplace.engine)
        messages = simulated_messages(PLAN, Traffic(fault_share=0.1), count=300, rate=None)
        self.sent = send(settings, messages, Pace(), stop=threading.Event())
        with admin(settings) as client:
            self.ends = look_at(client, settings.events_topic).ends

    def commit(self, partition: int) -> None:
        """Commit all of a partition."""
        topic = self.up.settings.events_topic
        wanted = StreamRange(topic, partition, 0, self.ends[partition])
        place = self.workplace
        score_range(place.engine, self.up.settings, place.scorer, wanted, run_id="run-1")


@pytest.fixture
def bench(workplace: Workplace, kafka_settings: Settings) -> Bench:
    return Bench(workplace, kafka_settings)


def test_what_is_not_committed_counts_as_lost(bench: Bench) -> None:
    bench.commit(0)
    ledger = ledger_of(bench.up)
    assert (ledger.produced, ledger.committed) == (300, bench.ends[0])
    assert (ledger.lost, ledger.duplicated) == (300 - bench.ends[0], 0)
    assert bench.up.lag() == ledger.lost


def test_once_all_is_committed_nothing_is_lost_or_doubled(bench: Bench) -> None:
    for partition in bench.ends:
        bench.commit(partition)
    ledger = ledger_of(bench.up)
    assert (ledger.committed, ledger.lost, ledger.duplicated) == (300, 0, 0)
    assert ledger.dead_lettered == bench.sent.marks[Mark.FAULTY]
    assert bench.up.lag() == 0


def test_a_message_with_two_predictions_is_doubled(bench: Bench) -> None:
    for partition in bench.ends:
        bench.commit(partition)
    columns = bench.workplace.value(
        "SELECT string_agg(quote_ident(attname), ', ') FROM pg_attribute "
        "WHERE attrelid = 'predictions'::regclass AND attnum > 0 "
        "AND attname NOT IN ('id', 'created_at')"
    )
    bench.workplace.execute(
        f"INSERT INTO predictions (id, created_at, {columns}) "
        f"SELECT uuidv7(), created_at + interval '1 microsecond', {columns} "
        "FROM predictions LIMIT 3"
    )
    ledger = ledger_of(bench.up)
    assert (ledger.committed, ledger.lost, ledger.duplicated) == (300, 0, 3)


def test_latency_is_from_the_messages_timestamp_to_the_commit_of_its_range(bench: Bench) -> None:
    for partition in bench.ends:
        bench.commit(partition)
    bench.workplace.execute("UPDATE predictions SET produced_at = '2026-11-20 12:00:00Z'")
    bench.workplace.execute("UPDATE rejected_records SET message_time = '2026-11-20 12:00:00Z'")
    for partition, seconds in enumerate((1, 2, 4)):
        bench.workplace.execute(
            "UPDATE stream_batches SET committed_at = '2026-11-20 12:00:00Z'::timestamptz "
            "+ :seconds * interval '1 second' WHERE partition = :partition",
            seconds=seconds,
            partition=partition,
        )
    assert latencies(bench.up, LONG_AGO) == [2.0, 4.0, 4.0, 4.0]
    assert bench.ends[0] / 300 < 0.5 < (bench.ends[0] + bench.ends[1]) / 300


def test_waiting_ends_once_all_is_committed(bench: Bench) -> None:
    remaining = list(bench.ends)

    def tend() -> None:
        if remaining:
            bench.commit(remaining.pop())

    assert drain(bench.up, tend=tend) == 300
    assert bench.up.lag() == 0


def test_waiting_ends_when_nothing_moves(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "STALLED_SECONDS", 0.3)
    begun = time.monotonic()
    assert drain(bench.up, tend=lambda: time.sleep(0.05)) == 300
    assert time.monotonic() - begun < 10


def test_without_a_broker_nobody_tells_the_lag(
    workplace: Workplace, dead_settings: Settings
) -> None:
    supervisor = Supervisor([], workplace.settings.data_dir)
    assert PrivatePlatform(dead_settings, supervisor, workplace.engine).lag() is None


@pytest.fixture
def dead_settings() -> Settings:
    return Settings(kafka_bootstrap_servers="127.0.0.1:1")
