"""How the platform stands, as Prometheus takes it: batches, deviations, and the stream's lag."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import sqlalchemy as sa
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy.engine import Connection

from fulfillment_api.database import Database
from fulfillment_assets.deviations.status import OPEN_STATUSES
from fulfillment_assets.events import offsets
from fulfillment_assets.events.client import (
    KafkaUnavailableError,
    admin,
    broker_errors,
    configured,
)
from fulfillment_assets.events.topic_log import look_at
from fulfillment_assets.settings import Settings

_BATCHES: Final = "SELECT status, count(*) FROM batch_jobs GROUP BY status"
_DEVIATIONS: Final = (
    "SELECT kind, severity, status, count(*) FROM deviations "
    f"WHERE status IN {OPEN_STATUSES} GROUP BY kind, severity, status"
)


class PlatformMetrics(Collector):
    """Reads the database, and asks Kafka how far its topic reaches, when it is collected."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings

    def describe(self) -> list[GaugeMetricFamily]:
        """Nothing in advance: else it would be collected when it is registered."""
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The gauges of this moment."""
        with self._database.read() as connection:
            yield _counted(connection, "batches", "Files, by status.", ("status",), _BATCHES)
            yield _counted(
                connection,
                "open_deviations",
                "Deviations that are not settled yet.",
                ("kind", "severity", "status"),
                _DEVIATIONS,
            )
            positions = offsets.positions(connection, self._settings.events_topic)
        if configured(self._settings):
            yield from _lag(self._settings, {one.partition: one.next_offset for one in positions})


def _counted(
    connection: Connection, name: str, text: str, labels: tuple[str, ...], query: str
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"fulfillment_{name}", text, labels=labels)
    for *values, count in connection.execute(sa.text(query)):
        family.add_metric(values, count)
    return family


def _lag(settings: Settings, next_offsets: dict[int, int]) -> Iterator[GaugeMetricFamily]:
    up = GaugeMetricFamily("fulfillment_stream_up", "Whether Kafka answers: 1 or 0.")
    lag = GaugeMetricFamily(
        "fulfillment_stream_lag", "Messages that wait to be scored.", labels=("partition",)
    )
    try:
        with broker_errors(settings), admin(settings) as client:
            log = look_at(client, settings.events_topic)
    except KafkaUnavailableError:
        up.add_metric([], 0)
    else:
        up.add_metric([], 1)
        for partition, end in log.ends.items():
            first = max(next_offsets.get(partition, 0), log.starts[partition])
            lag.add_metric([str(partition)], max(0, end - first))
    yield from (up, lag)
