"""The events that deviations leave in the outbox."""

from __future__ import annotations

import datetime as dt
import uuid

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from fulfillment_assets.deviations.event import SCHEMA_VERSION
from fulfillment_assets.deviations.rules import forget_events_before
from fulfillment_assets.deviations.severity import Thresholds
from fulfillment_assets.orders.contract import FIELDS
from fulfillment_assets.scoring import staging
from fulfillment_assets.scoring.pipeline import apply_staged
from fulfillment_assets.scoring.rows import Arrival, ScoredOrders, score_orders
from fulfillment_assets.store.partitions import ensure_partition
from fulfillment_assets.store.settings_table import write_setting
from tests.deviations.examples import announced, deviations, events, rows
from tests.kpis.examples import (
    HOUR,
    NOW,
    Event,
    commit,
    committed_scorer,
    order_table,
    write,
)


def discounted(discount: float) -> pa.Table:
    """One validated order with this discount, in percent."""
    orders = order_table([Event("O1")])
    place = orders.schema.get_field_index("discount_offered")
    return orders.set_column(place, orders.schema.field(place), [[discount]])


def take(engine: Engine, scored: ScoredOrders) -> None:
    """Carry scored orders through every table."""
    with engine.begin() as connection:
        ensure_partition(connection, NOW.date())
        staging.open_staging(connection)
        staging.stage(connection, staging.encode_batch(scored, Arrival("api", NOW)), NOW.date())
        apply_staged(connection, Thresholds(), NOW)


BANDS = [Event("O1", 0.2), Event("O2", 0.4), Event("O3", 0.6), Event("O4", 0.9)]


def test_new_deviations_are_announced_from_warning_on(engine: Engine) -> None:
    commit(engine, *BANDS)
    assert announced(engine) == [
        ("O3", "delay_risk", "warning"),
        ("O4", "delay_risk", "critical"),
    ]


def test_a_deviation_of_severity_info_is_not_announced(engine: Engine) -> None:
    with engine.begin() as connection:
        write_setting(connection, "deviation_min_severity", "info", changed_by="test")
    commit(engine, *BANDS)
    assert len(deviations(engine)) == 3
    assert [order_id for order_id, _, _ in announced(engine)] == ["O3", "O4"]


def test_each_kind_of_deviation_has_its_own_event(engine: Engine) -> None:
    commit(engine, Event("O1", 0.9, order_status="shipped"))
    assert announced(engine) == [
        ("O1", "delay_risk", "critical"),
        ("O1", "fulfillment_gap", "critical"),
    ]


def test_an_unchanged_severity_is_not_announced_again(engine: Engine) -> None:
    commit(engine, Event("O1", 0.9))
    commit(engine, Event("O1", 0.8, order_status="delayed"), received_at=NOW + HOUR)
    assert announced(engine) == [("O1", "delay_risk", "critical")]


def test_a_changed_severity_is_announced(engine: Engine) -> None:
    for step, probability in enumerate([0.6, 0.9, 0.6, 0.61]):
        commit(engine, Event("O1", probability), received_at=NOW + step * HOUR)
    assert [severity for _, _, severity in announced(engine)] == ["warning", "critical", "warning"]
    assert len({event["payload"]["deviation_id"] for event in events(engine)}) == 1


def test_a_resolved_deviation_is_not_announced(engine: Engine) -> None:
    commit(engine, Event("O1", 0.9))
    commit(engine, Event("O1", 0.1), received_at=NOW + HOUR)
    assert len(events(engine)) == 1


def test_an_event_is_keyed_by_its_order_and_has_an_id_of_its_own(engine: Engine) -> None:
    commit(engine, *(Event(f"O{number}", 0.9, order_status="shipped") for number in range(50)))
    found = events(engine)
    assert [event["key"] for event in found] == [
        order_id for order_id in sorted(f"O{number}" for number in range(50)) for _ in range(2)
    ]
    assert len({event["event_id"] for event in found}) == 100
    for event in found:
        assert event["topic"] == "deviation-events"
        assert event["payload"]["event_id"] == str(event["event_id"])
        assert event["payload"]["order_id"] == event["key"]
        assert event["published_at"] is None


def test_an_event_tells_all_that_is_known_of_the_deviation_and_its_order(engine: Engine) -> None:
    placed = NOW - 30 * HOUR
    event = Event('Ö"1\\', 0.654321, at=placed, order_status="shipped", warehouse_block="F")
    commit(engine, event)
    risk = deviations(engine)[0]
    payload = events(engine)[0]["payload"]
    context = payload.pop("context")
    for moment in ("created_at", "updated_at"):
        assert dt.datetime.fromisoformat(payload.pop(moment)) == risk[moment]
    assert payload == {
        "schema_version": SCHEMA_VERSION,
        "event_id": str(uuid.UUID(payload["event_id"])),
        "deviation_id": str(risk["id"]),
        "order_id": 'Ö"1\\',
        "kind": "delay_risk",
        "severity": "warning",
        "reason": risk["reason"],
        "status": "pending",
    }
    assert context == risk["context"]
    assert context["delay_probability"] == 0.654321
    assert context["severity"] == "warning"
    order = context["order"]
    assert set(order) == {field.name for field in FIELDS}
    assert order["order_id"] == 'Ö"1\\'
    assert order["warehouse_block"] == "F"
    assert order["order_status"] == "shipped"
    assert order["delivery_date"] is None
    assert dt.datetime.fromisoformat(order["order_date"]) == placed
    assert order["cost_of_product"] == 219


def test_an_event_carries_the_model_and_its_reasons(engine: Engine) -> None:
    scorer = committed_scorer()
    take(engine, score_orders(discounted(40.0), scorer, Thresholds(), Arrival("api", NOW)))
    [event] = events(engine)
    [prediction] = rows(engine, "SELECT reasons, model_version FROM predictions")
    context = event["payload"]["context"]
    assert context["model_version"] == prediction["model_version"] == scorer.version
    texts = [reason.pop("text") for reason in context["reasons"]]
    assert context["reasons"] == prediction["reasons"]
    assert context["reasons"][0]["feature"] == "discount_offered"
    assert texts[0] == "discount 40 % is far above usual; this raises the risk"
    assert all(text.endswith(" the risk") for text in texts)


def test_a_deviation_gives_its_first_reason_in_words(engine: Engine) -> None:
    scored = score_orders(discounted(40.0), committed_scorer(), Thresholds(), Arrival("api", NOW))
    take(engine, scored)
    [deviation] = deviations(engine)
    assert deviation["reason"] == (
        f"The order is at risk of arriving late (delay probability {scored.probability[0]:.2f}): "
        "discount 40 % is far above usual; this raises the risk"
    )
    assert events(engine)[0]["payload"]["reason"] == deviation["reason"]


def test_old_events_are_forgotten_published_or_not(engine: Engine) -> None:
    commit(engine, Event("O1", 0.9), Event("O2", 0.9), Event("O3", 0.9))
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                "UPDATE outbox SET created_at = CAST(:now AS timestamptz) + CASE key "
                "WHEN 'O3' THEN interval '0' ELSE interval '-1 microsecond' END, "
                "published_at = CASE key WHEN 'O1' THEN now() END"
            ),
            {"now": NOW},
        )
        forget_events_before(connection, NOW)
    assert [event["key"] for event in events(engine)] == ["O3"]


def test_events_exist_only_if_their_batch_was_committed(engine: Engine) -> None:
    commit(engine, Event("O1", 0.9))
    with engine.connect() as connection:
        write(connection, [Event("O2", 0.9)])
        connection.rollback()
    assert [event["key"] for event in events(engine)] == ["O1"]
    assert [deviation["order_id"] for deviation in deviations(engine)] == ["O1"]
