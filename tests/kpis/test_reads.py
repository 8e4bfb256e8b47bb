from __future__ import annotations

import datetime as dt
import statistics
from collections.abc import Mapping
from typing import Any, Final

import pytest
from sqlalchemy.engine import Engine

from fulfillment_assets.kpis.reads import Kpis, read_kpis
from fulfillment_assets.kpis.rollups import DIMENSIONS
from fulfillment_assets.store.settings_table import write_setting
from tests.kpis.examples import DAY, HOUR, NOW, Event, commit

ORDERS = (
    Event("O1", 0.9, order_status="shipped"),
    Event("O2", 0.6, order_status="shipped", warehouse_block="B"),
    Event("O3", 0.4, mode_of_shipment="Road"),
    Event("O4", 0.1, product_importance="high", order_status="delivered"),
    Event("O5", 0.9, order_status="cancelled"),
)


NOTHING_KNOWN: Final[dict[str, Any]] = {
    "known": 0,
    "late": 0,
    "actual_on_time_rate": None,
    "predicted_on_time_rate": None,
    "expected_on_time_rate": None,
}


def read(
    engine: Engine,
    *by: str,
    window: dt.timedelta | None = None,
    until: dt.datetime | None = NOW,
    where: Mapping[str, str] | None = None,
) -> list[Kpis]:
    with engine.connect() as connection:
        return read_kpis(connection, by=by, window=window, until=until, where=where)


def orders(engine: Engine, window: dt.timedelta | None = None, until: dt.datetime = NOW) -> int:
    [overall] = read(engine, window=window, until=until)
    return overall.orders


def test_an_empty_database_has_one_overall_row_without_rates(engine: Engine) -> None:
    assert read(engine) == [
        Kpis(
            segment={},
            orders=0,
            mean_probability=None,
            probability_variance=None,
            on_time_rate=None,
            high_risk=0,
            gaps=0,
            severities={"critical": 0, "warning": 0, "info": 0, "none": 0},
            **NOTHING_KNOWN,
        )
    ]


def test_an_empty_database_has_no_segments(engine: Engine) -> None:
    for dimension in DIMENSIONS:
        assert read(engine, dimension) == []


def test_the_overall_row_leaves_cancelled_orders_out(engine: Engine) -> None:
    commit(engine, *ORDERS)
    [overall] = read(engine)
    assert overall.mean_probability == pytest.approx((0.9 + 0.6 + 0.4 + 0.1) / 4)
    assert overall.probability_variance == pytest.approx(statistics.variance([0.9, 0.6, 0.4, 0.1]))
    assert overall == Kpis(
        segment={},
        orders=4,
        mean_probability=overall.mean_probability,
        probability_variance=overall.probability_variance,
        on_time_rate=0.5,
        high_risk=1,
        gaps=2,
        severities={"critical": 1, "warning": 1, "info": 1, "none": 1},
        **NOTHING_KNOWN,
    )


def test_one_dimension_gives_its_segments_the_riskiest_first(engine: Engine) -> None:
    commit(engine, *ORDERS)
    segments = read(engine, "warehouse_block")
    assert [(kpis.segment, kpis.orders) for kpis in segments] == [
        ({"warehouse_block": "B"}, 1),
        ({"warehouse_block": "A"}, 3),
    ]
    assert segments[0].on_time_rate == 0.0
    assert segments[1].on_time_rate == pytest.approx(2 / 3)
    assert segments[1].mean_probability == pytest.approx((0.9 + 0.4 + 0.1) / 3)


def test_several_dimensions_give_their_combinations(engine: Engine) -> None:
    commit(engine, *ORDERS)
    segments = read(engine, "mode_of_shipment", "product_importance")
    assert [(tuple(kpis.segment.values()), kpis.orders) for kpis in segments] == [
        (("Ship", "low"), 2),
        (("Road", "low"), 1),
        (("Ship", "high"), 1),
    ]


def test_one_order_has_no_variance(engine: Engine) -> None:
    commit(engine, Event("O1", 0.6))
    [overall] = read(engine)
    assert (overall.mean_probability, overall.probability_variance) == (0.6, None)


def test_dimensions_may_be_named_for_short(engine: Engine) -> None:
    commit(engine, *ORDERS)
    assert read(engine, "Mode", " importance") == read(
        engine, "mode_of_shipment", "product_importance"
    )


def test_only_the_orders_of_a_segment_are_counted(engine: Engine) -> None:
    commit(engine, *ORDERS)
    [chosen] = read(engine, where={"warehouse": "a", "mode_of_shipment": "SHIP"})
    assert (chosen.orders, chosen.high_risk) == (2, 1)
    assert [kpis.segment for kpis in read(engine, "mode", where={"importance": "high"})] == [
        {"mode_of_shipment": "Ship"}
    ]
    assert read(engine, "mode", where={"warehouse": "E"}) == []


def test_all_dimensions_together_add_up_to_the_overall_row(engine: Engine) -> None:
    commit(engine, *ORDERS)
    segments = read(engine, *DIMENSIONS)
    [overall] = read(engine)
    assert len(segments) == 4
    assert sum(kpis.orders for kpis in segments) == overall.orders
    assert sum(kpis.gaps for kpis in segments) == overall.gaps


def test_segments_of_equal_risk_come_in_the_order_of_their_names(engine: Engine) -> None:
    commit(engine, *(Event(block, warehouse_block=block) for block in "CFADB"))
    assert [kpis.segment["warehouse_block"] for kpis in read(engine, "warehouse_block")] == [
        *"ABCDF"
    ]


def test_an_order_counts_in_the_segment_and_hour_where_it_stands_now(engine: Engine) -> None:
    commit(engine, Event("O1", 0.9))
    commit(engine, Event("O1", 0.4, warehouse_block="F"), received_at=NOW + HOUR)
    assert read(engine, "warehouse_block", until=NOW) == []
    [kpis] = read(engine, "warehouse_block", until=NOW + HOUR)
    assert (kpis.segment, kpis.orders, kpis.on_time_rate) == ({"warehouse_block": "F"}, 1, 1.0)


def test_a_window_begins_at_the_start_of_its_first_hour(engine: Engine) -> None:
    first_hour = (NOW - DAY).replace(minute=0)
    just_before = first_hour - dt.timedelta(microseconds=1)
    commit(engine, Event("in", at=first_hour), Event("out", at=just_before))
    assert orders(engine, window=DAY) == 1
    assert orders(engine, window=DAY + HOUR) == 2


def test_a_window_ends_with_the_hour_of_its_end(engine: Engine) -> None:
    commit(engine, Event("O1", at=NOW + dt.timedelta(minutes=20)), received_at=NOW + HOUR)
    assert orders(engine, until=NOW) == 1
    assert orders(engine, until=NOW - HOUR) == 0


def test_an_event_at_the_very_end_of_a_window_counts(engine: Engine) -> None:
    end = NOW.replace(minute=0)
    commit(engine, Event("O1", at=end))
    assert orders(engine, until=end) == 1
    assert orders(engine, until=end - dt.timedelta(microseconds=1)) == 0


def test_a_window_of_no_length_is_the_hour_of_its_end(engine: Engine) -> None:
    commit(engine, Event("now"), Event("earlier", at=NOW - HOUR))
    assert orders(engine, window=dt.timedelta(0)) == 1


def test_the_window_is_thirty_days_unless_the_setting_says_otherwise(engine: Engine) -> None:
    commit(engine, Event("new"), Event("old", at=NOW - 30 * DAY), Event("older", at=NOW - 31 * DAY))
    assert orders(engine) == 2
    with engine.begin() as connection:
        write_setting(connection, "kpi_window_days", 31, changed_by="test")
    assert orders(engine) == 3


def test_the_window_ends_now_unless_told_otherwise(engine: Engine) -> None:
    now = dt.datetime.now(dt.UTC)
    commit(engine, Event("new"), Event("old", at=now - 31 * DAY), received_at=now)
    [overall] = read(engine, until=None)
    assert overall.orders == 1


def test_an_unknown_dimension_is_refused_with_the_known_ones(engine: Engine) -> None:
    with pytest.raises(ValueError, match="'carrier_name': choose from warehouse_block, mode_of_"):
        read(engine, "warehouse_block", "carrier_name")


def test_an_unknown_value_is_refused_with_the_known_ones(engine: Engine) -> None:
    with pytest.raises(ValueError, match=r"mode_of_shipment is one of Ship, .*, not 'Rail'"):
        read(engine, where={"mode": "Rail"})


def test_a_dimension_is_named_once(engine: Engine) -> None:
    with pytest.raises(ValueError, match="'warehouse_block' is named twice"):
        read(engine, "warehouse", "warehouse_block")


@pytest.mark.parametrize("until", [NOW, NOW.replace(hour=0, minute=0), NOW.replace(hour=23)])
@pytest.mark.parametrize("window", [HOUR, 11 * HOUR, 25 * HOUR, 2 * DAY, 71 * HOUR, 9 * DAY])
def test_days_and_the_hours_around_them_are_each_counted_once(
    engine: Engine, window: dt.timedelta, until: dt.datetime
) -> None:
    hours = [until - number * HOUR for number in range(-3, 11 * 24)]
    received = until + 4 * HOUR
    commit(engine, *(Event(str(hour), at=hour) for hour in hours), received_at=received)
    first = (until - window).replace(minute=0)
    expected = [hour for hour in hours if first <= hour <= until]
    assert orders(engine, window=window, until=until) == len(expected)


def test_a_window_may_end_in_another_zone(engine: Engine) -> None:
    commit(engine, Event("O1"))
    nepal = dt.timezone(dt.timedelta(hours=5, minutes=45))
    assert read(engine, until=NOW.astimezone(nepal)) == read(engine, until=NOW)


def test_a_window_that_is_none_is_refused(engine: Engine) -> None:
    for window, until, told in (
        (-HOUR, NOW, "shorter than nothing"),
        (DAY, NOW.replace(tzinfo=None), "needs a time zone"),
        (dt.timedelta.max, NOW, "leaves the calendar"),
    ):
        with pytest.raises(ValueError, match=told):
            read(engine, window=window, until=until)
