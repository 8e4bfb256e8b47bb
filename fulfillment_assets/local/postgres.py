"""A real PostgreSQL server of one's own, in a directory of one's own.

The programs come with an installed package. The server listens on 127.0.0.1 only, asks for a
password that was generated with its data directory, and keeps what is committed.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psutil
from filelock import FileLock, Timeout

from fulfillment_assets.local.account import ServerAccount, server_account
from fulfillment_assets.local.cluster import (
    DATABASE,
    ROLE,
    Cluster,
    program,
    server_environment,
    write_private,
)
from fulfillment_assets.local.errors import LocalServiceError, PortTakenError
from fulfillment_assets.local.guard import is_alive
from fulfillment_assets.local.logs import last_lines
from fulfillment_assets.local.ports import LOOPBACK, free_port
from fulfillment_assets.local.processes import ServerProcesses, wait_until

DEFAULT_PORT: Final = 15432
PORT_SETTING: Final = "FULFILLMENT_POSTGRES_PORT"
LOG_FILE: Final = "server.log"
_PORT_FILE: Final = "fulfillment.port"
_BIND_FAILURE: Final = f'could not bind IPv4 address "{LOOPBACK}": Address already in use'

# Replaying 4 GB of log after a crash takes minutes on a slow disk.
_START_SECONDS: Final = 300.0
_STOP_SECONDS: Final = 120.0

_SETTINGS: Final = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "200",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "work_mem": "32MB",
    "maintenance_work_mem": "128MB",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
_BUFFERS_NEED_BYTES: Final = 2 * 1024**3


class EmbeddedPostgres:
    """A PostgreSQL server whose data lies in `<data_dir>/postgres/`.

    Several processes may use one: whoever comes first starts it, the others attach to it.

    Args:
        data_dir: directory that holds the data directory; made if it is missing.
        port: the TCP port to listen on. None: the port of the last start, at first 15432, or
            the next free one.
    """

    def __init__(self, data_dir: Path, port: int | None = None) -> None:
        self._parent = data_dir.resolve()
        self._directory = self._parent / "postgres"
        self._cluster = Cluster(self._directory)
        self._processes = ServerProcesses(self._cluster)
        self._port = port
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def log_path(self) -> Path:
        """The server's log."""
        return self._directory / LOG_FILE

    @property
    def url(self) -> str:
        """SQLAlchemy URL of database `fulfillment` on the running server, with the password.

        Raises:
            LocalServiceError: the server is not running.
        """
        postmaster = self._processes.postmaster()
        if postmaster is None:
            raise LocalServiceError(f"No PostgreSQL server is running on {self._directory}.")
        password = self._cluster.password
        return f"postgresql+psycopg2://{ROLE}:{password}@{LOOPBACK}:{postmaster.port}/{DATABASE}"

    def is_running(self) -> bool:
        """Whether a server is running on this data directory, no matter who started it."""
        return self._processes.postmaster() is not None

    def start(self) -> bool:
        """Start the server, or attach to it where it is running already.

        Returns once it accepts connections: True if it was started by this call, else False.

        Raises:
            PortTakenError: another program listens on the port that was asked for.
            DataDirectoryError: the data is another user's or of another PostgreSQL version.
            LocalServiceError: anything else; the message has the last lines of the log.
        """
        with self._locked():
            if self._attached():
                return False
            account = self._prepare()
            self._processes.clear_remains()
            if self._port is None:
                self._launch_on_free_port(account)
            else:
                self._launch(account, self._port)
            return True

    def stop(self) -> None:
        """Shut the server down cleanly; clients are disconnected, open transactions undone.

        Returns once no process of it is left. Does nothing where none is running.

        Raises:
            LocalServiceError: it is still running after two minutes.
        """
        if not self._directory.exists():
            return
        with self._locked():
            if (postmaster := self._processes.postmaster()) is not None:
                self._shut_down(postmaster.process)
            self._processes.clear_remains()

    @contextlib.contextmanager
    def running(self) -> Iterator[EmbeddedPostgres]:
        """Keep the server up for the length of a `with` block.

        It is stopped at the end only if the block started it.
        """
        started = self.start()
        try:
            yield self
        finally:
            if started:
                self.stop()

    @property
    def _port_file(self) -> Path:
        return self._directory / _PORT_FILE

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self._parent.mkdir(parents=True, exist_ok=True)
            self._cluster.check_owner()
            # Root must not shut the directory's owner out, by making the file first.
            with FileLock(self._parent / "postgres.lock", timeout=_START_SECONDS, mode=0o666):
                yield
        except Timeout:
            raise LocalServiceError(
                f"Another process has been starting or stopping PostgreSQL on {self._directory} "
                f"for {_START_SECONDS:.0f} seconds. See {self.log_path}."
            ) from None
        except OSError as error:
            raise LocalServiceError(
                f"Cannot use {error.filename or self._directory} for PostgreSQL: {error.strerror}. "
                "Set FULFILLMENT_DATA_DIR to a directory that can be written to."
            ) from error

    def _attached(self) -> bool:
        postmaster = self._processes.postmaster()
        if postmaster is None:
            return False
        if self._port not in {None, postmaster.port}:
            raise LocalServiceError(
                f"PostgreSQL on {self._directory} is already running on port {postmaster.port}, "
                f"but {PORT_SETTING} asks for {self._port}. Unset it, or stop the server first."
            )
        return self._becomes_ready(postmaster.process)

    def _prepare(self) -> ServerAccount:
        exists = self._cluster.exists
        if exists:
            self._cluster.check_contents()
        probe = (program("initdb"), "--show", "-D", self._directory)
        account = server_account(self._cluster.owner, self._parent, probe)
        if not exists:
            self._cluster.create(account)
        elif self._cluster.owner != account.uid:
            account.own(self._directory)
        return account

    def _launch_on_free_port(self, account: ServerAccount) -> None:
        recorded = self._port_file
        first = int(recorded.read_text()) if recorded.exists() else DEFAULT_PORT
        while True:
            port = free_port(None, first, PORT_SETTING)
            # Between the search and the server's own bind another program may take the port.
            with contextlib.suppress(PortTakenError):
                self._launch(account, port)
                write_private(self._port_file, str(port), account)
                return

    def _launch(self, account: ServerAccount, port: int) -> None:
        free_port(port, port, PORT_SETTING)
        buffers = "256MB" if psutil.virtual_memory().total >= _BUFFERS_NEED_BYTES else "128MB"
        settings = _SETTINGS | {"port": str(port), "shared_buffers": buffers}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        log_start = self.log_path.stat().st_size if self.log_path.exists() else 0
        with self.log_path.open("ab") as log:
            account.own(self.log_path)
            # A session of its own, so that Ctrl-C in the terminal does not reach the server.
            self._child = subprocess.Popen(
                account.command(program("postgres"), "-D", self._directory, *options),
                cwd="/",
                env=server_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            ready = self._becomes_ready(psutil.Process(self._child.pid))
        except BaseException:
            self._shut_down(psutil.Process(self._child.pid))
            raise
        if not ready:
            self._child.wait()
            self._explain(port, log_start)

    def _explain(self, port: int, log_start: int) -> None:
        lines = last_lines(self.log_path, log_start)
        # The port may be free again by now, so the log alone knows.
        if _BIND_FAILURE in lines:
            raise PortTakenError(port, PORT_SETTING)
        raise LocalServiceError(
            f"PostgreSQL on {self._directory} did not start. "
            f"Last lines of {self.log_path}:\n{lines}"
        )

    def _becomes_ready(self, process: psutil.Process) -> bool:
        """Wait until the server accepts connections; False if it ends instead."""

        def settled() -> bool:
            postmaster = self._processes.postmaster()
            return not is_alive(process) or (postmaster is not None and postmaster.ready)

        if not wait_until(settled, _START_SECONDS):
            raise LocalServiceError(
                f"PostgreSQL on {self._directory} was not ready after {_START_SECONDS:.0f} "
                f"seconds. See {self.log_path}."
            )
        return is_alive(process)

    def _shut_down(self, process: psutil.Process) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGINT)
        # The server's first process ends last.
        if not wait_until(lambda: not is_alive(process), _STOP_SECONDS):
            raise LocalServiceError(
                f"PostgreSQL on {self._directory} did not shut down within "
                f"{_STOP_SECONDS:.0f} seconds. See {self.log_path}."
            )
        if self._child is not None:
            self._child.wait()
