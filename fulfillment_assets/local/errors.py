"""What can go wrong with a local service, said so that the reader knows what to do."""

from __future__ import annotations


class LocalServiceError(Exception):
    """A local service cannot be started, reached or stopped."""


class PortTakenError(LocalServiceError):
    """A port that was asked for is in use by another program.

    Attributes:
        port: the TCP port on 127.0.0.1.
        setting: the environment variable that chooses another one.
    """

    def __init__(self, port: int, setting: str) -> None:
        super().__init__(
            f"Port {port} on 127.0.0.1 is taken by another program. "
            f"Stop that program, or set {setting} to a free port."
        )
        self.port = port
        self.setting = setting


class DataDirectoryError(LocalServiceError):
    """A data directory cannot be used as it is."""


class ServiceFailedError(LocalServiceError):
    """A supervised service did not come up, or would not stay up.

    Attributes:
        service: the name of the service.
    """

    def __init__(self, service: str, message: str) -> None:
        super().__init__(message)
        self.service = service
