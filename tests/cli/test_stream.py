"""`fulfillment stream`: how the stream stands, and repairs, on a real broker and database."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable

import pytest

from fulfillment_assets.events.client import admin
from fulfillment_assets.events.producing import Pace, send
from fulfillment_assets.events.ranges import StreamRange
from fulfillment_assets.events.simulated import Traffic, simulated_messages
from fulfillment_assets.events.topic_log import look_at
from fulfillment_assets.scoring.stream import score_range
from fulfillment_assets.settings import Settings
from tests.cli.commands import Fulfillment
from tests.events.simulated import PLAN
from tests.scoring.workplace import Workplace

Json = dict[str, object]


class Stream:
    """A topic of the test, and the workplace that scores it."""

    def __init__(self, workplace: Workplace, settings: Settings, run: Fulfillment) -> None:
        self.workplace = workplace
        self.settings = settings
        self.topic = settings.events_topic
        self._run = run

    def produce(self, count: int = 300, fault_share: float = 0.0) -> int:
        """Send events; return how many of them are faulty."""
        traffic = Traffic(fault_share=fault_share)
        messages = simulated_messages(PLAN, traffic, count=count, rate=None)
        sent = send(self.settings, messages, Pace(), stop=threading.Event())
        return sum(number for mark, number in sent.marks.items() if mark == "faulty")

    def ends(self) -> dict[int, int]:
        """The offset after the last message of each partition."""
        with admin(self.settings) as client:
            return look_at(client, self.topic).ends

    def commit(self, partition: int, start: int, end: int) -> None:
        """Score a range."""
        score_range(
            self.workplace.engine,
            self.settings,
            self.workplace.scorer,
            StreamRange(self.topic, partition, start, end),
            run_id="run-1",
        )

    def commit_all(self) -> None:
        """Score everything of a topic of which nothing was scored."""
        for partition, end in self.ends().items():
            self.commit(partition, 0, end)

    def told(self, *arguments: str | int) -> Json:
        """What a command says in JSON."""
        outcome = self._run("stream", *arguments, "--json")
        assert outcome.status == 0, outcome.err
        found: Json = json.loads(outcome.out)
        return found

    def refused(self, *arguments: str | int, status: int = 1) -> str:
        """Why a command does not do what it is asked."""
        outcome = self._run("stream", *arguments)
        assert outcome.status == status
        assert "Traceback" not in outcome.err
        return " ".join(outcome.err.replace("│", "").split())

    def predictions(self) -> int:
        """How many predictions there are."""
        return int(self.workplace.value("SELECT count(*) FROM predictions"))


@pytest.fixture
def stream(
    workplace: Workplace,
    on_workplace: dict[str, str],
    kafka_settings: Settings,
    fulfillment: Fulfillment,
    monkeypatch: pytest.MonkeyPatch,
) -> Stream:
    for name, value in {
        "KAFKA_BOOTSTRAP_SERVERS": kafka_settings.kafka_bootstrap_servers or "",
        "FULFILLMENT_EVENTS_TOPIC": kafka_settings.events_topic,
        "FULFILLMENT_DEVIATIONS_TOPIC": kafka_settings.deviations_topic,
        "FULFILLMENT_DLQ_TOPIC": kafka_settings.dlq_topic,
    }.items():
        monkeypatch.setenv(name, value)
    return Stream(workplace, kafka_settings, fulfillment)


def test_what_was_produced_waits_until_it_is_committed(stream: Stream) -> None:
    faulty = stream.produce(300, fault_share=0.1)
    waiting = stream.told("status")
    assert (waiting["lag"], waiting["produced"], waiting["predicted"]) == (300, 300, 0)
    assert waiting["last_commit"] is None
    assert isinstance(waiting["oldest_waiting_seconds"], float)
    assert 0 < waiting["oldest_waiting_seconds"] < 60
    stream.commit_all()
    done = stream.told("status")
    assert done.pop("last_commit") is not None
    partitions = done.pop("partitions")
    assert done == {
        "topic": stream.topic,
        "lag": 0,
        "produced": 300,
        "predicted": 300 - faulty,
        "dead_lettered": faulty,
        "passed_over": 0,
        "missing": 0,
        "gaps": 0,
        "oldest_waiting_seconds": 0.0,
        "recorded_gaps": [],
    }
    assert isinstance(partitions, list)
    assert {p["partition"]: (p["next_offset"], p["lag"]) for p in partitions} == {
        partition: (end, 0) for partition, end in stream.ends().items()
    }


def test_a_person_reads_the_same(stream: Stream, fulfillment: Fulfillment) -> None:
    stream.produce(60)
    assert "nothing committed yet" in fulfillment("stream", "status").out
    stream.commit_all()
    said = fulfillment("stream", "status").out
    assert "60 produced: 60 predicted, 0 dead-lettered, 0 passed over, 0 waiting" in said
    assert "missing" not in said


def test_a_topic_without_messages_stands_at_nothing(stream: Stream) -> None:
    told = stream.told("status")
    assert (told["produced"], told["lag"], told["gaps"]) == (0, 0, 0)


def test_messages_of_which_nothing_is_known_are_told(
    stream: Stream, fulfillment: Fulfillment
) -> None:
    stream.produce(60)
    stream.commit_all()
    stream.workplace.execute(
        "UPDATE stream_offsets SET predicted = predicted - 1, messages = messages - 1 "
        "WHERE partition = 0"
    )
    assert stream.told("status")["missing"] == 1
    assert "1 messages are missing." in fulfillment("stream", "status").out


def test_what_is_skipped_is_a_gap_until_it_is_replayed(
    stream: Stream, fulfillment: Fulfillment
) -> None:
    stream.produce(300)
    assert stream.told("skip", "--partition", 1, "--to", 7) == {
        "topic": stream.topic,
        "partition": 1,
        "from": 0,
        "to": 7,
    }
    end = stream.ends()[1]
    stream.commit(1, 7, end)
    status = stream.told("status")
    assert (status["gaps"], status["passed_over"], status["missing"]) == (1, 7, 0)
    assert status["recorded_gaps"] == [{"partition": 1, "first": 0, "last": 6, "reason": "skipped"}]
    assert f"Gap: {stream.topic}[1] 0-6: skipped" in fulfillment("stream", "status").out
    assert stream.predictions() == end - 7

    replayed = stream.told("replay", "--partition", 1, "--from", 0)
    assert replayed == {"predicted": 7, "dead_lettered": 0, "left_alone": end - 7}
    assert stream.predictions() == end
    status = stream.told("status")
    assert (status["gaps"], status["passed_over"], status["missing"]) == (1, 0, 0)


def test_a_replay_doubles_nothing(stream: Stream, fulfillment: Fulfillment) -> None:
    faulty = stream.produce(300, fault_share=0.1)
    stream.commit_all()
    before = stream.workplace.rows("SELECT * FROM predictions ORDER BY id")
    end = stream.ends()[0]
    assert stream.told("replay", "--partition", 0, "--from", 0, "--to", 5) == {
        "predicted": 0,
        "dead_lettered": 0,
        "left_alone": 5,
    }
    said = fulfillment("stream", "replay", "--partition", 0, "--from", 2)
    assert f"{stream.topic}[0] 2-{end}: 0 predicted now, 0 cannot be scored" in said.out
    assert stream.workplace.rows("SELECT * FROM predictions ORDER BY id") == before
    assert stream.told("status")["dead_lettered"] == faulty


def test_only_what_was_passed_can_be_replayed(stream: Stream) -> None:
    stream.produce(300)
    stream.commit(0, 0, 5)
    refusal = stream.refused("replay", "--partition", 0, "--from", 0, "--to", 6)
    assert "cannot be replayed: the partition stands at offset 5" in refusal
    refusal = stream.refused("replay", "--partition", 0, "--from", 5)
    assert "nothing to replay from offset 5: the range ends at 5" in refusal
    assert stream.predictions() == 5


@pytest.mark.parametrize(
    ("partition", "to", "words"),
    [
        (0, 1_000, "[0] ends at offset {end}; it cannot go on at 1000"),
        (9, 1, "has no partition 9; it has 0 to 2"),
        (0, 3, "[0] stands at offset 3 already; there is nothing to skip up to 3"),
    ],
)
def test_a_skip_to_nowhere_is_refused(partition: int, to: int, words: str, stream: Stream) -> None:
    stream.produce(300)
    stream.commit(0, 0, 3)
    refusal = stream.refused("skip", "--partition", partition, "--to", to)
    assert words.format(end=stream.ends()[0]) in refusal
    assert stream.told("status")["gaps"] == 0


def test_dead_letters_are_listed_with_position_and_reason(
    stream: Stream, fulfillment: Fulfillment
) -> None:
    faulty = stream.produce(300, fault_share=0.1)
    stream.commit_all()
    letters = stream.told("dlq", "list", "--limit", 100)["dead_letters"]
    assert isinstance(letters, list)
    assert len(letters) == faulty
    assert set(letters[0]) == {
        "id",
        "topic",
        "partition",
        "offset",
        "produced_at",
        "rejected_at",
        "reason",
        "key",
        "value",
    }
    assert [letter["id"] for letter in letters] == sorted(letter["id"] for letter in letters)
    assert all(letter["reason"] for letter in letters)
    rest = stream.told("dlq", "list", "--limit", 3, "--after", letters[1]["id"])["dead_letters"]
    assert rest == letters[2:5]
    said = fulfillment("stream", "dlq", "list").out
    assert "rejected at" in said
    assert str(letters[0]["offset"]) in said


def mended(stream: Stream) -> Callable[[int], None]:
    """Makes a dead letter one that would pass today, as a change of the rules does."""
    sound = stream.workplace.value("SELECT order_id FROM predictions ORDER BY id LIMIT 1")
    value = {
        "order_id": sound,
        "warehouse_block": "A",
        "mode_of_shipment": "Ship",
        "customer_care_calls": 3,
        "customer_rating": 4,
        "prior_purchases": 3,
        "gender": "F",
        "product_importance": "low",
        "cost_of_product": 200,
        "discount_offered": 5,
        "weight_in_gms": 4000,
    }

    def mend(letter: int) -> None:
        stream.workplace.execute(
            "UPDATE rejected_records SET message_key = :key, message_value = :value, "
            "message_headers = '[]' WHERE id = :id",
            key=sound.encode(),
            value=json.dumps(value).encode(),
            id=letter,
        )

    return mend


def test_dead_letters_that_pass_today_become_predictions_once(
    stream: Stream, fulfillment: Fulfillment
) -> None:
    faulty = stream.produce(300, fault_share=0.1)
    stream.commit_all()
    letters = stream.told("dlq", "list", "--limit", 100)["dead_letters"]
    assert isinstance(letters, list)
    first, second, third, *_ = (letter["id"] for letter in letters)
    mend = mended(stream)
    mend(first)
    mend(second)
    told = stream.told("dlq", "retry", first, third)
    assert told == {"predicted": 1, "dead_lettered": 1, "left_alone": 0}
    told = stream.told("dlq", "retry", first)
    assert told == {"predicted": 0, "dead_lettered": 0, "left_alone": 1}
    said = fulfillment("stream", "dlq", "retry", "--all").out
    assert f"1 predicted now, {faulty - 2} cannot be scored, 0 left alone" in said
    status = stream.told("status")
    assert (status["predicted"], status["dead_lettered"]) == (300 - faulty + 2, faulty - 2)
    assert (status["missing"], stream.predictions()) == (0, 300 - faulty + 2)


@pytest.mark.parametrize("arguments", [(), (1, "--all")])
def test_a_retry_needs_to_be_told_of_what(
    arguments: tuple[str | int, ...], fulfillment: Fulfillment
) -> None:
    outcome = fulfillment("stream", "dlq", "retry", *arguments)
    assert outcome.status == 2
    words = " ".join(outcome.err.replace("│", "").split())
    assert "name the dead letters, or give --all" in words


def test_without_a_broker_it_says_what_to_do(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    refusal = stream.refused("status")
    assert "error: No Kafka broker answers (127.0.0.1:1: Connection refused)" in refusal
    assert "Start it, or check KAFKA_BOOTSTRAP_SERVERS" in refusal
