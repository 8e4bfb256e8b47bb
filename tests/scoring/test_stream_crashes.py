"""Whatever dies, and whenever: no message is lost, and none is committed twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError

from fulfillment_assets.events import offsets, reader
from fulfillment_assets.events.client import KafkaUnavailableError
from fulfillment_assets.events.topics import ensure_topics
from fulfillment_assets.scoring import dead_letters
from fulfillment_assets.scoring import stream as stream_module
from fulfillment_assets.settings import PROJECT_ROOT
from fulfillment_assets.store.connection import DatabaseUnavailableError
from tests.events.broker import KafkaBroker
from tests.events.wire import Sent
from tests.scoring.streams import Stream, order_event, order_events
from tests.scoring.workplace import NOTHING, Workplace, wait_for

COUNT = 2_000

SCORE_AND_DIE = """
import os, signal, sys
from fulfillment_assets.delay_model.scorer import DelayScorer
from fulfillment_assets.events import offsets, ranges
from fulfillment_assets.scoring import dead_letters, stream, stream_writer, staging
from fulfillment_assets.settings import Settings
from fulfillment_assets.store import copy
from fulfillment_assets.store.connection import create_engine

where, url, servers, topic, end = sys.argv[1:]
settings = Settings(
    kafka_bootstrap_servers=servers, events_topic=topic, dlq_topic=f"{topic}-dlq"
)

def dying_in(module, name, after=False):
    function = getattr(module, name)
    def wrapped(*arguments, **options):
        if not after:
            os.kill(os.getpid(), signal.SIGKILL)
        found = function(*arguments, **options)
        os.kill(os.getpid(), signal.SIGKILL)
        return found
    setattr(module, name, wrapped)

match where:
    case "after reading": dying_in(stream, "_commit")
    case "with the partition locked": dying_in(stream, "write_messages")
    case "between two chunks":
        stream_writer.CHUNK_MESSAGES = 500
        dying_in(stream_writer.progress, "report")
    case "before the orders": dying_in(stream_writer, "apply_staged")
    case "before the offset": dying_in(stream.offsets, "advance")
    case "before the commit": dying_in(stream.offsets, "advance", after=True)
    case "after the commit": dying_in(stream, "_commit", after=True)

stream.score_range(
    create_engine(url), settings, DelayScorer.load(settings.models_dir),
    ranges.StreamRange(topic, 0, 0, int(end)), run_id="killed",
)
raise SystemExit("it did not die")
"""


def score_and_die(stream: Stream, where: str, count: int) -> None:
    """Score a range in a process that is killed somewhere."""
    done = subprocess.run(
        [
            *(sys.executable, "-c", SCORE_AND_DIE, where),
            stream.engine.url.render_as_string(hide_password=False),
            *(str(stream.settings.kafka_bootstrap_servers), stream.topic, str(count)),
        ],
        env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


def mixed(count: int) -> list[Sent]:
    """Events of which every tenth is broken."""
    return [order_event(f"O{n}", gender="?" if n % 10 == 3 else "F") for n in range(count)]


@pytest.mark.parametrize(
    "where",
    [
        "after reading",
        "with the partition locked",
        "between two chunks",
        "before the orders",
        "before the offset",
        "before the commit",
    ],
)
def test_a_run_that_is_killed_leaves_nothing_and_the_next_attempt_does_it_all(
    stream: Stream, where: str
) -> None:
    stream.send(*mixed(COUNT))
    score_and_die(stream, where, COUNT)
    assert stream.workplace.counts() == NOTHING
    result = stream.score(0, COUNT, run_id="retry", attempt=2)
    assert (result.predicted, result.dead_lettered) == (COUNT * 9 // 10, COUNT // 10)
    stream.assert_balanced()


def test_a_run_that_is_killed_after_its_commit_has_done_it_all(stream: Stream) -> None:
    stream.send(*mixed(100))
    score_and_die(stream, "after the commit", 100)
    assert stream.position().next_offset == 100
    assert stream.score(0, 100, attempt=2).already_committed
    assert stream.workplace.value("SELECT DISTINCT run_id FROM stream_batches") == "killed"


def test_a_run_that_is_killed_in_the_midst_of_a_copy_leaves_nothing(stream: Stream) -> None:
    stream.send(*mixed(COUNT))
    cut = threading.Event()

    def cut_a_copy() -> None:
        wait_for(
            lambda: bool(
                stream.workplace.value(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND state = 'active' "
                    "AND query LIKE 'COPY predictions%'"
                )
            )
        )
        cut.set()

    thread = threading.Thread(target=cut_a_copy)
    thread.start()
    with pytest.raises(DatabaseUnavailableError, match="connection to PostgreSQL was lost"):
        stream.score(0, COUNT)
    thread.join()
    assert cut.is_set()
    assert stream.workplace.counts() == NOTHING
    stream.score(0, COUNT, attempt=2)
    stream.assert_balanced()


@pytest.mark.parametrize("place", ["lock", "advance"])
def test_a_database_that_fails_leaves_nothing(
    stream: Stream, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    stream.send(*mixed(100))
    function = getattr(offsets, place)

    def cut_and_go_on(connection: object, *arguments: object, **options: object) -> object:
        stream.workplace.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return function(connection, *arguments, **options)

    with monkeypatch.context() as patch, pytest.raises(DBAPIError):
        patch.setattr(offsets, place, cut_and_go_on)
        stream.score(0, 100)
    assert stream.workplace.counts() == NOTHING
    stream.score(0, 100, attempt=2)
    stream.assert_balanced()


def test_an_error_of_our_own_leaves_nothing(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream.send(*mixed(100))

    def fail(*_arguments: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
        patch.setattr(dead_letters, "store", fail)
        stream.score(0, 100)
    assert stream.workplace.counts() == NOTHING
    stream.score(0, 100)
    stream.assert_balanced()


def test_a_run_that_is_killed_between_two_stretches_goes_on_where_it_was(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "STRETCH_BYTES", 50_000)
    stream.send(*(order_event(f"O{n}", note="x" * 2_000) for n in range(100)))
    commit = stream_module._commit
    commits = 0

    def die_at_the_third(*arguments: object) -> None:
        nonlocal commits
        commits += 1
        if commits == 3:
            raise SystemExit
        commit(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(stream_module, "_commit", die_at_the_third)
        stream.score(0, 100)
    done = stream.position().next_offset
    assert 0 < done < 100
    result = stream.score(0, 100, attempt=2)
    assert result.messages == 100 - done
    stream.assert_balanced()


@pytest.fixture
def own_broker(workplace: Workplace, kafka_broker: KafkaBroker) -> Stream:
    """A stream on a broker of its own."""
    settings = workplace.settings.model_copy(
        update={"kafka_bootstrap_servers": kafka_broker.address}
    )
    ensure_topics(settings)
    return Stream(Workplace(workplace.engine, settings, workplace.scorer, Path()))


def test_a_broker_that_is_killed_while_it_is_read_costs_nothing_but_time(
    own_broker: Stream, kafka_broker: KafkaBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "SILENCE_SECONDS", 3)
    own_broker.send(*order_events(100))
    step = reader._Reading._step
    killed = False

    def kill_first(reading: reader._Reading) -> None:
        nonlocal killed
        if not killed:
            killed = True
            kafka_broker.kill()
        step(reading)

    monkeypatch.setattr(reader._Reading, "_step", kill_first)
    with pytest.raises(KafkaUnavailableError):
        own_broker.score(0, 100)
    assert own_broker.workplace.counts() == NOTHING
    kafka_broker.start()
    own_broker.score(0, 100, attempt=2)
    own_broker.assert_balanced()


def test_a_silent_broker_holds_no_transaction_open(
    own_broker: Stream, kafka_broker: KafkaBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "SILENCE_SECONDS", 3)
    own_broker.send(*order_events(10))
    kafka_broker.freeze()
    failed = threading.Event()

    def score() -> None:
        with pytest.raises(KafkaUnavailableError):
            own_broker.score(0, 10)
        failed.set()

    thread = threading.Thread(target=score)
    thread.start()
    open_for = 0
    while not failed.wait(0.05):
        open_for = max(
            open_for,
            own_broker.workplace.value(
                "SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0) "
                "FROM pg_stat_activity WHERE datname = current_database() "
                "AND pid <> pg_backend_pid()"
            ),
        )
    thread.join()
    assert open_for < 1
    kafka_broker.thaw()
    own_broker.score(0, 10, attempt=2)
    own_broker.assert_balanced()
