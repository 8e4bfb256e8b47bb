"""The process behind `ForkServer`: imports once, then forks a child for each request.

As a program, `server.py DESCRIPTOR MODULE:FUNCTION MODULE...` imports the modules and then
reads requests `(key, argument, environment)` from the connection of that descriptor. A child calls
the function with the argument. What is told back:

- `("ready", threads, 0)`, with the number of threads that the imports left running;
- `("forked", key, pid)` or `("refused", key, errno)`, for each request, in order;
- `("ended", key, status)`, for each child: its exit status, or minus the signal that killed it.

It stays single-threaded and opens nothing, so that a fork copies no lock that is held and no
connection that is in use. At the end of its input, or at the request None, it takes no more
requests, waits for its children, and ends.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import os
import selectors
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any, Final, NoReturn

import psutil

Request = tuple[str, str, Mapping[str, str]]
Notice = tuple[str, str | int, int]

_WAKE_UPS: Final = 4096


def main() -> None:
    """Serve, and in each child call the function."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is meant for the children
    descriptor = int(sys.argv[1])
    os.set_inheritable(descriptor, False)
    module, function = sys.argv[2].split(":")
    with Connection(descriptor) as connection, _child_signals() as wake_up:
        _load([*sys.argv[3:], module])
        _tell(connection, ("ready", psutil.Process().num_threads(), 0))
        request = _serve(connection, wake_up)
    if request is not None:
        _finish(_work(module, function, request))


def _load(modules: Sequence[str]) -> None:
    """Import the modules; a child that needs one that cannot be imported will say so itself."""
    gc.disable()
    for module in modules:
        try:
            importlib.import_module(module)
        except Exception:
            traceback.print_exc()
    sys.stdout.flush()  # else each child would print it, too
    gc.collect()
    # No collection ever touches what is here now: its pages stay shared with all children.
    gc.freeze()
    gc.enable()


def _serve(connection: Connection[Any, Any], wake_up: socket.socket) -> Request | None:
    """Fork for each request. Returns None at the end, but in a child its request."""
    children: dict[int, str] = {}
    with selectors.DefaultSelector() as selector:
        selector.register(wake_up, selectors.EVENT_READ)
        selector.register(connection, selectors.EVENT_READ)
        serving = True
        while serving or children:
            ready = {key.fileobj for key, _ in selector.select()}
            if connection in ready:
                request = _receive(connection)
                if request is None:
                    serving = False
                    selector.unregister(connection)
                elif not _fork(connection, request, children):
                    return request
            if wake_up in ready:
                wake_up.recv(_WAKE_UPS)
                for notice in _ended(children):
                    _tell(connection, notice)
    return None


def _fork(connection: Connection[Any, Any], request: Request, children: dict[int, str]) -> bool:
    """Fork a child, and tell; returns False in the child."""
    key = request[0]
    try:
        pid = os.fork()
    except OSError as error:
        _tell(connection, ("refused", key, error.errno or 0))
        return True
    if pid == 0:
        return False
    children[pid] = key
    _tell(connection, ("forked", key, pid))
    return True


def _ended(children: dict[int, str]) -> Iterator[Notice]:
    """Reap the children that have ended."""
    while children:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        if pid in children:
            yield "ended", children.pop(pid), os.waitstatus_to_exitcode(status)


def _receive(connection: Connection[Any, Any]) -> Request | None:
    try:
        request: Request | None = connection.recv()
    except (EOFError, ConnectionError):
        return None
    return request


def _tell(connection: Connection[Any, Any], notice: Notice) -> None:
    with contextlib.suppress(ConnectionError):  # nobody is left to be told
        connection.send(notice)


@contextlib.contextmanager
def _child_signals() -> Iterator[socket.socket]:
    """A socket that becomes readable when a child ends; a child leaves with default signals."""
    reader, writer = socket.socketpair()
    with reader, writer:
        for end in (reader, writer):
            end.setblocking(False)
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        yield reader
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _work(module: str, function: str, request: Request) -> int:
    """The life of a child, as if it had been started afresh; returns its exit status."""
    _, argument, environment = request
    os.environ.clear()
    os.environ.update(environment)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()  # else all children would draw the same numbers
    try:
        getattr(importlib.import_module(module), function)(argument)
    except Exception:
        traceback.print_exc()
        return 1
    return 0


def _finish(status: int) -> NoReturn:
    """End this child as Python would, without freeing every object of every module: it is slow."""
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
