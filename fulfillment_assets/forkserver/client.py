"""Processes that start in milliseconds, because another one has done their imports."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import Pipe
from typing import Final

from fulfillment_assets.forkserver import server
from fulfillment_assets.forkserver.server import Notice, Request
from fulfillment_assets.local.errors import LocalServiceError

SINGLE_THREADED: Final = {
    "OPENBLAS_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
}
"""Environment in which NumPy, SciPy and PyArrow start no thread when they are imported."""

_START_SECONDS: Final = 60.0
_FORK_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 5.0

_LOG: Final = logging.getLogger(__name__)


class ForkServerError(LocalServiceError):
    """The forkserver does not start, or does not answer; the message says why."""


class ForkServer:
    """A process that has imported modules, and forks a child of itself for each request.

    Its children outlive it, and both outlive this process where it is killed: the server takes
    no more requests then, and ends after its last child.

    Args:
        function: `module:function`, which a child calls with the argument of its request.
        modules: what to import before the first fork; none may start a thread, once the variables
            of `SINGLE_THREADED` are set.
        environment: variables of the server process, beside those; a child has its own.
        on_end: called with the key and the exit status of each child that ended, or minus the
            signal that killed it, in a thread of this server. Not called for children that outlive
            the server, or this object's process.
    """

    def __init__(
        self,
        function: str,
        modules: Sequence[str],
        environment: Mapping[str, str],
        on_end: Callable[[str, int], None],
    ) -> None:
        self._on_end = on_end
        self._connection, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    server.__name__,
                    str(theirs.fileno()),
                    function,
                    *modules,
                ],
                env={**environment, **SINGLE_THREADED},
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        self._lock = threading.Lock()
        self._ready = False
        self._retired = False
        self._gone = threading.Event()
        self._answers: queue.SimpleQueue[Notice | None] = queue.SimpleQueue()
        name = f"forkserver-{self._process.pid}"
        threading.Thread(target=self._read, name=name, daemon=True).start()

    @property
    def pid(self) -> int:
        """Process id of the server."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the server takes requests."""
        return not (self._retired or self._gone.is_set())

    def fork(self, key: str, argument: str, environment: Mapping[str, str]) -> int:
        """Start a child; returns its process id. Waits for the imports, if they are not done.

        Args:
            key: by which `on_end` will name the child.
            argument: for the function.
            environment: all environment variables of the child.

        Raises:
            ForkServerError: the server is retired or gone, does not answer or has threads, and is
                not alive any more; or, if it is, the system has no room for another process.
        """
        with self._lock:
            if self._retired:
                raise ForkServerError("The forkserver is retired.")
            try:
                self._wait_until_ready()
                self._send((key, argument, dict(environment)))
                kind, _, value = self._answer(_FORK_SECONDS)
            except ForkServerError:
                self.kill()  # an answer that comes late would be taken for that of the next
                raise
        if kind != "forked":
            raise ForkServerError(f"The forkserver could not fork: {os.strerror(value)}.")
        return value

    def retire(self) -> None:
        """Take no more requests; the server ends after its last child."""
        with self._lock, contextlib.suppress(OSError):
            self._retired = True
            self._connection.send(None)

    def kill(self) -> None:
        """End the server at once; its children live on, and their end is not told."""
        self._process.kill()
        self._gone.wait(_STOP_SECONDS)

    def _wait_until_ready(self) -> None:
        if self._ready:
            return
        _, threads, _ = self._answer(_START_SECONDS)
        if threads != 1:
            raise ForkServerError(
                f"The forkserver has {threads} threads after its imports, and a fork would copy "
                "the locks that they hold: a module starts threads when it is imported."
            )
        self._ready = True

    def _send(self, request: Request) -> None:
        try:
            self._connection.send(request)
        except OSError as error:
            raise ForkServerError(f"The forkserver is gone: {error}.") from error

    def _answer(self, seconds: float) -> Notice:
        try:
            answer = self._answers.get(timeout=seconds)
        except queue.Empty:
            raise ForkServerError(
                f"The forkserver did not answer within {seconds:g} seconds."
            ) from None
        if answer is None:
            self._answers.put(None)
            raise ForkServerError(f"The forkserver ended with status {self._process.returncode}.")
        return answer

    def _read(self) -> None:
        """Sort what the server tells, until it ends."""
        with contextlib.suppress(EOFError, OSError):
            while True:
                kind, key, value = notice = self._connection.recv()
                if kind == "ended":
                    self._tell_end(key, value)
                else:
                    self._answers.put(notice)
        self._process.wait()
        self._gone.set()
        self._answers.put(None)
        with self._lock:
            self._connection.close()

    def _tell_end(self, key: str, status: int) -> None:
        try:
            self._on_end(key, status)
        except Exception:
            _LOG.exception("The end of %s could not be dealt with", key)
