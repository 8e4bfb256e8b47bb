"""A real Apache Kafka broker of one's own, in a directory of one's own.

One node in KRaft mode, reached on 127.0.0.1 only and without a password, for development and
tests. It needs Java; Maven fetches its jars once. What was acknowledged outlives its death.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import psutil
from filelock import FileLock, Timeout

from fulfillment_assets.events.client import KafkaUnavailableError, admin
from fulfillment_assets.local.embedded import EmbeddedServer
from fulfillment_assets.local.errors import LocalServiceError, PortTakenError
from fulfillment_assets.local.guard import is_alive
from fulfillment_assets.local.java import jars_directory, java_program, maven_program
from fulfillment_assets.local.kafka_home import KafkaHome
from fulfillment_assets.local.logs import last_lines
from fulfillment_assets.local.ports import LOOPBACK, free_port, port_is_free
from fulfillment_assets.local.processes import wait_until
from fulfillment_assets.local.service import Service
from fulfillment_assets.settings import Settings

DEFAULT_PORT: Final = 19092
PORT_SETTING: Final = "FULFILLMENT_KAFKA_PORT"
_BIND_FAILURE: Final = "failed to bind to"

# After a crash it reads the newest file of every partition again.
_START_SECONDS: Final = 120.0
_STOP_SECONDS: Final = 30.0
_LINGER_SECONDS: Final = 1.0
_NO_PROPERTIES: Final[Mapping[str, str]] = MappingProxyType({})


class EmbeddedKafka(EmbeddedServer):
    """A Kafka broker whose files lie in `<data_dir>/kafka/`.

    Several processes may use one: whoever comes first starts it, the others attach to it.

    Args:
        data_dir: directory that holds the broker's directory; made if it is missing.
        port: the TCP port to listen on. None: the port of the last start, at first 19092, or
            the next free one.
        properties: of Apache Kafka's server, where they shall differ from ours.
    """

    def __init__(
        self,
        data_dir: Path,
        port: int | None = None,
        properties: Mapping[str, str] = _NO_PROPERTIES,
    ) -> None:
        super().__init__(data_dir, "kafka", _STOP_SECONDS)
        self._home = KafkaHome(self._path)
        self._port = port
        self._properties = properties

    @property
    def bootstrap_servers(self) -> str:
        """Host and port of the running broker.

        Raises:
            LocalServiceError: it is not running.
        """
        port = self._home.recorded_port()
        if port is None or not self.is_running():
            raise LocalServiceError(f"No Kafka broker is running on {self._home.path}.")
        return f"{LOOPBACK}:{port}"

    def process(self) -> psutil.Process | None:
        """The broker that works on the files, no matter who started it."""
        return self._home.process()

    def missing(self) -> str | None:
        """What has to be installed before it can run, as one line; None if nothing has."""
        try:
            java_program()
            if not jars_directory(self._home.path).exists():
                maven_program()
        except LocalServiceError as error:
            return str(error)
        return None

    def start(self) -> bool:
        """Start the broker, or attach to it where it is running already.

        Returns once it serves: True if it was started by this call, else False.

        Raises:
            PortTakenError: another program listens on the port that was asked for.
            LocalServiceError: anything else; the message has the last lines of the log.
        """
        with self._locked():
            if self._attached():
                return False
            with self._usable():
                self._home.prepare()
                self._launch_on_free_ports()
            return True

    @contextlib.contextmanager
    def supervised(self) -> Iterator[Service]:
        """The broker as a service for a supervisor, which has to start it within the block.

        Until then nobody else can start one. One that is running already is stopped: another
        command started it, and finds the supervised one on the same port.

        Raises:
            PortTakenError: another program listens on the port that was asked for.
            LocalServiceError: Java or Maven is missing, or one of them fails.
        """
        with self._locked():
            with self._usable():
                self._end()
                self._home.prepare()
                port = self._configure()
            yield Service(
                "kafka",
                self._home.command(),
                lambda: _obstacle(self._home.process(), port),
                url=f"{LOOPBACK}:{port}",
                cwd=self._home.path,
                start_seconds=_START_SECONDS,
            )

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        lock = FileLock(self._parent / "kafka.lock", timeout=_START_SECONDS)
        with self._usable():
            self._home.check_owner()
            self._parent.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire()
            except Timeout:
                raise LocalServiceError(
                    f"Another process has been starting or stopping Kafka on {self._home.path} "
                    f"for {_START_SECONDS:.0f} seconds. See {self.log_path}."
                ) from None
        try:
            yield
        finally:
            lock.release()

    @contextlib.contextmanager
    def _usable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise LocalServiceError(
                f"Cannot use {error.filename or self._home.path} for Kafka: {error.strerror}. "
                "Set FULFILLMENT_DATA_DIR to a directory that can be written to."
            ) from error

    def _attached(self) -> bool:
        process = self._home.process()
        if process is None:
            return False
        port = self._home.recorded_port()
        if self._port not in {None, port}:
            raise LocalServiceError(
                f"Kafka on {self._home.path} is already running on port {port}, but "
                f"{PORT_SETTING} asks for {self._port}. Unset it, or stop the broker first."
            )
        return self._becomes_ready(process)

    def _configure(self) -> int:
        recorded = self._home.recorded_port()
        if (wanted := self._port or recorded) is not None:
            # A broker that was killed just now lets go of it a moment after it seems to be gone.
            wait_until(lambda: port_is_free(wanted), _LINGER_SECONDS)
        port = free_port(self._port, recorded or DEFAULT_PORT, PORT_SETTING)
        controller_port = free_port(None, port + 1, PORT_SETTING)
        self._home.configure(port, controller_port, self._properties)
        return port

    def _launch_on_free_ports(self) -> None:
        while True:
            port = self._configure()
            log_start = self.log_path.stat().st_size if self.log_path.exists() else 0
            if self._launch():
                return
            lines = last_lines(self.log_path, log_start)
            # Between the search and the broker's own bind another program may take a port.
            if _BIND_FAILURE not in lines:
                raise LocalServiceError(
                    f"Kafka on {self._home.path} did not start. "
                    f"Last lines of {self.log_path}:\n{lines}"
                )
            if self._port is not None and not port_is_free(port):
                raise PortTakenError(port, PORT_SETTING)

    def _launch(self) -> bool:
        child = self._spawn(self._home.command())
        with self._killed_on_failure(child):
            return self._becomes_ready(psutil.Process(child.pid))

    def _becomes_ready(self, process: psutil.Process) -> bool:
        """Wait until the broker serves; False if it ends instead."""
        port = self._home.recorded_port() or DEFAULT_PORT

        def settled() -> bool:
            return not is_alive(process) or _obstacle(process, port) is None

        if not wait_until(settled, _START_SECONDS):
            raise LocalServiceError(
                f"Kafka on {self._home.path} was not ready after {_START_SECONDS:.0f} seconds. "
                f"See {self.log_path}."
            )
        return is_alive(process)


def _obstacle(process: psutil.Process | None, port: int) -> str | None:
    """Why the broker of this process does not serve on the port, or None."""
    # Another broker may have come first, and would answer in its place.
    if process is None or not _listens(process, port):
        return f"it does not listen on port {port}"
    try:
        admin(Settings.model_construct(kafka_bootstrap_servers=f"{LOOPBACK}:{port}")).close()
    except KafkaUnavailableError as error:
        return str(error)
    return None


def _listens(process: psutil.Process, port: int) -> bool:
    try:
        sockets = process.net_connections("tcp")
    except psutil.Error:
        return False
    return any(s.status == psutil.CONN_LISTEN and s.laddr.port == port for s in sockets)
