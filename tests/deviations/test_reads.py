from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from fulfillment_assets.deviations.reads import (
    MAX_LIMIT,
    DeviationFilters,
    deviation_counts,
    find_deviation,
    gravest_open,
    list_deviations,
)
from tests.kpis.examples import HOUR, NOW, Event, commit

FIRST, SECOND = uuid.uuid4(), uuid.uuid4()


@pytest.fixture
def two_batches(engine: Engine) -> Engine:
    """A first batch of three orders, of which a second one updates one and adds one."""
    commit(
        engine,
        Event("O1", 0.9, order_status="shipped"),
        Event("O2", 0.6),
        Event("O3", 0.8),
        batch_job_id=FIRST,
    )
    commit(engine, Event("O2", 0.9), Event("O4", 0.55), received_at=NOW + HOUR, batch_job_id=SECOND)
    return engine


def test_a_database_without_orders_has_no_deviations(engine: Engine) -> None:
    with engine.connect() as connection:
        assert deviation_counts(connection) == {}
        assert gravest_open(connection) == []


def test_deviations_are_counted_by_kind_and_severity(two_batches: Engine) -> None:
    with two_batches.connect() as connection:
        assert deviation_counts(connection) == {
            "delay_risk": {"critical": 3, "warning": 1},
            "fulfillment_gap": {"critical": 1},
        }


def test_a_batch_has_the_deviations_that_it_touched_last(two_batches: Engine) -> None:
    with two_batches.connect() as connection:
        assert deviation_counts(connection, SECOND) == {"delay_risk": {"critical": 1, "warning": 1}}
        assert deviation_counts(connection, FIRST)["delay_risk"] == {"critical": 2}
        assert deviation_counts(connection, uuid.uuid4()) == {}


def test_the_gravest_come_first_and_of_those_the_newest(two_batches: Engine) -> None:
    with two_batches.connect() as connection:
        found = gravest_open(connection)
    assert [deviation.severity for deviation in found] == ["critical"] * 4 + ["warning"]
    graver = [deviation.id for deviation in found[:4]]
    assert graver == sorted(graver, reverse=True)
    assert found[4].order_id == "O4"


def test_no_more_are_read_than_asked_for(two_batches: Engine) -> None:
    with two_batches.connect() as connection:
        assert len(gravest_open(connection, limit=2)) == 2
        assert [d.order_id for d in gravest_open(connection, SECOND, limit=1)] == ["O2"]


def test_only_open_deviations_are_listed(two_batches: Engine) -> None:
    with two_batches.begin() as connection:
        for order_id, status in (
            ("O1", "resolved"),
            ("O2", "agent_triggered"),
            ("O3", "agent_triggered"),
            ("O3", "failed"),
        ):
            connection.execute(
                sa.text("UPDATE deviations SET status = :status WHERE order_id = :order_id"),
                {"status": status, "order_id": order_id},
            )
    with two_batches.connect() as connection:
        assert [d.order_id for d in gravest_open(connection)] == ["O2", "O4"]


def listed(
    engine: Engine, filters: DeviationFilters | None = None
) -> list[tuple[str | None, str, str]]:
    """Order, kind and severity of the deviations that pass the filters."""
    with engine.connect() as connection:
        page = list_deviations(connection, filters)
    assert page.after is None
    return [(d.order_id, d.kind, d.severity) for d in page.deviations]


def test_a_list_has_the_newest_first(two_batches: Engine) -> None:
    with two_batches.connect() as connection:
        ids = [deviation.id for deviation in list_deviations(connection).deviations]
    assert len(ids) == 5
    assert ids == sorted(ids, reverse=True)


@pytest.mark.parametrize(
    ("filters", "orders"),
    [
        (DeviationFilters(severities=("warning",)), ["O4"]),
        (DeviationFilters(severities=("warning", "critical")), ["O1", "O1", "O2", "O3", "O4"]),
        (DeviationFilters(kinds=("fulfillment_gap",)), ["O1"]),
        (DeviationFilters(kinds=("segment_risk",)), []),
        (DeviationFilters(statuses=("pending",), severities=("critical",), order_id="O2"), ["O2"]),
        (DeviationFilters(statuses=("resolved",)), []),
        (DeviationFilters(order_id="O1"), ["O1", "O1"]),
    ],
)
def test_a_list_has_what_passes_all_filters(
    two_batches: Engine, filters: DeviationFilters, orders: list[str]
) -> None:
    assert sorted(order for order, _, _ in listed(two_batches, filters) if order) == orders


def test_a_list_has_what_was_opened_since(two_batches: Engine) -> None:
    with two_batches.connect() as connection:
        moments = [d.created_at for d in list_deviations(connection).deviations]
    second = max(moments)
    assert [o for o, _, _ in listed(two_batches, DeviationFilters(since=second))] == ["O4"]
    assert len(listed(two_batches, DeviationFilters(since=min(moments)))) == 5
    later = second + dt.timedelta(microseconds=1)
    assert listed(two_batches, DeviationFilters(since=later)) == []
    assert (
        len(listed(two_batches, DeviationFilters(since=dt.datetime(1969, 1, 1, tzinfo=dt.UTC))))
        == 5
    )


def test_pages_do_not_shift_when_newer_deviations_are_opened(two_batches: Engine) -> None:
    with two_batches.connect() as connection:
        whole = [d.id for d in list_deviations(connection).deviations]
        first = list_deviations(connection, limit=2)
    commit(two_batches, Event("O9", 0.9), received_at=NOW + 2 * HOUR)
    seen = [d.id for d in first.deviations]
    after = first.after
    while after is not None:
        with two_batches.connect() as connection:
            page = list_deviations(connection, limit=2, after=after)
        seen += [d.id for d in page.deviations]
        after = page.after
    assert seen == whole


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"severities": ("none",)}, "unknown severity 'none': choose from info, warning"),
        ({"kinds": ("delay",)}, "unknown kind 'delay': choose from delay_risk"),
        ({"statuses": ("open",)}, "unknown status 'open': choose from pending"),
    ],
)
def test_names_that_there_are_not_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DeviationFilters(**wrong)


@pytest.mark.parametrize("limit", [0, -1, MAX_LIMIT + 1])
def test_a_limit_out_of_range_is_refused(engine: Engine, limit: int) -> None:
    with engine.connect() as connection, pytest.raises(ValueError, match="limit must be from 1"):
        list_deviations(connection, limit=limit)


def test_one_deviation_is_found_with_its_context(two_batches: Engine) -> None:
    with two_batches.connect() as connection:
        [gap] = list_deviations(connection, DeviationFilters(kinds=("fulfillment_gap",))).deviations
        found = find_deviation(connection, gap.id)
        assert found is not None
        assert found.deviation == gap
        assert found.batch_job_id == FIRST
        assert found.context["order"]["order_id"] == "O1"
        assert find_deviation(connection, uuid.uuid4()) is None
