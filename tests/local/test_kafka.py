"""The embedded Kafka broker, on real brokers in throw-away directories."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from kafka import TopicPartition  # type: ignore[import-untyped]

from fulfillment_assets.events import client
from fulfillment_assets.events.topics import ensure_topics
from fulfillment_assets.local.errors import (
    DataDirectoryError,
    LocalServiceError,
    PortTakenError,
    ServiceFailedError,
)
from fulfillment_assets.local.kafka import DEFAULT_PORT, EmbeddedKafka
from fulfillment_assets.local.ports import any_port
from fulfillment_assets.local.processes import wait_until
from fulfillment_assets.local.service import RestartPolicy, State
from fulfillment_assets.local.supervisor import Supervisor
from fulfillment_assets.settings import Settings
from tests.events.broker import (
    KafkaBroker,
    broker_processes,
    copy_of,
    lend_jars,
    private_broker,
)

StartPython = Callable[..., subprocess.Popen[str]]

START = """
import signal
import sys
import time
from pathlib import Path
from fulfillment_assets.local.kafka import EmbeddedKafka

server = EmbeddedKafka(Path(sys.argv[1]))
print(server.start(), server.bootstrap_servers, flush=True)
if "wait" in sys.argv:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    time.sleep(60)
"""


def port_of(server: EmbeddedKafka) -> int:
    return int(server.bootstrap_servers.rpartition(":")[2])


def send(servers: str, count: int) -> None:
    """Make the topics, and send messages 0, 1, 2, … to partition 0 of the events'."""
    settings = Settings(kafka_bootstrap_servers=servers)
    ensure_topics(settings)
    with client.producer(settings) as producer:
        for number in range(count):
            producer.send(settings.events_topic, value=b"%d" % number, partition=0)
        producer.flush(timeout=30)


def received(servers: str) -> list[int]:
    """The messages that partition 0 of the events' topic holds."""
    settings = Settings(kafka_bootstrap_servers=servers)
    place, found = TopicPartition(settings.events_topic, 0), []
    with client.consumer(settings) as consumer:
        consumer.assign([place])
        consumer.seek(place, 0)
        (end,) = consumer.end_offsets([place]).values()
        while consumer.position(place) < end:
            for record in consumer.poll(timeout_ms=500).get(place, []):
                found.append(int(record.value))
    return found


@pytest.fixture
def data_dir(tmp_path: Path, kafka_template: Path) -> Iterator[Path]:
    """A data directory of its own, whose broker is stopped in the end."""
    directory = copy_of(kafka_template, tmp_path / "data", any_port())
    yield directory
    EmbeddedKafka(directory).stop()


@pytest.fixture(scope="module")
def shared(kafka_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    """A running broker for the tests that only look at it."""
    with private_broker(kafka_template, tmp_path_factory.mktemp("shared") / "data") as broker:
        yield broker


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port on which another program listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


class TestLife:
    def test_a_new_broker_is_on_a_free_port_from_the_default_on_and_serves(
        self, tmp_path: Path, kafka_jars: Path
    ) -> None:
        # A name with everything that configuration files treat specially.
        data_dir = tmp_path / "höhle, 1 = #:\\t"
        lend_jars(kafka_jars, data_dir)
        with EmbeddedKafka(data_dir).running() as server:
            assert port_of(server) >= DEFAULT_PORT
            send(server.bootstrap_servers, 3)
            assert received(server.bootstrap_servers) == [0, 1, 2]
        assert {path.name for path in data_dir.iterdir()} == {"kafka", "kafka.lock", "logs"}

    def test_messages_survive_a_restart_on_the_same_port(self, data_dir: Path) -> None:
        server = EmbeddedKafka(data_dir)
        assert server.start()
        address = server.bootstrap_servers
        send(address, 1_000)
        server.stop()
        assert server.start()
        assert server.bootstrap_servers == address
        assert received(address) == list(range(1_000))

    def test_what_was_acknowledged_survives_a_kill(self, kafka_broker: KafkaBroker) -> None:
        send(kafka_broker.address, 1_000)
        kafka_broker.kill()
        kafka_broker.start()
        assert received(kafka_broker.address) == list(range(1_000))

    def test_stop_leaves_no_process_and_frees_the_port(self, data_dir: Path) -> None:
        server = EmbeddedKafka(data_dir)
        server.start()
        port = port_of(server)
        assert len(broker_processes(data_dir)) == 1
        with socket.create_connection(("127.0.0.1", port)):
            server.stop()
        assert broker_processes(data_dir) == []
        assert not server.is_running()
        socket.create_server(("127.0.0.1", port)).close()

    def test_stop_without_a_broker_does_nothing(self, tmp_path: Path) -> None:
        EmbeddedKafka(tmp_path / "nothing").stop()
        assert not (tmp_path / "nothing").exists()

    def test_the_address_of_a_stopped_broker_is_an_error(self, data_dir: Path) -> None:
        with pytest.raises(LocalServiceError, match="No Kafka broker is running"):
            _ = EmbeddedKafka(data_dir).bootstrap_servers

    def test_it_listens_on_the_loopback_address_and_nowhere_else(self, shared: KafkaBroker) -> None:
        listening = {
            connection.laddr.ip.removeprefix("::ffff:")
            for connection in shared.process.net_connections()
            if connection.status == psutil.CONN_LISTEN
        }
        assert listening == {"127.0.0.1"}

    def test_its_log_is_short(self, shared: KafkaBroker) -> None:
        log = shared.data_dir / "logs" / "kafka.log"
        assert len(log.read_text().splitlines()) < 30


class TestPort:
    def test_a_chosen_port_in_use_is_an_error_that_names_it_and_the_setting(
        self, data_dir: Path, taken_port: int
    ) -> None:
        with pytest.raises(PortTakenError, match=rf"{taken_port}.*FULFILLMENT_KAFKA_PORT"):
            EmbeddedKafka(data_dir, taken_port).start()
        assert broker_processes(data_dir) == []

    def test_instead_of_a_recorded_port_in_use_the_next_free_one_is_taken_and_recorded(
        self, data_dir: Path, taken_port: int
    ) -> None:
        recorded = data_dir / "kafka" / "port"
        recorded.write_text(str(taken_port))
        with EmbeddedKafka(data_dir).running() as server:
            assert port_of(server) > taken_port
            assert recorded.read_text() == str(port_of(server))

    def test_another_port_than_the_running_broker_s_is_an_error(
        self, shared: KafkaBroker, taken_port: int
    ) -> None:
        with pytest.raises(LocalServiceError, match=rf"already running.*{taken_port}"):
            EmbeddedKafka(shared.data_dir, taken_port).start()

    def test_brokers_that_start_at_once_find_ports_of_their_own(
        self, kafka_template: Path, tmp_path: Path, start_python: StartPython
    ) -> None:
        port = any_port()
        data_dirs = [copy_of(kafka_template, tmp_path / name, port) for name in "ab"]
        processes = [start_python(START, directory) for directory in data_dirs]
        results = [process.communicate(timeout=60) for process in processes]
        for directory in data_dirs:
            EmbeddedKafka(directory).stop()
        assert [process.returncode for process in processes] == [0, 0], results
        assert len({output.split()[1] for output, _ in results}) == 2


class TestDirectory:
    def test_a_configuration_that_does_not_start_shows_the_log(self, data_dir: Path) -> None:
        with pytest.raises(LocalServiceError, match=r"num\.io\.threads") as failed:
            EmbeddedKafka(data_dir, None, {"num.io.threads": "none"}).start()
        assert "kafka.log" in str(failed.value)
        assert broker_processes(data_dir) == []

    def test_a_directory_that_cannot_be_made_is_an_error_with_the_setting(
        self, tmp_path: Path
    ) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(LocalServiceError, match="FULFILLMENT_DATA_DIR"):
            EmbeddedKafka(tmp_path / "file").start()

    if os.geteuid() == 0:  # An ordinary user cannot make data that is another's.

        def test_another_user_s_data_is_refused(self, tmp_path: Path) -> None:
            (tmp_path / "kafka").mkdir()
            os.chown(tmp_path / "kafka", 65_534, 65_534)
            with pytest.raises(DataDirectoryError, match=r"65534.*FULFILLMENT_DATA_DIR"):
                EmbeddedKafka(tmp_path).start()


class TestSharing:
    def test_the_second_user_attaches_and_leaves_it_running(self, data_dir: Path) -> None:
        with EmbeddedKafka(data_dir).running() as first:
            with EmbeddedKafka(data_dir).running() as second:
                assert second.bootstrap_servers == first.bootstrap_servers
            assert first.is_running()
        assert not first.is_running()

    def test_of_two_processes_that_start_it_at_once_one_does(
        self, data_dir: Path, start_python: StartPython
    ) -> None:
        processes = [start_python(START, data_dir) for _ in range(2)]
        results = [process.communicate(timeout=60) for process in processes]
        assert [process.returncode for process in processes] == [0, 0], results
        started, addresses = zip(*(output.split() for output, _ in results), strict=True)
        assert sorted(started) == ["False", "True"]
        assert len(set(addresses)) == 1

    def test_ctrl_c_in_the_terminal_does_not_reach_the_broker(
        self, data_dir: Path, start_python: StartPython
    ) -> None:
        starter = start_python(START, data_dir, "wait", new_session=True)
        assert starter.stdout is not None
        address = starter.stdout.readline().split()[1]
        os.killpg(starter.pid, signal.SIGINT)
        starter.communicate(timeout=30)
        assert starter.returncode != 0
        client.admin(Settings(kafka_bootstrap_servers=address)).close()


class TestSupervised:
    def test_a_killed_broker_is_started_again_on_its_port_with_its_data(
        self, data_dir: Path, tmp_path: Path
    ) -> None:
        with EmbeddedKafka(data_dir).supervised() as service:
            assert service.url is not None
            supervisor = Supervisor([service], tmp_path / "logs")
            supervisor.start()
        try:
            send(service.url, 1_000)
            (broker,) = broker_processes(data_dir)
            broker.kill()
            assert wait_until(lambda: supervisor.status()[0].restarts == 1, 30)
            assert wait_until(lambda: supervisor.status()[0].state is State.HEALTHY, 60)
            assert received(service.url) == list(range(1_000))
        finally:
            supervisor.stop()
        assert broker_processes(data_dir) == []

    def test_it_takes_the_place_of_a_broker_that_another_command_has_started(
        self, data_dir: Path, tmp_path: Path
    ) -> None:
        with EmbeddedKafka(data_dir).running() as command:
            address = command.bootstrap_servers
            with EmbeddedKafka(data_dir).supervised() as service:
                supervisor = Supervisor([service], tmp_path / "logs")
                supervisor.start()
            assert service.url == command.bootstrap_servers == address
        try:
            assert EmbeddedKafka(data_dir).is_running(), "it is not the command's to stop"
            assert not EmbeddedKafka(data_dir).start(), "others attach to it"
        finally:
            supervisor.stop()

    def test_one_that_does_not_start_shows_its_log(self, data_dir: Path, tmp_path: Path) -> None:
        server = EmbeddedKafka(data_dir, None, {"num.io.threads": "none"})
        with server.supervised() as service:
            supervisor = Supervisor([service], tmp_path / "logs", policy=RestartPolicy(limit=1))
            with pytest.raises(ServiceFailedError, match=r"num\.io\.threads"):
                supervisor.start()
