"""What every test may use: a real PostgreSQL and a real Kafka, started at the first need.

One of each serves the whole session. Under pytest-xdist the controller owns them, and the workers
attach to them through the directory that they share.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psycopg2
import pytest
from filelock import FileLock
from sqlalchemy.engine import Engine, make_url

from fulfillment_assets.events.client import admin
from fulfillment_assets.events.topics import ensure_topics
from fulfillment_assets.local.java import fetch_jars
from fulfillment_assets.local.kafka import EmbeddedKafka
from fulfillment_assets.local.kafka_home import KafkaHome
from fulfillment_assets.local.postgres import EmbeddedPostgres
from fulfillment_assets.local.supervisor import interruptible
from fulfillment_assets.observability.logs import PACKAGES
from fulfillment_assets.settings import PROJECT_ROOT, Settings
from fulfillment_assets.store import migrate
from fulfillment_assets.store.connection import create_engine
from tests.events.broker import KafkaBroker, lend_jars, private_broker

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController

pytest_plugins = ["tests.programs"]

_WORKER_INPUT: Final = "shared_directory"
_SHARED: Final = pytest.StashKey[Path]()
_SERVER: Final = pytest.StashKey[EmbeddedPostgres]()
_KAFKA: Final = pytest.StashKey[EmbeddedKafka]()
_TEMPLATE: Final = "migrated_template"


def pytest_configure(config: pytest.Config) -> None:
    """Agree on the session's directory, and see to it that nothing is left in the end."""
    worker_input: dict[str, str] | None = getattr(config, "workerinput", None)
    if worker_input is None:
        shared = Path(tempfile.mkdtemp(prefix="fulfillment-tests-"))
    else:
        shared = Path(worker_input[_WORKER_INPUT])
    server, kafka = EmbeddedPostgres(shared), EmbeddedKafka(shared)
    config.stash[_SHARED] = shared
    config.stash[_SERVER] = server
    config.stash[_KAFKA] = kafka
    if worker_input is None:
        cleanup = contextlib.ExitStack()
        cleanup.enter_context(interruptible())
        cleanup.callback(shutil.rmtree, shared)
        cleanup.callback(server.stop)
        cleanup.callback(kafka.stop)
        config.add_cleanup(cleanup.close)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: WorkerController) -> None:
    """Start the server for the workers of pytest-xdist, and tell each where it is."""
    node.config.stash[_SERVER].start()
    node.workerinput[_WORKER_INPUT] = str(node.config.stash[_SHARED])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests of the whole platform, which take longest."""
    items.sort(key=lambda item: not item.path.name.startswith("test_platform"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where CI=true, fail a test that is skipped."""
    report = yield
    _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Where CI=true, fail a module that is skipped."""
    report = yield
    _refuse_skip(report)
    return report


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if os.environ.get("CI") != "true" or not report.skipped or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
    report.outcome = "failed"
    report.longrepr = f"With CI=true no test may be skipped. {reason}"


@pytest.fixture(autouse=True)
def _no_log_lines() -> Iterator[None]:
    """Let no test write log lines because a module, or another's application, set logging up."""
    _silence()
    yield
    _silence()


def _silence() -> None:
    for name in PACKAGES:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.setLevel(logging.NOTSET)


@pytest.fixture(scope="session")
def postgres(pytestconfig: pytest.Config) -> EmbeddedPostgres:
    """The session's PostgreSQL server."""
    server = pytestconfig.stash[_SERVER]
    server.start()
    return server


@pytest.fixture(scope="session")
def migrated_template(postgres: EmbeddedPostgres, pytestconfig: pytest.Config) -> str:
    """Name of a database with the schema at its newest version, to copy from."""
    with FileLock(pytestconfig.stash[_SHARED] / "template.lock"):
        found = _execute(postgres.url, f"SELECT 1 FROM pg_database WHERE datname = '{_TEMPLATE}'")
        if not found:
            unfinished = f"{_TEMPLATE}_{uuid.uuid4().hex}"
            _execute(postgres.url, f"CREATE DATABASE {unfinished}")
            migrate.upgrade(_database_url(postgres.url, unfinished))
            _execute(postgres.url, f"ALTER DATABASE {unfinished} RENAME TO {_TEMPLATE}")
    return _TEMPLATE


@pytest.fixture
def database_url(postgres: EmbeddedPostgres, migrated_template: str) -> Iterator[str]:
    """URL of a fresh database with the schema at its newest version."""
    with _fresh_database(postgres.url, migrated_template) as url:
        yield url


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """Engine of a fresh, migrated database."""
    engine = create_engine(database_url, pool_size=10)
    yield engine
    engine.dispose()


@pytest.fixture
def empty_database_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    """URL of a fresh database with nothing in it."""
    with _fresh_database(postgres.url, "template1") as url:
        yield url


@pytest.fixture(scope="session")
def kafka_jars() -> Path:
    """Apache Kafka's jars, fetched once for all sessions; skips where Java or Maven is missing."""
    data_dir = PROJECT_ROOT / "data"
    if (missing := EmbeddedKafka(data_dir).missing()) is not None:
        pytest.skip(missing)
    return fetch_jars(data_dir / "kafka")


@pytest.fixture(scope="session")
def kafka_template(pytestconfig: pytest.Config, kafka_jars: Path) -> Path:
    """A data directory with a Kafka broker that was never started, to copy from."""
    template = pytestconfig.stash[_SHARED] / "kafka_template"
    with FileLock(template.with_suffix(".lock")):
        if not template.exists():
            unfinished = template.with_suffix(".unfinished")
            lend_jars(kafka_jars, unfinished)
            KafkaHome(unfinished / "kafka").prepare()
            unfinished.rename(template)
    return template


@pytest.fixture(scope="session")
def kafka(pytestconfig: pytest.Config, kafka_jars: Path) -> str:
    """Address of the session's Kafka broker."""
    lend_jars(kafka_jars, pytestconfig.stash[_SHARED])
    server = pytestconfig.stash[_KAFKA]
    server.start()
    return server.bootstrap_servers


@pytest.fixture
def kafka_settings(kafka: str) -> Settings:
    """Settings that point at the session's broker, with topics of one test alone."""
    name = uuid.uuid4().hex
    settings = Settings(
        kafka_bootstrap_servers=kafka,
        events_topic=f"events-{name}",
        events_partitions=3,
        deviations_topic=f"deviations-{name}",
        dlq_topic=f"dlq-{name}",
    )
    ensure_topics(settings)
    return settings


@pytest.fixture
def make_topic(kafka: str) -> Callable[..., str]:
    """Makes a topic of one test alone: `make_topic(partitions=2)` returns its name."""

    def make(partitions: int = 1, **configuration: str) -> str:
        name = f"t-{uuid.uuid4().hex}"
        request = {"num_partitions": partitions, "configs": configuration}
        with admin(Settings(kafka_bootstrap_servers=kafka)) as client:
            client.create_topics({name: request}, wait_for_metadata=True)
        return name

    return make


@pytest.fixture
def kafka_broker(tmp_path: Path, kafka_template: Path) -> Iterator[KafkaBroker]:
    """A running broker of one test alone, for tests in which it fails."""
    with private_broker(kafka_template, tmp_path / "broker") as broker:
        yield broker


@contextlib.contextmanager
def _fresh_database(server_url: str, template: str) -> Iterator[str]:
    name = f"t_{uuid.uuid4().hex}"
    _execute(server_url, f"CREATE DATABASE {name} TEMPLATE {template}")
    try:
        yield _database_url(server_url, name)
    finally:
        # Not WITH (FORCE): that would have to end a worker of autovacuum, which is not ours.
        sessions = f"FROM pg_stat_activity WHERE datname = '{name}' AND usename = current_user"
        _execute(server_url, f"SELECT pg_terminate_backend(pid) {sessions}")
        _execute(server_url, f"DROP DATABASE {name}")


def _database_url(server_url: str, database: str) -> str:
    return make_url(server_url).set(database=database).render_as_string(hide_password=False)


def _execute(url: str, statement: str) -> int:
    """Run a statement outside a transaction; returns the number of rows that it found."""
    dsn = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with contextlib.closing(psycopg2.connect(dsn)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.rowcount
