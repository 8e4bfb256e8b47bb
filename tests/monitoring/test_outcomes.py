"""What became of an order, and which prediction it is held against."""

from __future__ import annotations

import datetime as dt
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from fulfillment_assets.kpis import outcomes as kpi_outcomes
from fulfillment_assets.monitoring import outcomes
from fulfillment_assets.monitoring.days import day_bounds
from fulfillment_assets.monitoring.outcomes import LOOK_BACK_DAYS, learn_outcomes
from fulfillment_assets.orders.contract import FEATURES
from fulfillment_assets.settings import PROJECT_ROOT
from tests.monitoring.examples import (
    CANCELLED,
    DAY,
    LATE,
    ON_TIME,
    OVERDUE,
    PROCESSING,
    SHIPPED,
    at,
    hear,
    lifecycle,
    outcome,
    prediction,
    waiting_backends,
)
from tests.scoring.workplace import Workplace, wait_for

RISKY = {"discount_offered": "60", "weight_in_gms": "1500"}

TRUTHS: Mapping[str, tuple[dict[str, str], tuple[bool, str] | None]] = {
    "delivered before the promise": (ON_TIME, (False, "delivery_date")),
    "delivered at the promised moment": (
        ON_TIME | {"delivery_date": "2026-03-06T18:00:00Z"},
        (False, "delivery_date"),
    ),
    "delivered a microsecond after it": (
        ON_TIME | {"delivery_date": "2026-03-06T18:00:00.000001Z"},
        (True, "delivery_date"),
    ),
    "promised for a day, delivered late on it": (
        ON_TIME
        | {"promised_delivery_date": "2026-03-06", "delivery_date": "2026-03-06T23:59:59.999999Z"},
        (False, "delivery_date"),
    ),
    "promised for a day, delivered the next": (
        ON_TIME | {"promised_delivery_date": "2026-03-06", "delivery_date": "2026-03-07T00:00:00Z"},
        (True, "delivery_date"),
    ),
    "promised for a day, delivered on a day": (
        ON_TIME | {"promised_delivery_date": "2026-03-06", "delivery_date": "2026-03-06"},
        (False, "delivery_date"),
    ),
    "promised in another zone than UTC": (
        ON_TIME
        | {
            "promised_delivery_date": "2026-03-06T00:00:00+02:00",
            "delivery_date": "2026-03-06T12:00:00Z",
        },
        (True, "delivery_date"),
    ),
    "delivered, and called delayed": (
        ON_TIME | {"order_status": "delayed"},
        (False, "delivery_date"),
    ),
    "delivered, without a status": (LATE | {"order_status": ""}, (True, "delivery_date")),
    "overdue": (OVERDUE, (True, "order_status")),
    "overdue, expected tomorrow": (
        OVERDUE | {"delivery_date": "2026-03-11T12:00:00Z"},
        (True, "order_status"),
    ),
    "delayed and delivered, promised for no day": (
        LATE | {"promised_delivery_date": "", "order_status": "delayed"},
        (True, "order_status"),
    ),
    "delivered without a promise": (LATE | {"promised_delivery_date": ""}, None),
    "expected tomorrow": (SHIPPED | {"delivery_date": "2026-03-11T12:00:00Z"}, None),
    "under way": (SHIPPED, None),
    "cancelled": (CANCELLED, None),
    "cancelled after it was delivered": (LATE | {"order_status": "cancelled"}, None),
}


def learn(workplace: Workplace, day: dt.date = DAY) -> outcomes.LearnedOutcomes:
    return learn_outcomes(workplace.engine, day)


def test_the_truth_of_an_order_follows_from_its_dates_and_its_status(workplace: Workplace) -> None:
    hear(workplace, at(10), *(order | {"order_id": name} for name, (order, _) in TRUTHS.items()))
    learned = learn(workplace)
    found = {
        row["order_id"]: (row["is_late"], row["decided_by"])
        for row in workplace.rows("SELECT * FROM outcomes")
    }
    known = {name: truth for name, (_, truth) in TRUTHS.items() if truth is not None}
    assert found == known
    assert learned == outcomes.LearnedOutcomes(
        day=DAY,
        orders=len(TRUTHS),
        known=len(known),
        late=sum(late for late, _ in known.values()),
        new=len(known),
        foreseen=0,
        changed=0,
        withdrawn=0,
    )


def test_simulated_orders_get_the_outcomes_that_the_simulator_gave_them(
    workplace: Workplace,
) -> None:
    placed, arrived = at(8), at(8) + dt.timedelta(days=40)
    truth = lifecycle(workplace, 1_500, (placed, arrived))
    learned = learn(workplace, arrived.date())
    assert learned.orders == 1_500
    assert learned.new == learned.foreseen == truth.num_rows
    rows = workplace.rows("SELECT * FROM outcomes")
    assert {row["order_id"]: row["is_late"] for row in rows} == dict(
        zip(truth["order_id"].to_pylist(), truth["is_late"].to_pylist(), strict=True)
    )
    forecasts = {
        row["order_id"]: (row["id"], row["delay_probability"])
        for row in workplace.rows("SELECT * FROM predictions WHERE created_at = :at", at=placed)
    }
    for row in rows:
        assert (row["prediction_id"], row["delay_probability"]) == forecasts[row["order_id"]]
        assert (row["known_at"], row["prediction_created_at"]) == (arrived, placed)


class TestForecast:
    def test_it_is_the_last_prediction_before_the_outcome_was_known(
        self, workplace: Workplace
    ) -> None:
        hear(workplace, at(2), PROCESSING)
        hear(workplace, at(4), SHIPPED | RISKY)
        hear(workplace, at(10), LATE)
        assert learn(workplace).foreseen == 1
        known, forecast = outcome(workplace), prediction(workplace, at(4))
        assert known["foreseen"]
        assert known["known_at"] == at(10)
        assert known["prediction_id"] == forecast["id"]
        assert known["prediction_created_at"] == at(4)
        assert known["delay_probability"] == forecast["delay_probability"] > 0.9
        assert known["severity"] == forecast["severity"] == "critical"
        assert known["model_version"] == workplace.scorer.version
        assert {name: known[name] for name in FEATURES} == forecast["features_json"]

    def test_of_several_states_the_last_counts_not_the_one_heard_of_last(
        self, workplace: Workplace
    ) -> None:
        hear(workplace, at(3), SHIPPED)
        hear(workplace, at(4), PROCESSING | RISKY)
        hear(workplace, at(10), LATE)
        learn(workplace)
        assert outcome(workplace)["prediction_id"] == prediction(workplace, at(3))["id"]

    def test_without_one_the_record_that_told_the_outcome_lends_its_own(
        self, workplace: Workplace
    ) -> None:
        hear(workplace, at(10), LATE | RISKY)
        assert learn(workplace).foreseen == 0
        known, own = outcome(workplace), prediction(workplace, at(10))
        assert not known["foreseen"]
        assert known["prediction_id"] == own["id"]
        assert known["prediction_created_at"] == known["known_at"] == at(10)
        assert {name: known[name] for name in FEATURES} == own["features_json"]

    @pytest.mark.parametrize("telling", [LATE, ON_TIME, OVERDUE, CANCELLED])
    def test_a_record_that_told_an_outcome_is_none(
        self, telling: Mapping[str, str], workplace: Workplace
    ) -> None:
        hear(workplace, at(9), telling)
        hear(workplace, at(10), LATE | {"delivery_date": "2026-03-09T18:00:00Z"})
        learn(workplace)
        assert not outcome(workplace)["foreseen"]

    @pytest.mark.parametrize("ordered", ["2026-03-01T09:30:00Z", ""], ids=["dated", "undated"])
    def test_without_statuses_the_record_must_be_of_before_the_delivery(
        self, ordered: str, workplace: Workplace
    ) -> None:
        feed = {"order_status": "", "order_date": ordered}
        hear(workplace, at(4), SHIPPED | feed)
        hear(workplace, at(9), LATE | feed)
        hear(workplace, at(10), LATE | feed | {"payment_status": "refunded"})
        learn(workplace)
        assert outcome(workplace)["prediction_id"] == prediction(workplace, at(4))["id"]

    def test_what_was_received_after_the_outcome_is_none(self, workplace: Workplace) -> None:
        hear(workplace, at(10), LATE)
        hear(workplace, at(11), SHIPPED)
        learn(workplace)
        assert not outcome(workplace)["foreseen"]

    def test_what_was_received_together_with_the_outcome_is_none(
        self, workplace: Workplace
    ) -> None:
        hear(workplace, at(10), SHIPPED, LATE)
        learn(workplace)
        assert not outcome(workplace)["foreseen"]

    @pytest.mark.parametrize(("days", "found"), [(LOOK_BACK_DAYS, True), (61, False)])
    def test_it_is_looked_for_so_many_days_back(
        self, days: int, found: bool, workplace: Workplace
    ) -> None:
        undated = {"order_date": "", "ship_date": ""}
        hear(workplace, at(10) - dt.timedelta(days=days), SHIPPED | undated)
        hear(workplace, at(10), LATE | undated)
        learn(workplace)
        assert outcome(workplace)["foreseen"] is found

    def test_an_order_dated_in_a_zone_ahead_of_utc_keeps_its_forecast(
        self, workplace: Workplace
    ) -> None:
        tokyo = {"order_date": "2026-03-02T05:00:00", "ship_date": ""}
        hear(workplace, at(1, 20), PROCESSING | tokyo)
        hear(workplace, at(10), LATE | tokyo)
        learn(workplace)
        assert outcome(workplace)["foreseen"]


class TestOutcomeThatIsKnown:
    def test_learning_again_changes_nothing(self, workplace: Workplace) -> None:
        hear(workplace, at(10), LATE)
        first = learn(workplace)
        before = outcome(workplace)
        again = learn(workplace)
        assert (first.new, again.new, again.changed, again.withdrawn) == (1, 0, 0, 0)
        assert (first.known, first.late) == (again.known, again.late) == (1, 1)
        assert outcome(workplace) == before

    def test_scoring_the_prediction_again_changes_nothing(self, workplace: Workplace) -> None:
        hear(workplace, at(3), SHIPPED)
        hear(workplace, at(10), LATE)
        learn(workplace)
        before = outcome(workplace)
        workplace.execute("UPDATE predictions SET delay_probability = 0.123, model_version = 'new'")
        learn(workplace)
        assert outcome(workplace) == before

    def test_hearing_the_same_again_changes_nothing(self, workplace: Workplace) -> None:
        hear(workplace, at(10), LATE)
        learn(workplace)
        before = outcome(workplace)
        hear(workplace, at(11), LATE | {"payment_status": "refunded"})
        learned = learn(workplace, DAY + dt.timedelta(days=1))
        assert (learned.known, learned.new, learned.changed) == (1, 0, 0)
        assert outcome(workplace) == before

    @pytest.mark.parametrize(
        ("first", "later"),
        [
            (LATE, LATE | {"promised_delivery_date": "2026-03-09"}),
            (OVERDUE, ON_TIME),
            (ON_TIME, LATE),
        ],
        ids=["the promise was another", "it came on time after all", "it came later"],
    )
    def test_another_truth_replaces_it_and_keeps_what_was_predicted(
        self, first: Mapping[str, str], later: Mapping[str, str], workplace: Workplace
    ) -> None:
        hear(workplace, at(3), SHIPPED | RISKY)
        hear(workplace, at(10), first)
        learn(workplace)
        before = outcome(workplace)
        hear(workplace, at(11), later)
        learned = learn(workplace, DAY + dt.timedelta(days=1))
        assert (learned.known, learned.new, learned.changed) == (1, 0, 1)
        after = outcome(workplace)
        assert after["is_late"] is not before["is_late"]
        assert after["decided_by"] == "delivery_date"
        assert after["known_at"] == at(11)
        changed = {name for name in before if before[name] != after[name]}
        assert changed <= {"is_late", "decided_by", "known_at", "updated_at"}

    def test_a_delay_that_the_delivery_confirms_stays_as_it_was_told(
        self, workplace: Workplace
    ) -> None:
        hear(workplace, at(7), OVERDUE)
        learn(workplace, at(7).date())
        before = outcome(workplace)
        hear(workplace, at(10), LATE)
        assert learn(workplace).changed == 0
        assert outcome(workplace) == before

    def test_a_record_that_tells_none_takes_it_back(self, workplace: Workplace) -> None:
        hear(workplace, at(7), OVERDUE, OVERDUE | {"order_id": "O2"})
        learn(workplace, at(7).date())
        hear(workplace, at(10), SHIPPED | {"order_status": "cancelled"})
        assert learn(workplace).withdrawn == 1
        assert workplace.rows("SELECT order_id FROM outcomes") == [{"order_id": "O2"}]


class TestDay:
    def test_an_order_belongs_to_the_day_on_which_it_was_last_heard_of(
        self, workplace: Workplace
    ) -> None:
        hear(workplace, at(3), SHIPPED)
        hear(workplace, at(9), LATE)
        hear(workplace, at(10), LATE | {"payment_status": "refunded"})
        assert learn(workplace, at(9).date()).orders == 0
        assert learn(workplace).new == 1
        assert outcome(workplace)["known_at"] == at(10)

    @pytest.mark.parametrize(("hour", "orders"), [(0, 1), (23, 1), (24, 0), (-1, 0)])
    def test_a_day_is_one_of_utc(self, hour: int, orders: int, workplace: Workplace) -> None:
        hear(workplace, at(10, 0) + dt.timedelta(hours=hour), LATE)
        assert learn(workplace).orders == orders

    def test_a_day_without_orders_tells_nothing(self, workplace: Workplace) -> None:
        assert learn(workplace) == outcomes.LearnedOutcomes(DAY, 0, 0, 0, 0, 0, 0, 0)

    def test_only_the_days_of_the_look_back_are_read(self, workplace: Workplace) -> None:
        received = [at(10) - dt.timedelta(days=days) for days in (0, 1, 59, 61, 70)]
        for moment in received:
            hear(workplace, moment, LATE)
        bounds = day_bounds(DAY)
        bounds["look_back"] = bounds["day"] - dt.timedelta(days=LOOK_BACK_DAYS)
        with workplace.engine.connect() as connection:
            plan = connection.execute(sa.text(f"EXPLAIN {outcomes._LEARN}"), bounds).scalars()
            read = "\n".join(plan)
        assert [f"predictions_p{day:%Y%m%d}" in read for day in received] == [True] * 3 + [
            False
        ] * 2


LEARN = """
import datetime as dt, sys
from fulfillment_assets.monitoring.outcomes import learn_outcomes
from fulfillment_assets.store.connection import create_engine
learn_outcomes(create_engine(sys.argv[1]), dt.date.fromisoformat(sys.argv[2]))
"""


class TestTransaction:
    def test_a_killed_process_leaves_nothing_and_its_retry_completes(
        self, workplace: Workplace
    ) -> None:
        last = {"order_id": "Z"}
        hear(workplace, at(7), OVERDUE | last)
        learn(workplace, at(7).date())
        before = workplace.rows("SELECT * FROM outcomes")
        hear(workplace, at(10), *({"order_id": f"O{n}"} | LATE for n in range(200)), ON_TIME | last)
        url = workplace.engine.url.render_as_string(hide_password=False)
        with workplace.engine.connect() as gate:
            gate.execute(sa.text("SELECT FROM outcomes WHERE order_id = 'Z' FOR UPDATE"))
            process = subprocess.Popen(
                [sys.executable, "-c", LEARN, url, DAY.isoformat()],
                env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT)},
            )
            wait_for(lambda: waiting_backends(workplace.engine) == 1)
            process.send_signal(signal.SIGKILL)
            process.wait()
            assert workplace.rows("SELECT * FROM outcomes") == before
        wait_for(
            lambda: (
                not workplace.value(
                    "SELECT count(*) FROM pg_locks WHERE relation = 'outcomes'::regclass "
                    "AND mode = 'ShareRowExclusiveLock'"
                )
            )
        )
        assert workplace.rows("SELECT * FROM outcomes") == before
        learned = learn(workplace)
        assert (learned.new, learned.changed) == (200, 1)
        assert workplace.value("SELECT count(*) FROM outcomes") == 201

    def test_of_processes_that_learn_at_once_one_finds_news(self, workplace: Workplace) -> None:
        last = {"order_id": "Z"}
        hear(workplace, at(7), OVERDUE | last)
        learn(workplace, at(7).date())
        hear(workplace, at(10), *({"order_id": f"O{n}"} | LATE for n in range(50)), ON_TIME | last)
        with ThreadPoolExecutor(3) as pool, workplace.engine.connect() as gate:
            gate.execute(sa.text("SELECT FROM outcomes WHERE order_id = 'Z' FOR UPDATE"))
            running = [pool.submit(learn, workplace) for _ in range(3)]
            wait_for(lambda: waiting_backends(workplace.engine) == 3)
            gate.rollback()
            learned = [(one.result().new, one.result().changed) for one in running]
        assert sorted(learned) == [(0, 0), (0, 0), (50, 1)]
        assert workplace.value("SELECT count(*) FROM outcomes") == 51


def test_the_kpis_count_each_outcome_where_it_stands_now(workplace: Workplace) -> None:
    first = {"late, then not": OVERDUE, "late": LATE, "cancelled": LATE, "other": ON_TIME}
    hear(workplace, at(10), *(order | {"order_id": name} for name, order in first.items()))
    learn(workplace)
    assert counted(workplace) == {at(10).date(): (4, 3)}
    again = {
        "late, then not": ON_TIME,
        "late": LATE,
        "cancelled": LATE | {"order_status": "cancelled"},
        "new": LATE | {"warehouse_block": "F"},
    }
    hear(workplace, at(12), *(order | {"order_id": name} for name, order in again.items()))
    learned = learn(workplace, at(12).date())
    assert (learned.new, learned.changed, learned.withdrawn) == (1, 1, 1)
    assert counted(workplace) == {at(10).date(): (2, 1), at(12).date(): (2, 1)}
    learn(workplace, at(12).date())
    learn(workplace)
    with workplace.engine.connect() as connection:
        assert kpi_outcomes.differences(connection) == 0


def counted(workplace: Workplace) -> dict[dt.date, tuple[int, int]]:
    """How many outcomes the KPIs count by day, and how many of them late."""
    rows = workplace.rows(
        "SELECT day, sum(known)::int AS known, sum(late)::int AS late "
        "FROM kpi_outcomes GROUP BY day"
    )
    return {row["day"]: (row["known"], row["late"]) for row in rows}
