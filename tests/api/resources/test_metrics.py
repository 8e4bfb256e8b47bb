"""Measurements, as Prometheus reads them."""

from __future__ import annotations

import contextlib
import re

from fastapi.testclient import TestClient
from sqlalchemy.engine import Engine

from fulfillment_assets.events.client import producer
from fulfillment_assets.settings import Settings
from tests.agents.examples import Office
from tests.api.conftest import Start
from tests.api.examples import url_of


def test_metrics_have_templates_as_labels_and_tell_of_the_platform(
    api: TestClient, office: Office
) -> None:
    office.deviation(office.order("O-1"))
    office.execute(
        "INSERT INTO batch_jobs (filename, archive_name, sha256, size_bytes) "
        "VALUES ('f', 'f', repeat('0', 64), 1)"
    )
    api.get("/orders/O-1")
    api.get("/orders/O-secret")
    api.get("/nowhere/O-secret")
    response = api.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    text = response.text
    assert "O-secret" not in text
    labels = 'method="GET",route="/api/v1/orders/{order_id}"'
    assert f'fulfillment_http_requests_total{{{labels},status="404"}} 1.0' in text
    assert f"fulfillment_http_request_seconds_count{{{labels}}} 2.0" in text
    assert 'route="unmatched",status="404"' in text
    assert 'fulfillment_batches{status="pending"} 1.0' in text
    assert (
        'fulfillment_open_deviations{kind="delay_risk",severity="critical",status="pending"} 1.0'
        in text
    )
    assert "stream_lag" not in text


def test_the_lag_of_the_stream_is_that_of_kafka(
    engine: Engine, start: Start, kafka_settings: Settings
) -> None:
    with contextlib.closing(producer(kafka_settings)) as sending:
        for partition in (0, 0, 2):
            sending.send(kafka_settings.events_topic, value=b"{}", partition=partition)
        sending.flush()
    api = start(
        url_of(engine),
        kafka_bootstrap_servers=kafka_settings.kafka_bootstrap_servers,
        events_topic=kafka_settings.events_topic,
    )
    text = api.get("/metrics").text
    assert "fulfillment_stream_up 1.0" in text
    lags = re.findall(r'fulfillment_stream_lag\{partition="(\d)"\} (\S+)', text)
    assert sorted(lags) == [("0", "2.0"), ("1", "0.0"), ("2", "1.0")]


def test_without_kafka_the_rest_is_still_told(engine: Engine, start: Start) -> None:
    api = start(url_of(engine), kafka_bootstrap_servers="127.0.0.1:1")
    text = api.get("/metrics").text
    assert "fulfillment_stream_up 0.0" in text
    assert "fulfillment_stream_lag{" not in text
    assert "fulfillment_batches" in text
