"""What the embedded servers have in common: one process, whoever started it, and its log."""

from __future__ import annotations

import contextlib
import os
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

import psutil

from fulfillment_assets.local.guard import is_alive
from fulfillment_assets.local.processes import wait_until


class EmbeddedServer(ABC):
    """A server whose files lie in a directory of the data directory.

    Several processes may use one: whoever comes first starts it, the others attach to it.

    Args:
        data_dir: directory that holds the server's directory; made if it is missing.
        name: of the server's directory and of its log.
        stop_seconds: how long it may take to end before it is killed.
    """

    def __init__(self, data_dir: Path, name: str, stop_seconds: float) -> None:
        self._parent = data_dir.resolve()
        self._path = self._parent / name
        self._name = name
        self._stop_seconds = stop_seconds
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def log_path(self) -> Path:
        """The server's log."""
        return self._parent / "logs" / f"{self._name}.log"

    @abstractmethod
    def process(self) -> psutil.Process | None:
        """The server that works on the files, no matter who started it."""

    @abstractmethod
    def start(self) -> bool:
        """Start the server, or attach to it; True if it was started by this call."""

    @abstractmethod
    def _locked(self) -> contextlib.AbstractContextManager[None]:
        """Keep others from starting or stopping it."""

    def is_running(self) -> bool:
        """Whether a server is running on this directory, no matter who started it."""
        return self.process() is not None

    def stop(self) -> None:
        """End the server, no matter who started it; returns once it is gone."""
        if self._path.exists():
            with self._locked():
                self._end()

    @contextlib.contextmanager
    def running(self) -> Iterator[Self]:
        """Keep the server up for the length of a `with` block.

        It is stopped at the end only if the block started it.
        """
        started = self.start()
        try:
            yield self
        finally:
            # A platform that started meanwhile has replaced it with its own.
            if started and self._child is not None and self._child.poll() is None:
                self.stop()

    def _spawn(
        self, command: Sequence[str], env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start the server's process, with its output in the log."""
        self.log_path.parent.mkdir(exist_ok=True)
        with self.log_path.open("ab") as log:
            # A session of its own, so that Ctrl-C in the terminal does not reach the server.
            self._child = subprocess.Popen(
                command,
                cwd=self._path,
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self._child

    @contextlib.contextmanager
    def _killed_on_failure(self, child: subprocess.Popen[bytes]) -> Iterator[None]:
        """Leave no process behind where the block fails."""
        try:
            yield
        except BaseException:
            child.kill()
            child.wait()
            raise

    def _end(self) -> None:
        process = self.process()
        if process is None:
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
            if not wait_until(lambda: not is_alive(process), self._stop_seconds):
                process.kill()
                wait_until(lambda: not is_alive(process), self._stop_seconds)
        if self._child is not None:
            self._child.wait()
