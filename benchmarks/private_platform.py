"""A whole platform for one measurement: its own folder, database, broker and settings."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Final, Literal

import sqlalchemy as sa
from kafka.errors import KafkaError  # type: ignore[import-untyped]
from sqlalchemy.engine import Engine
from sqlalchemy.exc import OperationalError

from fulfillment_assets.events.client import KafkaUnavailableError, admin
from fulfillment_assets.events.offsets import positions
from fulfillment_assets.events.producing import Pace, Sent, send
from fulfillment_assets.events.simulated import Traffic, simulated_messages
from fulfillment_assets.events.topic_log import look_at
from fulfillment_assets.local import platform
from fulfillment_assets.local.java import fetch_jars
from fulfillment_assets.local.ports import any_port
from fulfillment_assets.local.services import Urls
from fulfillment_assets.local.supervisor import Supervisor, interruptible
from fulfillment_assets.orders.simulator.plan import SimulationPlan
from fulfillment_assets.settings import Settings
from fulfillment_assets.store.connection import create_engine

Launcher = Literal["warm", "stock"]

DAYS: Final = 30
_PORTS: Final = ("POSTGRES", "KAFKA", "DAGSTER", "API")
_OURS: Final = ("DATABASE_URL", "DAGSTER", "FULFILLMENT_", "KAFKA_")


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """How the platform's stream is set for a measurement."""

    flush_messages: int
    flush_seconds: float
    launcher: Launcher

    @property
    def variables(self) -> dict[str, str]:
        """The same as environment variables."""
        return {
            "FULFILLMENT_STREAM_FLUSH_MESSAGES": str(self.flush_messages),
            "FULFILLMENT_STREAM_FLUSH_SECONDS": str(self.flush_seconds),
            "FULFILLMENT_RUN_LAUNCHER": self.launcher,
        }


@dataclass(frozen=True, slots=True)
class Load:
    """What is sent; see `Pace` and `Traffic`."""

    rate: float | None = None
    duration: float | None = None
    count: int | None = None
    seed: int = 1
    traffic: Traffic = field(default_factory=Traffic)


@contextlib.contextmanager
def private_settings(stream: StreamSettings) -> Iterator[Settings]:
    """Settings of a platform in a temporary folder; other processes inherit them.

    Raises:
        LocalServiceError: Java or Maven is missing.
    """
    jars = fetch_jars(Settings().data_dir.resolve() / "kafka")
    former = dict(os.environ)
    with tempfile.TemporaryDirectory(prefix="fulfillment-bench-") as folder, interruptible():
        home = Path(folder, "kafka")
        home.mkdir()
        (home / jars.name).symlink_to(jars)
        for name in former:
            if name.startswith(_OURS):
                del os.environ[name]
        # Far from where every other platform begins to look, so that two do not meet.
        ports = {f"FULFILLMENT_{name}_PORT": str(any_port()) for name in _PORTS}
        os.environ.update({"FULFILLMENT_DATA_DIR": folder, **ports, **stream.variables})
        try:
            yield Settings()
        finally:
            os.environ.clear()
            os.environ.update(former)


@dataclass(frozen=True, slots=True)
class PrivatePlatform:
    """A platform that is up."""

    settings: Settings
    supervisor: Supervisor
    engine: Engine

    def pids(self) -> dict[str, int]:
        """Main process of each service that is running."""
        services = {s.name: s.pid for s in self.supervisor.status() if s.pid is not None}
        with contextlib.suppress(OperationalError), self.engine.connect() as connection:
            services["postgresql"] = _postmaster(connection)
        return services

    def lag(self) -> int | None:
        """How many messages wait to be committed; None where nobody tells just now."""
        topic = self.settings.events_topic
        try:
            with admin(self.settings) as client:
                ends = look_at(client, topic).ends
            with self.engine.connect() as connection:
                stands = {p.partition: p.next_offset for p in positions(connection, topic)}
        except (KafkaError, KafkaUnavailableError, OperationalError):
            return None
        return sum(end - stands.get(partition, 0) for partition, end in ends.items())


@contextlib.contextmanager
def private_platform(settings: Settings) -> Iterator[PrivatePlatform]:
    """Everything started and healthy inside the block, as `fulfillment up` does it."""
    with (
        platform.running_platform(settings) as (supervisor, urls),
        platform.database(settings) as url,
    ):
        found = settings.model_copy(update={"kafka_bootstrap_servers": _servers(urls)})
        engine = create_engine(url)
        try:
            yield PrivatePlatform(found, supervisor, engine)
        finally:
            engine.dispose()


@contextlib.contextmanager
def producing(settings: Settings, load: Load) -> Iterator[Future[Sent]]:
    """Send a load from a process of its own, whose result is awaited at the end."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as elsewhere:
        yield elsewhere.submit(_produce, settings, load)


def _produce(settings: Settings, load: Load) -> Sent:
    import datetime as dt
    import threading

    from fulfillment_assets.store.partitions import utc_today

    plan = SimulationPlan(
        count=1, seed=load.seed, start=utc_today() - dt.timedelta(days=DAYS), days=DAYS
    )
    pace = Pace(load.rate, None, load.count, load.duration)
    messages = simulated_messages(plan, load.traffic, count=pace.total, rate=load.rate)
    return send(settings, messages, pace, stop=threading.Event())


def _servers(urls: Urls) -> str:
    if urls.kafka is None or urls.kafka_problem is not None:
        raise RuntimeError(f"there is no Kafka to measure: {urls.kafka_problem}")
    return urls.kafka


def _postmaster(connection: sa.Connection) -> int:
    import psutil

    backend: int = connection.execute(sa.text("SELECT pg_backend_pid()")).scalar_one()
    return psutil.Process(backend).ppid()
