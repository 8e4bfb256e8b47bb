"""A Chroma server of one's own, in a directory of one's own, reached on 127.0.0.1 only."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psutil
from filelock import FileLock, Timeout

from fulfillment_assets.local.embedded import EmbeddedServer
from fulfillment_assets.local.errors import DataDirectoryError, LocalServiceError, PortTakenError
from fulfillment_assets.local.guard import is_alive
from fulfillment_assets.local.health import HealthCheck, http_health
from fulfillment_assets.local.logs import last_lines
from fulfillment_assets.local.ports import LOOPBACK, free_port, port_is_free
from fulfillment_assets.local.processes import wait_until
from fulfillment_assets.local.service import Service

DEFAULT_PORT: Final = 18001
PORT_SETTING: Final = "FULFILLMENT_CHROMA_PORT"

# The command `chroma` without the packages of Chroma's client, which the server does not need.
_PROGRAM: Final = "import sys, chromadb_rust_bindings as b; b.cli(['chroma', *sys.argv[1:]])"
# It would otherwise write eight lines for every query.
_ENVIRONMENT: Final = {"RUST_LOG": "warn", "ANONYMIZED_TELEMETRY": "False"}
_PORT_FILE: Final = "fulfillment.port"
_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 10.0
_LINGER_SECONDS: Final = 1.0


class EmbeddedChroma(EmbeddedServer):
    """A Chroma server whose files lie in `<data_dir>/chroma/`.

    Several processes may use one: whoever comes first starts it, the others attach to it.

    Args:
        data_dir: directory that holds the server's directory; made if it is missing.
        port: the TCP port to listen on. None: the port of the last start, at first 18001, or
            the next free one.
    """

    def __init__(self, data_dir: Path, port: int | None = None) -> None:
        super().__init__(data_dir, "chroma", _STOP_SECONDS)
        self._port = port

    @property
    def url(self) -> str:
        """Where the running server is reached.

        Raises:
            LocalServiceError: it is not running.
        """
        port = self._recorded_port()
        if port is None or not self.is_running():
            raise LocalServiceError(f"No Chroma server is running on {self._path}.")
        return _url(port)

    def process(self) -> psutil.Process | None:
        """The server that works on the files, no matter who started it."""
        return next(filter(self._is_server, psutil.process_iter()), None)

    def start(self) -> bool:
        """Start the server, or attach to it where it is running already.

        Returns once it answers: True if it was started by this call, else False.

        Raises:
            PortTakenError: another program listens on the port that was asked for.
            LocalServiceError: anything else; the message has the last lines of the log.
        """
        with self._locked():
            process = self.process()
            if process is not None:
                port = self._recorded_port()
                if port is None or self._port not in {None, port}:
                    raise LocalServiceError(
                        f"Chroma on {self._path} is already running on port {port}, but "
                        f"{PORT_SETTING} asks for {self._port}. Unset it, or stop the server first."
                    )
                self._becomes_ready(process, port, 0)
                return False
            self._launch(self._configure())
            return True

    @contextlib.contextmanager
    def supervised(self) -> Iterator[Service]:
        """The server as a service for a supervisor, which has to start it within the block.

        Until then nobody else can start one. One that is running already is stopped: another
        command started it, and finds the supervised one on the same port.

        Raises:
            PortTakenError: another program listens on the port that was asked for.
            LocalServiceError: the directory cannot be used.
        """
        with self._locked():
            self._end()
            port = self._configure()
            yield Service(
                "chroma",
                self._command(port),
                _heartbeat(port),
                url=_url(port),
                env=_ENVIRONMENT,
                cwd=self._path,
                start_seconds=_START_SECONDS,
            )

    def _command(self, port: int) -> list[str]:
        where = ["--path", str(self._path), "--host", LOOPBACK, "--port", str(port)]
        return [sys.executable, "-c", _PROGRAM, "run", *where]

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        lock = FileLock(self._parent / "chroma.lock", timeout=_START_SECONDS)
        try:
            self._path.mkdir(parents=True, exist_ok=True)
            owner = self._path.stat().st_uid
            lock.acquire()
        except Timeout:
            raise LocalServiceError(
                f"Another process has been starting or stopping Chroma on {self._path} for "
                f"{_START_SECONDS:.0f} seconds. See {self.log_path}."
            ) from None
        except OSError as error:
            raise LocalServiceError(
                f"Cannot use {error.filename or self._path} for Chroma: {error.strerror}. Set "
                "FULFILLMENT_DATA_DIR to a directory that can be written to."
            ) from error
        try:
            if owner != os.geteuid():
                raise DataDirectoryError(
                    f"The Chroma data in {self._path} belongs to user id {owner}, and we run as "
                    f"{os.geteuid()}. Run as that user, or set FULFILLMENT_DATA_DIR to a directory "
                    "of your own."
                )
            yield
        finally:
            lock.release()

    def _configure(self) -> int:
        recorded = self._recorded_port()
        if (wanted := self._port or recorded) is not None:
            # A server that was killed just now lets go of it a moment after it seems to be gone.
            wait_until(lambda: port_is_free(wanted), _LINGER_SECONDS)
        port = free_port(self._port, recorded or DEFAULT_PORT, PORT_SETTING)
        (self._path / _PORT_FILE).write_text(str(port))
        return port

    def _recorded_port(self) -> int | None:
        try:
            return int((self._path / _PORT_FILE).read_text())
        except (FileNotFoundError, ValueError):
            return None

    def _launch(self, port: int) -> None:
        log_start = self.log_path.stat().st_size if self.log_path.exists() else 0
        child = self._spawn(self._command(port), _ENVIRONMENT)
        with self._killed_on_failure(child):
            self._becomes_ready(psutil.Process(child.pid), port, log_start)

    def _becomes_ready(self, process: psutil.Process, port: int, log_start: int) -> None:
        check = _heartbeat(port)
        wait_until(lambda: not is_alive(process) or check() is None, _START_SECONDS)
        if is_alive(process) and check() is None:
            return
        if self._port is not None and not is_alive(process) and not port_is_free(port):
            raise PortTakenError(port, PORT_SETTING)
        raise LocalServiceError(
            f"Chroma on {self._path} did not start. Last lines of {self.log_path}:\n"
            f"{last_lines(self.log_path, log_start)}"
        )

    def _is_server(self, process: psutil.Process) -> bool:
        try:
            command = process.cmdline()
            return (
                _PROGRAM in command
                and command[command.index("--path") + 1] == str(self._path)
                and is_alive(process)
            )
        except (psutil.Error, ValueError, IndexError):
            return False


def _url(port: int) -> str:
    return f"http://{LOOPBACK}:{port}"


def _heartbeat(port: int) -> HealthCheck:
    return http_health(f"{_url(port)}/api/v2/heartbeat")
