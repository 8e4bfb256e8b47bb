"""Runs that meet: at one range, at one partition, or at the same orders."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from fulfillment_assets.scoring import stream as stream_module
from fulfillment_assets.scoring.stream import StreamResult
from fulfillment_assets.scoring.stream_writer import write_messages
from tests.scoring.streams import Stream, order_event, order_events
from tests.scoring.workplace import Workplace, wait_for

SECONDS = 4.0


def test_a_range_that_is_launched_twice_at_once_is_committed_once(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream.send(*order_events(500))
    both_have_read = threading.Barrier(2, timeout=30)
    commit = stream_module._commit

    def commit_together(*arguments: object) -> None:
        both_have_read.wait()
        commit(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(stream_module, "_commit", commit_together)
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda name: stream.score(0, 500, run_id=name), ("one", "two")))
    assert sorted(result.messages for result in results) == [0, 500]
    assert sorted(result.already_committed for result in results) == [False, True]
    assert stream.workplace.value("SELECT count(*) FROM stream_batches") == 1
    stream.assert_balanced()


def test_ranges_that_overlap_are_committed_once(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream.send(*order_events(300))
    both_have_read = threading.Barrier(2, timeout=30)
    commit = stream_module._commit

    def commit_together(*arguments: object) -> None:
        both_have_read.wait()
        commit(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(stream_module, "_commit", commit_together)
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda end: stream.score(0, end), (200, 300)))
    assert sum(result.messages for result in results) == 300
    stream.assert_balanced()


def test_a_second_run_waits_for_the_first_and_finds_it_done(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream.send(*order_events(50))
    write = write_messages
    first_is_writing, may_go_on = threading.Event(), threading.Event()

    def write_slowly(*arguments: object) -> object:
        first_is_writing.set()
        may_go_on.wait(30)
        return write(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(stream_module, "write_messages", write_slowly)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(stream.score, 0, 50, run_id="first")
        assert first_is_writing.wait(30)
        second = pool.submit(stream.score, 0, 50, run_id="second")
        wait_for(lambda: is_waiting_for_the_partition(stream.workplace))
        may_go_on.set()
        assert (first.result().messages, second.result().messages) == (50, 0)
    stream.assert_balanced()


def is_waiting_for_the_partition(workplace: Workplace) -> bool:
    return bool(
        workplace.value(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
            "AND wait_event_type = 'Lock' AND query LIKE '%stream_offsets%'"
        )
    )


def test_partitions_and_files_with_the_same_orders_never_deadlock(stream: Stream) -> None:
    chance = random.Random(7)
    for partition in range(3):
        stream.send(
            *(
                order_event(
                    f"O{chance.randrange(300)}",
                    warehouse_block=chance.choice("ABCDF"),
                    discount_offered=chance.choice((5, 60)),
                    order_status=chance.choice(("processing", "shipped", "delivered")),
                    gender=chance.choice("FFFFFFFFF?"),
                )
                for _ in range(3_000)
            ),
            partition=partition,
        )
    deadline = time.monotonic() + SECONDS

    def score_ranges(partition: int) -> int:
        start = 0
        while start < 3_000 and time.monotonic() < deadline:
            start += stream.score(start, start + 150, partition).messages
        return start

    def score_files(number: int) -> int:
        files = 0
        while time.monotonic() < deadline:
            ids = chance.sample(range(300), 200)
            changes = [{"order_id": f"O{n}", "prior_purchases": str(files)} for n in ids]
            path = stream.workplace.orders(*changes, name=f"{number}-{files}.csv")
            assert stream.workplace.score(path).job.status == "completed"
            files += 1
        return files

    with ThreadPoolExecutor(5) as pool:
        ranges = [pool.submit(score_ranges, partition) for partition in range(3)]
        files = [pool.submit(score_files, number) for number in range(2)]
        assert min(done.result() for done in (*ranges, *files)) > 1
    for partition in range(3):
        stream.score(0, 3_000, partition)
    stream.assert_balanced()
    assert stream.workplace.counts()["orders"] == 300


def test_the_state_of_an_order_follows_its_offsets_whoever_commits_them(stream: Stream) -> None:
    stream.send(*(order_event(f"O{n % 7}", prior_purchases=n) for n in range(400)))
    found: list[StreamResult] = []

    def score(_: int) -> None:
        for start in range(0, 400, 40):
            wait_for(lambda start=start: stream_stands_at(stream, start))  # type: ignore[misc]
            found.append(stream.score(start, start + 40))

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(score, range(3)))
    assert sum(result.messages for result in found) == 400
    rows = stream.workplace.rows("SELECT order_id, prior_purchases FROM orders")
    assert {row["order_id"]: row["prior_purchases"] for row in rows} == {
        f"O{n % 7}": n for n in range(393, 400)
    }
    stream.assert_balanced()


def stream_stands_at(stream: Stream, offset: int) -> bool:
    """Whether a partition has come so far."""
    stands = stream.workplace.value("SELECT coalesce(max(next_offset), 0) FROM stream_offsets")
    return int(stands) >= offset
