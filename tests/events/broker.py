"""A Kafka broker of one test alone, to be killed, frozen, stopped and started again."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil

from fulfillment_assets.local.kafka import EmbeddedKafka
from fulfillment_assets.local.ports import any_port
from fulfillment_assets.settings import Settings


def broker_processes(data_dir: Path) -> list[psutil.Process]:
    """Living processes that work in the directory of a broker."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.cwd() == str(data_dir / "kafka"):
                found.append(process)
    return found


def lend_jars(jars: Path, data_dir: Path) -> None:
    """Spare a broker's directory the fetching of jars that are there already."""
    home = data_dir / "kafka"
    home.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        (home / jars.name).symlink_to(jars)


def copy_of(template: Path, data_dir: Path, port: int) -> Path:
    """A copy of a data directory; a broker in it takes this port if it is not told another."""
    shutil.copytree(template, data_dir, symlinks=True)
    (data_dir / "kafka" / "port").write_text(str(port))
    return data_dir


class KafkaBroker:
    """A real broker in a directory of its own, on one port for all of its life.

    Args:
        data_dir: the directory; Kafka's jars must be in it.
        port: the port of 127.0.0.1 on which it listens.
        properties: of Apache Kafka's server, where they shall differ from the platform's.
    """

    def __init__(
        self, data_dir: Path, port: int, properties: Mapping[str, str] | None = None
    ) -> None:
        self.data_dir = data_dir
        self.address = f"127.0.0.1:{port}"
        self._server = EmbeddedKafka(data_dir, port, properties or {})

    @property
    def settings(self) -> Settings:
        """Settings that point at the broker, with the topics' names by default."""
        return Settings(kafka_bootstrap_servers=self.address)

    @property
    def process(self) -> psutil.Process:
        """The running broker."""
        (process,) = broker_processes(self.data_dir)
        return process

    def start(self) -> None:
        """Start it, with the data that it had; returns once it serves."""
        self._server.start()

    def stop(self) -> None:
        """Shut it down cleanly, frozen or not."""
        for process in broker_processes(self.data_dir):
            process.resume()
        self._server.stop()

    def kill(self) -> None:
        """End it at once, as a crash does."""
        process = self.process
        process.kill()
        process.wait()

    def freeze(self) -> None:
        """Let it fall silent: its connections stay open, and nothing is answered."""
        self.process.suspend()

    def thaw(self) -> None:
        """Let it go on where it was frozen."""
        self.process.resume()


@contextlib.contextmanager
def private_broker(
    template: Path,
    data_dir: Path,
    port: int | None = None,
    properties: Mapping[str, str] | None = None,
) -> Iterator[KafkaBroker]:
    """A running broker in a copy of the template; gone after the block."""
    port = port or any_port()
    broker = KafkaBroker(copy_of(template, data_dir, port), port, properties)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()
