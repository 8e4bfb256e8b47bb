"""When a model is to be trained again."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from fulfillment_assets.monitoring.drift import measure_drift
from fulfillment_assets.monitoring.quality import measure_quality
from fulfillment_assets.monitoring.retraining import retrain_reason
from fulfillment_assets.orders.simulator import SimulationPlan, write_csv
from tests.kpis.examples import committed_scorer
from tests.monitoring.examples import DAY, told
from tests.scoring.workplace import Workplace

HOUR = dt.timedelta(hours=1)
NEXT_DAY = DAY + dt.timedelta(days=1)


def trained(
    engine: Engine, *, hours_ago: float, version: str = "lgbm-1", kind: str = "file"
) -> None:
    """A version that was trained so long before now."""
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO model_versions "
                "(version, artifact_sha256, metrics, training_data, last_trained_at) "
                "VALUES (:version, '', '{}', jsonb_build_object('kind', CAST(:kind AS text), "
                "'name', 'n', 'rows', 1), now() - :ago) "
                "ON CONFLICT (version) DO UPDATE SET last_trained_at = excluded.last_trained_at"
            ),
            {"version": version, "kind": kind, "ago": hours_ago * HOUR},
        )


def reason(engine: Engine) -> str | None:
    with engine.connect() as connection:
        now = connection.execute(sa.text("SELECT now()")).scalar_one()
        return retrain_reason(connection, now)


def quality_of(engine: Engine, day: dt.date, *, good: bool, count: int = 400) -> None:
    """Measure a day whose predictions were good or bad."""
    probability = None if good else np.full(count, 0.05)
    told(engine, day, count, seed=day.toordinal(), probability=probability)
    measure_quality(engine, day, committed_scorer().metadata)


def drift_of(workplace: Workplace, day: dt.date, *, drifted: bool, count: int = 400) -> None:
    """Measure a day with the usual orders or with another mix."""
    plan = SimulationPlan(
        count, day.toordinal(), dt.date(2026, 2, 1), late_share=0.95 if drifted else None
    )
    path = write_csv(plan, workplace.outside / f"{day}.csv").out_path
    workplace.score(path, received=dt.datetime.combine(day, dt.time(12), dt.UTC))
    measure_drift(workplace.engine, day, committed_scorer().metadata)


def test_a_model_of_this_week_is_left_alone(engine: Engine) -> None:
    trained(engine, hours_ago=7 * 24 - 3)
    assert reason(engine) is None


def test_after_a_week_it_is_time_and_a_look_at_the_same_hour_is_not_early(engine: Engine) -> None:
    trained(engine, hours_ago=7 * 24 - 0.1)
    found = reason(engine)
    assert found is not None
    assert found.startswith(
        "no model was trained on real orders for a week: lgbm-1 was the last, on 20"
    )


def test_the_last_training_counts_even_if_it_gave_a_known_version(engine: Engine) -> None:
    trained(engine, hours_ago=300)
    assert reason(engine) is not None
    trained(engine, hours_ago=30)
    assert reason(engine) is None


def test_only_models_of_real_orders_count(engine: Engine) -> None:
    trained(engine, hours_ago=1, version="toy", kind="simulator")
    assert reason(engine) == "no model was trained on real orders yet"
    trained(engine, hours_ago=30, kind="orders")
    assert reason(engine) is None


class TestQuality:
    def test_a_failed_day_is_a_reason_with_its_figures(self, engine: Engine) -> None:
        trained(engine, hours_ago=30)
        quality_of(engine, DAY, good=False)
        found = reason(engine)
        assert found is not None
        assert found.startswith("the champion's predictions failed on 2026-03-10: Brier score 0.")

    def test_a_good_day_after_it_is_none(self, engine: Engine) -> None:
        trained(engine, hours_ago=30)
        quality_of(engine, DAY, good=False)
        quality_of(engine, NEXT_DAY, good=True)
        assert reason(engine) is None

    def test_a_day_that_has_just_begun_does_not_hide_it(self, engine: Engine) -> None:
        trained(engine, hours_ago=30)
        quality_of(engine, DAY, good=False)
        quality_of(engine, NEXT_DAY, good=True, count=20)
        assert reason(engine) is not None

    def test_bad_predictions_of_a_former_champion_are_none(self, engine: Engine) -> None:
        trained(engine, hours_ago=30)
        told(engine, DAY, 400, model_version="former", probability=np.full(400, 0.05))
        told(engine, DAY, 400, seed=2)
        report = measure_quality(engine, DAY, committed_scorer().metadata)
        assert report.status == "fail"
        assert reason(engine) is None

    def test_what_was_trained_since_answers_it(self, engine: Engine) -> None:
        quality_of(engine, DAY, good=False)
        with engine.begin() as connection:
            connection.execute(
                sa.text("UPDATE model_quality SET measured_at = now() - interval '40 hours'")
            )
        trained(engine, hours_ago=41)
        assert reason(engine) is not None
        trained(engine, hours_ago=39)
        assert reason(engine) is None


class TestDrift:
    def test_a_failed_day_is_a_reason_with_its_figures(self, workplace: Workplace) -> None:
        trained(workplace.engine, hours_ago=30)
        drift_of(workplace, DAY, drifted=True)
        found = reason(workplace.engine)
        assert found is not None
        assert found.startswith("400 orders of 2026-03-10 have drifted. weight_in_gms: PSI ")

    def test_the_newest_day_that_could_be_judged_counts(self, workplace: Workplace) -> None:
        trained(workplace.engine, hours_ago=30)
        drift_of(workplace, DAY, drifted=True)
        drift_of(workplace, NEXT_DAY, drifted=False, count=20)
        assert reason(workplace.engine) is not None
        drift_of(workplace, NEXT_DAY + dt.timedelta(days=1), drifted=False)
        assert reason(workplace.engine) is None

    @pytest.mark.parametrize(("hours_ago", "trains"), [(0.1, False), (21, False), (23.9, True)])
    def test_one_that_lasts_trains_once_a_day(
        self, hours_ago: float, trains: bool, workplace: Workplace
    ) -> None:
        trained(workplace.engine, hours_ago=hours_ago)
        drift_of(workplace, DAY, drifted=True)
        assert (reason(workplace.engine) is not None) is trains

    def test_both_reasons_are_told(self, workplace: Workplace) -> None:
        trained(workplace.engine, hours_ago=30)
        quality_of(workplace.engine, DAY, good=False)
        drift_of(workplace, DAY, drifted=True)
        found = reason(workplace.engine)
        assert found is not None
        assert "predictions failed" in found
        assert "; 400 orders of 2026-03-10 have drifted" in found
