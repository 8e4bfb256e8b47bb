"""The directory of an embedded Kafka broker: its jars, its configuration, its data."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import psutil

from fulfillment_assets.local.errors import DataDirectoryError, LocalServiceError
from fulfillment_assets.local.guard import is_alive
from fulfillment_assets.local.java import fetch_jars, jars_directory, java_program
from fulfillment_assets.local.ports import LOOPBACK

_CLUSTER_ID: Final = "ZnVsZmlsbG1lbnRrYWZrYQ"
_MAIN_CLASS: Final = "kafka.Kafka"
_FORMAT_CLASS: Final = "kafka.tools.StorageTool"

# All paths are relative to the directory, in which the broker works: no path needs escaping.
_CONFIGURATION: Final = "server.properties"
_LOGGING: Final = "log4j2.properties"
_DATA: Final = "data"
_PORT: Final = "port"

# The first tier of the compiler alone starts as fast, and takes half the CPU of a broker's life.
_JVM_OPTIONS: Final = (
    "-Xms64m",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",
    f"-Dlog4j2.configurationFile={_LOGGING}",
)

_PROPERTIES: Final = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "log.dirs": _DATA,
    "auto.create.topics.enable": "false",
    "message.max.bytes": str(8 * 1024**2),
    # One broker holds everything, and few clients use it.
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "group.initial.rebalance.delay.ms": "0",
    "num.network.threads": "2",
    "num.io.threads": "4",
    # It is allocated at the start; the default is 128 MB.
    "log.cleaner.dedupe.buffer.size": str(4 * 1024**2),
    # After a crash it waits for its former self to expire, and then for an election.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "controller.quorum.election.timeout.ms": "100",
    "controller.quorum.election.backoff.max.ms": "100",
}

_LOG4J: Final = """\
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d %p %c{1}: %m%n
"""


class KafkaHome:
    """The files of one broker, and the process that works on them.

    Args:
        path: the directory; made by `prepare`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def check_owner(self) -> None:
        """Make sure that the files, if there are any, are ours.

        Raises:
            DataDirectoryError: they are another user's.
        """
        owner = self.path.stat().st_uid if self.path.exists() else os.geteuid()
        if owner != os.geteuid():
            raise DataDirectoryError(
                f"The Kafka data in {self.path} belongs to user id {owner}, and we run as "
                f"{os.geteuid()}. Run as that user, or set FULFILLMENT_DATA_DIR to a directory of "
                "your own."
            )

    def recorded_port(self) -> int | None:
        """The port of the last start."""
        try:
            return int((self.path / _PORT).read_text())
        except FileNotFoundError:
            return None

    def process(self) -> psutil.Process | None:
        """The broker that works on the files, no matter who started it."""
        return next(filter(self._is_broker, psutil.process_iter()), None)

    def prepare(self) -> None:
        """Fetch the jars and format the data directory, where that is not done yet.

        Raises:
            LocalServiceError: Java or Maven is missing, or one of them fails.
        """
        fetch_jars(self.path)
        (self.path / _LOGGING).write_text(_LOG4J)
        if not (self.path / _DATA / "meta.properties").exists():
            # The ports are of no matter here, but the tool wants a whole configuration.
            self._write_configuration(1, 2, {})
            self._run(_FORMAT_CLASS, "format", "-t", _CLUSTER_ID, "-c", _CONFIGURATION)

    def configure(self, port: int, controller_port: int, properties: Mapping[str, str]) -> None:
        """Write the configuration for these two ports of 127.0.0.1, and record the first.

        Args:
            port: where clients reach the broker.
            controller_port: where the broker reaches its own controller.
            properties: of Apache Kafka's server, where they differ from ours.
        """
        self._write_configuration(port, controller_port, properties)
        (self.path / _PORT).write_text(str(port))

    def command(self) -> list[str]:
        """The command that runs the broker, in this directory."""
        return [*self._java(), _MAIN_CLASS, _CONFIGURATION]

    def _write_configuration(
        self, port: int, controller_port: int, properties: Mapping[str, str]
    ) -> None:
        listeners = f"PLAINTEXT://{LOOPBACK}:{port},CONTROLLER://{LOOPBACK}:{controller_port}"
        ports = {
            "listeners": listeners,
            "controller.quorum.voters": f"1@{LOOPBACK}:{controller_port}",
        }
        merged = {**_PROPERTIES, **ports, **properties}
        lines = [f"{key}={value}\n" for key, value in merged.items()]
        (self.path / _CONFIGURATION).write_text("".join(lines))

    def _java(self) -> list[str]:
        jars = jars_directory(self.path).name
        return [str(java_program()), *_JVM_OPTIONS, "-cp", f"{jars}/*"]

    def _run(self, *arguments: str) -> None:
        done = subprocess.run(
            [*self._java(), *arguments], cwd=self.path, capture_output=True, text=True, check=False
        )
        if done.returncode:
            output = (done.stderr or done.stdout).strip()
            raise LocalServiceError(f"Kafka could not set up its data directory: {output}")

    def _is_broker(self, process: psutil.Process) -> bool:
        try:
            return (
                process.name() == "java"
                and is_alive(process)
                and Path(process.cwd()) == self.path
                and _MAIN_CLASS in process.cmdline()
            )
        except psutil.Error:
            return False
