"""The published schema of a deviation event agrees with what the outbox holds."""

from __future__ import annotations

import datetime as dt
from typing import Any

import jsonschema
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from fulfillment_assets.deviations.event import (
    EVENT,
    deviation_json_schema,
    deviation_schema_text,
)
from fulfillment_assets.deviations.status import STATUSES
from fulfillment_assets.settings import PROJECT_ROOT
from tests.deviations.examples import events
from tests.deviations.traffic import HOUR, MINUTE, NOON, add, usual_week, watch
from tests.kpis.examples import Event, commit


def problems(payload: object) -> list[str]:
    """What of a payload the schema does not allow."""
    validator = jsonschema.Draft202012Validator(
        deviation_json_schema(), format_checker=jsonschema.FormatChecker()
    )
    return [error.message for error in validator.iter_errors(payload)]


@pytest.fixture
def payloads(engine: Engine) -> dict[str, dict[str, Any]]:
    """One payload of each kind, out of the outbox."""
    commit(engine, Event('Ö"1\\', 0.9, order_status="shipped"), Event("O2", 0.6, at=NOON))
    usual_week(engine)
    add(engine, NOON, 600, {"F/Road/*": 0.8}, late_share=0.9)
    watch(engine, NOON + 59 * MINUTE)
    return {event["payload"]["kind"]: event["payload"] for event in events(engine)}


def test_the_committed_schema_is_the_generated_one() -> None:
    committed = (PROJECT_ROOT / "docs" / "deviation.schema.json").read_text(encoding="utf-8")
    assert committed == deviation_schema_text(), "run: python -m fulfillment_assets.documentation"


def test_it_is_a_json_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(deviation_json_schema())


def test_it_names_every_status() -> None:
    status = deviation_json_schema()["$defs"]["OrderEvent"]["properties"]["status"]
    assert status["enum"] == list(STATUSES)


def test_what_the_outbox_holds_keeps_it(payloads: dict[str, dict[str, Any]]) -> None:
    assert set(payloads) == {"delay_risk", "fulfillment_gap", "segment_risk", "on_time_rate"}
    for payload in payloads.values():
        assert problems(payload) == []
        EVENT.validate_python(payload)


def test_riskiest_orders_keep_it(engine: Engine) -> None:
    now = dt.datetime.now(dt.UTC)
    with engine.begin() as connection:
        connection.execute(
            sa.text("UPDATE settings SET value = '0.9' WHERE key = 'on_time_rate_target'")
        )
    commit(engine, *(Event(f"O{n}", 0.9) for n in range(40)), received_at=now)
    found = [e["payload"] for e in events(engine) if e["payload"]["kind"] == "on_time_rate"]
    assert found
    for payload in found:
        assert len(payload["context"]["riskiest_orders"]) == 10
        assert problems(payload) == []


@pytest.mark.parametrize(
    "change",
    [
        {"schema_version": 2},
        {"severity": "info"},
        {"status": "open"},
        {"kind": "delay"},
        {"context": {}},
        {"event_id": None},
        {"more": 1},
    ],
)
def test_what_the_outbox_never_holds_is_not_allowed(
    payloads: dict[str, dict[str, Any]], change: dict[str, Any]
) -> None:
    for payload in payloads.values():
        assert problems(payload | change)


def test_an_event_is_of_an_order_or_of_a_segment(payloads: dict[str, dict[str, Any]]) -> None:
    for kind, payload in payloads.items():
        subject = "order_id" if kind in ("delay_risk", "fulfillment_gap") else "segment_key"
        assert {"order_id", "segment_key"} & set(payload) == {subject}
        assert problems({k: v for k, v in payload.items() if k != subject})


def test_a_segment_tells_its_latest_news(engine: Engine) -> None:
    usual_week(engine)
    for number, mean in enumerate([0.68, 0.8]):
        add(engine, NOON + number * HOUR, 400, {"F/Road/*": mean})
        watch(engine, NOON + number * HOUR + 59 * MINUTE)
    first, second = (EVENT.validate_python(event["payload"]) for event in events(engine))
    assert first.deviation_id == second.deviation_id
    assert first.event_id != second.event_id
    assert (first.severity, second.severity) == ("warning", "critical")
    assert second.updated_at > first.updated_at == first.created_at
