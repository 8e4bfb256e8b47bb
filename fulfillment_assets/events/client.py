"""Kafka clients: the one place where settings become a client's arguments.

None of them waits for ever. A broker that is down or silent costs `CONNECT_SECONDS` when a client
is made or connects again, `REQUEST_SECONDS` for a request, and `DELIVERY_SECONDS` until a message
counts as lost.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from fulfillment_assets.settings import Settings

if TYPE_CHECKING:
    from kafka import (  # type: ignore[import-untyped]
        KafkaAdminClient,
        KafkaConsumer,
        KafkaProducer,
    )

CONNECT_SECONDS: Final = 5.0
REQUEST_SECONDS: Final = 10.0
DELIVERY_SECONDS: Final = 30.0

MAX_REQUEST_BYTES: Final = 8 * 1024**2
"""Largest message that a producer sends: as large as the largest of our topics takes."""

_CLIENT_ID: Final = "fulfillment"
_DEFAULT_PORT: Final = 9092
_PROBE_SECONDS: Final = 2.0

# Several lines for each of its many attempts; what comes of them is raised.
logging.getLogger("kafka").setLevel(logging.CRITICAL)


class KafkaUnavailableError(RuntimeError):
    """Kafka is not configured, does not answer, or refuses; the message says what to do."""


def configured(settings: Settings) -> bool:
    """Whether the settings name a broker."""
    return bool(settings.kafka_bootstrap_servers)


def consumer(settings: Settings, **options: Any) -> KafkaConsumer:
    """A consumer without a group, to be used with `assign` and `seek`; sees committed messages.

    A position that the broker does not hold (any more) raises `OffsetOutOfRangeError`; it is
    never moved silently.

    Args:
        settings: which broker.
        options: arguments of `kafka.KafkaConsumer` that differ.

    Raises:
        KafkaUnavailableError: no broker answers within `CONNECT_SECONDS`, or it refuses us.
    """
    from kafka import KafkaConsumer

    arguments = {
        "group_id": None,
        "enable_auto_commit": False,
        "auto_offset_reset": "none",
        "allow_auto_create_topics": False,
        "isolation_level": "read_committed",
        "max_poll_records": 10_000,
        "fetch_max_bytes": 64 * 1024**2,
        "max_partition_fetch_bytes": 16 * 1024**2,
        "metrics_enabled": False,
    }
    return _made(KafkaConsumer, settings, arguments | options)


def producer(settings: Settings) -> KafkaProducer:
    """An idempotent producer, which keeps the order of a partition; for many messages at once.

    `send` waits at most `REQUEST_SECONDS` for a topic's metadata. A message that no broker has
    acknowledged within `DELIVERY_SECONDS` fails, as its future tells.

    Raises:
        KafkaUnavailableError: no broker answers within `CONNECT_SECONDS`, or it refuses us.
    """
    from kafka import KafkaProducer

    arguments = {
        "enable_idempotence": True,
        "acks": "all",
        "linger_ms": 20,
        "batch_size": 256 * 1024,
        "compression_type": "zstd",
        "max_request_size": MAX_REQUEST_BYTES,
        "max_block_ms": _milliseconds(REQUEST_SECONDS),
        "delivery_timeout_ms": _milliseconds(DELIVERY_SECONDS),
        "allow_auto_create_topics": False,
        "metrics_enabled": False,
    }
    return _made(KafkaProducer, settings, arguments)


def admin(settings: Settings) -> KafkaAdminClient:
    """A client for topics and their offsets.

    Raises:
        KafkaUnavailableError: no broker answers within `CONNECT_SECONDS`, or it refuses us.
    """
    from kafka import KafkaAdminClient

    return _made(KafkaAdminClient, settings, {})


@contextlib.contextmanager
def broker_errors(settings: Settings) -> Iterator[None]:
    """Say in plain words which broker failed, and how, when a client's call fails in the block.

    Raises:
        KafkaUnavailableError: the block raised any of Kafka's errors.
    """
    from kafka.errors import KafkaError  # type: ignore[import-untyped]

    try:
        yield
    except KafkaError as error:
        where = settings.kafka_bootstrap_servers
        raise KafkaUnavailableError(f"Kafka at {where} failed: {error}") from error


def connection_arguments(settings: Settings) -> dict[str, Any]:
    """The arguments that all clients share: where the brokers are, and how to log in.

    Raises:
        KafkaUnavailableError: the settings name no broker, or are incomplete or wrong.
    """
    protocol = settings.kafka_security_protocol
    return {
        "bootstrap_servers": [
            f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            for host, port in _addresses(settings)
        ],
        "client_id": _CLIENT_ID,
        "security_protocol": protocol,
        "bootstrap_timeout_ms": _milliseconds(CONNECT_SECONDS),
        "request_timeout_ms": _milliseconds(REQUEST_SECONDS),
        # A broker that is back is found again soon.
        "reconnect_backoff_max_ms": 1_000,
        **(_login(settings) if protocol.startswith("SASL_") else {}),
        **({"ssl_context": _tls(settings)} if protocol.endswith("SSL") else {}),
    }


def _addresses(settings: Settings) -> list[tuple[str, int]]:
    servers = settings.kafka_bootstrap_servers or ""
    if not servers.strip():
        raise KafkaUnavailableError(
            "No Kafka broker is set. Set KAFKA_BOOTSTRAP_SERVERS to one, such as localhost:9092."
        )
    addresses = []
    for server in servers.split(","):
        try:
            parts = urlsplit(f"//{server.strip()}")
            addresses.append((parts.hostname or "", parts.port or _DEFAULT_PORT))
        except ValueError:
            raise KafkaUnavailableError(
                f"KAFKA_BOOTSTRAP_SERVERS has {server.strip()!r}, which is not host:port."
            ) from None
    return addresses


def _login(settings: Settings) -> dict[str, str]:
    username, password = settings.kafka_sasl_username, settings.kafka_sasl_password
    if username is None or password is None:
        raise KafkaUnavailableError(
            f"KAFKA_SECURITY_PROTOCOL is {settings.kafka_security_protocol}, which needs "
            "KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD."
        )
    return {
        "sasl_mechanism": settings.kafka_sasl_mechanism,
        "sasl_plain_username": username,
        "sasl_plain_password": password.get_secret_value(),
    }


def _tls(settings: Settings) -> ssl.SSLContext:
    """The context of TLS connections: the broker's certificate and name are always checked."""
    try:
        context = ssl.create_default_context(cafile=settings.kafka_ssl_cafile)
        if settings.kafka_ssl_certfile is not None:
            # Without a password OpenSSL would ask for one on the terminal.
            context.load_cert_chain(
                settings.kafka_ssl_certfile, settings.kafka_ssl_keyfile, password=""
            )
    except OSError as error:
        raise KafkaUnavailableError(
            "Cannot read a file of KAFKA_SSL_CAFILE, KAFKA_SSL_CERTFILE or KAFKA_SSL_KEYFILE: "
            f"{error}"
        ) from error
    return context


def _made(make: Callable[..., Any], settings: Settings, options: Mapping[str, Any]) -> Any:
    """A client that has reached a broker; nothing is left of one that has not."""
    from kafka.errors import KafkaError
    from kafka.net.compat import KafkaNetClient  # type: ignore[import-untyped]

    networks = []

    def network(**configuration: Any) -> Any:
        limit = _milliseconds(CONNECT_SECONDS)
        client = KafkaNetClient(
            **configuration,
            socket_connection_setup_timeout_ms=limit,
            socket_connection_setup_timeout_max_ms=limit,
        )
        networks.append(client)
        return client

    arguments = connection_arguments(settings)
    # The client itself sets no limit to a TLS handshake.
    if "ssl_context" in arguments and (obstacle := _obstacle(settings)):
        raise KafkaUnavailableError(obstacle)
    try:
        return make(**arguments, **options, kafka_client=network)
    except BaseException as error:
        # It would keep its thread and its sockets.
        for left in networks:
            left.close()
        if isinstance(error, KafkaError):
            raise KafkaUnavailableError(_explanation(settings, error)) from error
        raise


def _explanation(settings: Settings, error: Exception) -> str:
    from kafka.errors import SaslAuthenticationFailedError

    protocol = settings.kafka_security_protocol
    where = f"Kafka at {settings.kafka_bootstrap_servers}"
    login = f"user {settings.kafka_sasl_username!r} with {settings.kafka_sasl_mechanism}"
    if isinstance(error, SaslAuthenticationFailedError):
        return f"{where} refused {login}: {error}"
    return _obstacle(settings) or (
        f"{where} accepts connections, but did not answer within {CONNECT_SECONDS:g} seconds. "
        f"Check KAFKA_SECURITY_PROTOCOL ({protocol}), "
        # Many brokers just hang up on a wrong password.
        f"{f'the login ({login}), ' if protocol.startswith('SASL_') else ''}and the broker's log."
    )


def _obstacle(settings: Settings) -> str | None:
    """Why not one of the brokers can be connected to, or None."""
    reasons = []
    for host, port in _addresses(settings):
        try:
            with socket.create_connection((host, port), _PROBE_SECONDS) as connection:
                if settings.kafka_security_protocol.endswith("SSL"):
                    _tls(settings).wrap_socket(connection, server_hostname=host).close()
                return None
        except OSError as error:
            reasons.append(f"{host}:{port}: {error.strerror or error}")
    return (
        f"No Kafka broker answers ({'; '.join(reasons)}). "
        "Start it, or check KAFKA_BOOTSTRAP_SERVERS."
    )


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)
