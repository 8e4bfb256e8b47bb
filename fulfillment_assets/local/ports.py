"""TCP ports on the loopback interface."""

from __future__ import annotations

import errno
import random
import socket
from typing import Final

from fulfillment_assets.local.errors import LocalServiceError, PortTakenError

LOOPBACK: Final = "127.0.0.1"
_SEARCHED_PORTS: Final = 200
_UNASKED: Final = (20_000, 32_000)


def port_is_free(port: int) -> bool:
    """Whether a server could listen on this port of 127.0.0.1 now.

    Raises:
        LocalServiceError: the system allows no server on it, for instance below 1024.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: connections of a former server in TIME_WAIT do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise LocalServiceError(
                f"Cannot listen on port {port} of {LOOPBACK}: {error.strerror}."
            ) from error
    return True


def any_port() -> int:
    """A free port of 127.0.0.1, at random, for what no user looks for.

    It lies below those that the system gives to clients: one of these could be in use again by the
    time a server wants it.
    """
    return free_port(None, random.SystemRandom().randrange(*_UNASKED), "")


def free_port(preferred: int | None, default: int, setting: str) -> int:
    """A port of 127.0.0.1 on which a server can listen.

    Args:
        preferred: the port asked for; it is taken or refused, never replaced.
        default: without a preferred port, the first one to try; then the ones above it.
        setting: the environment variable that sets `preferred`, named in the error.

    Raises:
        PortTakenError: the preferred port is in use.
        LocalServiceError: no port from `default` upwards is free.
    """
    if preferred is not None:
        if not port_is_free(preferred):
            raise PortTakenError(preferred, setting)
        return preferred
    last = min(default + _SEARCHED_PORTS, 65535)
    for port in range(default, last + 1):
        if port_is_free(port):
            return port
    raise LocalServiceError(
        f"No port from {default} to {last} is free on {LOOPBACK}. "
        f"Set {setting} to a port that is free."
    )
