"""The whole platform on one machine: database, Kafka, Chroma, Dagster and API, on loopback."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from fulfillment_assets.events.client import KafkaUnavailableError, configured
from fulfillment_assets.events.topics import ensure_topics
from fulfillment_assets.local.chroma import EmbeddedChroma
from fulfillment_assets.local.errors import LocalServiceError
from fulfillment_assets.local.kafka import EmbeddedKafka
from fulfillment_assets.local.postgres import EmbeddedPostgres
from fulfillment_assets.local.service import Service
from fulfillment_assets.local.services import Urls, compose
from fulfillment_assets.local.supervisor import Supervisor
from fulfillment_assets.settings import PROJECT_ROOT, Settings
from fulfillment_assets.store import migrate
from fulfillment_assets.store.connection import dagster_storage_url, normalise_url

_STATE_FILE: Final = "platform.json"
_LOCK_FILE: Final = "platform.lock"
_WATCH_SECONDS: Final = 2.0


@contextlib.contextmanager
def database(settings: Settings) -> Iterator[str]:
    """The URL of a migrated database: that of `DATABASE_URL`, or of the embedded server.

    The embedded server is stopped at the end if this started it.

    Raises:
        LocalServiceError: the embedded server does not start.
        DatabaseUnavailableError: the server does not answer or is too old.
    """
    if settings.database_url is not None:
        url = normalise_url(settings.database_url.get_secret_value())
        migrate.upgrade(url.render_as_string(hide_password=False))
        yield url.render_as_string(hide_password=False)
        return
    with EmbeddedPostgres(settings.data_dir, settings.postgres_port).running() as server:
        migrate.upgrade(server.url)
        yield server.url


@contextlib.contextmanager
def broker(settings: Settings) -> Iterator[Settings]:
    """The settings, pointing at a Kafka broker that is up and has the topics.

    It is that of `KAFKA_BOOTSTRAP_SERVERS`, or of the platform that is running on this data
    directory, or an embedded one, which is stopped at the end if this started it.

    Raises:
        LocalServiceError: the embedded broker does not start, or something is missing for it.
        KafkaUnavailableError: the broker does not answer, or refuses us.
    """
    urls = running_urls(settings)
    with contextlib.ExitStack() as stack:
        if configured(settings):
            found = settings
        elif urls is not None and urls.kafka is not None:
            found = _pointing_at(settings, urls.kafka)
        else:
            embedded = stack.enter_context(_embedded_kafka(settings).running())
            found = _pointing_at(settings, embedded.bootstrap_servers)
        ensure_topics(found)
        yield found


@contextlib.contextmanager
def vector_store(settings: Settings) -> Iterator[Settings]:
    """The settings, pointing at a Chroma server that is up.

    It is that of `CHROMA_URL`, or of the platform that is running on this data directory, or an
    embedded one, which is stopped at the end if this started it.

    Raises:
        LocalServiceError: the embedded server does not start.
    """
    urls = running_urls(settings)
    if settings.chroma_url is not None:
        yield settings
    elif urls is not None:
        yield settings.model_copy(update={"chroma_url": urls.chroma})
    else:
        with EmbeddedChroma(settings.data_dir, settings.chroma_port).running() as server:
            yield settings.model_copy(update={"chroma_url": server.url})


def environment(settings: Settings, database_url: str) -> dict[str, str]:
    """Environment variables with which every process of the platform agrees on where things are.

    Creates Dagster's home in the data directory; its `dagster.yaml` is the project's.
    """
    home = settings.data_dir.resolve() / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    _link(home / "dagster.yaml", PROJECT_ROOT / "dagster.yaml")
    storage = settings.dagster_postgres_url
    files = {
        "FULFILLMENT_TRAINING_FILE": settings.training_file,
        "KAFKA_SSL_CAFILE": settings.kafka_ssl_cafile,
        "KAFKA_SSL_CERTFILE": settings.kafka_ssl_certfile,
        "KAFKA_SSL_KEYFILE": settings.kafka_ssl_keyfile,
    }
    addresses = {
        "KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
        "CHROMA_URL": settings.chroma_url,
    }
    return {
        "DATABASE_URL": database_url,
        "DAGSTER_POSTGRES_URL": (
            dagster_storage_url(database_url) if storage is None else storage.get_secret_value()
        ),
        "DAGSTER_HOME": str(home),
        "FULFILLMENT_DATA_DIR": str(settings.data_dir.resolve()),
        "FULFILLMENT_MODELS_DIR": str(settings.models_dir.resolve()),
        "FULFILLMENT_INBOX_DIR": str(settings.inbox.resolve()),
        "FULFILLMENT_KNOWLEDGE_DIR": str(settings.knowledge_dir.resolve()),
        **{name: address for name, address in addresses.items() if address},
        **{name: str(path.resolve()) for name, path in files.items() if path is not None},
    }


def _link(link: Path, target: Path) -> None:
    """Point a link at a file, at once for every process; the project may have moved."""
    if link.is_symlink() and link.readlink() == target:
        return
    unfinished = link.with_name(f".{link.name}.{os.getpid()}")
    unfinished.symlink_to(target)
    unfinished.replace(link)


def write_env_file(settings: Settings, database_url: str) -> Path:
    """Write `.env` at the project's root, readable by its owner only, and return its path.

    Dagster's own commands read it, so that a plain `dagster dev` finds the database.
    """
    path = PROJECT_ROOT / ".env"
    unfinished = path.with_suffix(".part")
    unfinished.touch(mode=0o600)
    lines = [f"{key}={value}\n" for key, value in environment(settings, database_url).items()]
    unfinished.write_text("".join(lines))
    return unfinished.replace(path)


@contextlib.contextmanager
def running_platform(settings: Settings) -> Iterator[tuple[Supervisor, Urls]]:
    """Everything started and healthy inside the block, nothing left after it.

    Raises:
        LocalServiceError: it is running already, or a part of it does not come up.
    """
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    with _only_one(settings), database(settings) as url, contextlib.ExitStack() as starting:
        settings, kafka, problem = _find_kafka(settings, starting)
        settings, chroma = _find_chroma(settings, starting)
        variables = environment(settings, url)
        embedded = [service for service in (kafka, chroma) if service is not None]
        supervisor, urls = compose(settings, variables, embedded)
        with supervisor:
            starting.close()
            problem = problem or _topics_problem(settings)
            urls = replace(urls, kafka_problem=problem)
            state = settings.data_dir / _STATE_FILE
            state.write_text(json.dumps(asdict(urls)))
            try:
                yield supervisor, urls
            finally:
                state.unlink(missing_ok=True)


def watch(settings: Settings, supervisor: Supervisor) -> None:
    """Keep the platform up until interrupted: the embedded database too.

    Raises:
        ServiceFailedError: a service crashed too often.
    """
    embedded = settings.database_url is None
    server = EmbeddedPostgres(settings.data_dir, settings.postgres_port)
    while True:
        supervisor.wait(_WATCH_SECONDS)
        if embedded:
            server.start()


def running_urls(settings: Settings) -> Urls | None:
    """Where the platform of this data directory is running, or None if it is not."""
    state = settings.data_dir / _STATE_FILE
    try:
        with FileLock(settings.data_dir / _LOCK_FILE, timeout=0):
            return None
    except (Timeout, FileNotFoundError):
        pass
    try:
        return Urls(**json.loads(state.read_text()))
    except FileNotFoundError:
        return None


@contextlib.contextmanager
def _only_one(settings: Settings) -> Iterator[None]:
    try:
        with FileLock(settings.data_dir / _LOCK_FILE, timeout=0):
            yield
    except Timeout as error:
        raise LocalServiceError(
            f"the platform is running already on {settings.data_dir}; stop it first, or set "
            "FULFILLMENT_DATA_DIR to another folder"
        ) from error


def _find_kafka(
    settings: Settings, starting: contextlib.ExitStack
) -> tuple[Settings, Service | None, str | None]:
    """The settings with the broker's address, the embedded broker to start, what is missing.

    Until `starting` is closed no other process starts an embedded broker.
    """
    if configured(settings):
        return settings, None, None
    try:
        service = starting.enter_context(_embedded_kafka(settings).supervised())
    except LocalServiceError as error:
        return settings, None, str(error)
    return _pointing_at(settings, service.url), service, None


def _find_chroma(
    settings: Settings, starting: contextlib.ExitStack
) -> tuple[Settings, Service | None]:
    """The settings with Chroma's address, and the embedded server to start, as for Kafka."""
    if settings.chroma_url is not None:
        return settings, None
    server = EmbeddedChroma(settings.data_dir, settings.chroma_port)
    service = starting.enter_context(server.supervised())
    return settings.model_copy(update={"chroma_url": service.url}), service


def _embedded_kafka(settings: Settings) -> EmbeddedKafka:
    if settings.kafka_security_protocol != "PLAINTEXT":
        raise LocalServiceError(
            f"KAFKA_SECURITY_PROTOCOL={settings.kafka_security_protocol} is for brokers of yours: "
            "set KAFKA_BOOTSTRAP_SERVERS, too, or unset it"
        )
    kafka = EmbeddedKafka(settings.data_dir, settings.kafka_port)
    if (problem := kafka.missing()) is not None:
        raise LocalServiceError(problem)
    return kafka


def _topics_problem(settings: Settings) -> str | None:
    try:
        ensure_topics(settings)
    except KafkaUnavailableError as error:
        return str(error)
    return None


def _pointing_at(settings: Settings, servers: str | None) -> Settings:
    return settings.model_copy(update={"kafka_bootstrap_servers": servers})
