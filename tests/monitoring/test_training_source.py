"""What a model is trained on, and what it is not trained on."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from fulfillment_assets.delay_model.errors import TrainingDataError
from fulfillment_assets.delay_model.training.data import TrainingData, simulated_training_data
from fulfillment_assets.delay_model.training.fit import package, train
from fulfillment_assets.monitoring import training_source
from fulfillment_assets.monitoring.training_source import (
    MINIMUM_OUTCOMES,
    WantedSource,
    choose_source,
    delivered_orders,
    source_kind,
)
from fulfillment_assets.orders.contract import FEATURES
from fulfillment_assets.settings import Settings
from tests.monitoring.examples import DAY, told

ENOUGH = MINIMUM_OUTCOMES
DAY_LENGTH = dt.timedelta(days=1)
HEADER = ",".join(("id", *FEATURES, "Reached.on.Time_Y.N"))


@pytest.fixture
def orders_file(tmp_path: Path) -> Path:
    """A file of orders with known outcomes."""
    path = tmp_path / "past orders.csv"
    path.write_text(f"{HEADER}\nO1,A,Ship,3,4,3,F,low,150,5,4000,1\n")
    return path


def own(engine: Engine, *, until: dt.datetime | None = None) -> TrainingData:
    with engine.connect() as connection:
        return delivered_orders(connection, until=until)


def chosen(
    engine: Engine,
    *,
    source: WantedSource = "auto",
    file: Path | None = None,
    setting: Path | None = None,
    simulated_allowed: bool = False,
) -> TrainingData:
    settings = Settings(training_file=setting)
    with engine.connect() as connection:
        kind = source_kind(
            connection, settings, source=source, file=file, simulated_allowed=simulated_allowed
        )
        data = choose_source(
            connection, settings, source=source, file=file, simulated_allowed=simulated_allowed
        )
    assert data.source.kind == kind
    return data


class TestOwnOrders:
    def test_they_are_the_outcomes_in_the_order_of_their_ids(self, engine: Engine) -> None:
        earlier, later = (told(engine, DAY - n * DAY_LENGTH, 1_000, seed=2 - n) for n in (1, 0))
        rows = pa.concat_tables([earlier, later]).sort_by("order_id")
        data = own(engine)
        for name in FEATURES:
            assert data.features[name].to_pylist() == rows[name].to_pylist(), name
        assert data.late.tolist() == rows["is_late"].to_numpy().astype(int).tolist()
        assert data.features.schema == simulated_training_data(rows=1, seed=1).features.schema
        assert data.source.kind == "orders"
        assert data.source.name == (
            "2,000 own orders, seen before their outcome, known 2026-03-09 to 2026-03-10"
        )

    def test_a_model_can_be_trained_on_them(self, engine: Engine) -> None:
        told(engine, count=ENOUGH)
        metadata = train(own(engine), repeats=1)
        assert metadata.training_set.kind == "orders"
        assert package(metadata).contents

    def test_equal_rows_give_equal_data_wherever_they_lie(self, engine: Engine) -> None:
        told(engine, count=ENOUGH)
        first = own(engine)
        with engine.begin() as connection:
            connection.execute(sa.text("DELETE FROM outcomes"))
        told(engine, count=ENOUGH, shuffled=True)
        second = own(engine)
        assert first.source == second.source
        assert first.features.equals(second.features)
        assert np.array_equal(first.late, second.late)

    @pytest.mark.parametrize(
        "change", ["is_late = NOT is_late", "cost_of_product = cost_of_product + 1"]
    )
    def test_other_rows_have_another_digest(self, change: str, engine: Engine) -> None:
        told(engine, count=ENOUGH)
        before = own(engine).source.sha256
        with engine.begin() as connection:
            connection.execute(sa.text(f"UPDATE outcomes SET {change} WHERE order_id = 'S1-7'"))
        assert own(engine).source.sha256 != before

    def test_too_few_are_refused_and_counted(self, engine: Engine) -> None:
        told(engine, count=ENOUGH - 1)
        with pytest.raises(TrainingDataError) as refused:
            own(engine)
        assert str(refused.value) == (
            "There is nothing to train on: 1,999 of the retailer's own orders have a known "
            "outcome, 2,000 are needed."
        )

    def test_forecasts_alone_are_learnt_from_where_there_are_enough(self, engine: Engine) -> None:
        told(engine, count=ENOUGH)
        told(engine, count=500, seed=2, foreseen=False)
        assert len(own(engine).late) == ENOUGH

    def test_else_all_are_and_the_name_says_so(self, engine: Engine) -> None:
        told(engine, count=ENOUGH - 1)
        told(engine, DAY + dt.timedelta(days=3), count=500, seed=2, foreseen=False)
        data = own(engine)
        assert len(data.late) == ENOUGH + 499
        assert data.source.name == (
            "2,499 own orders, some seen only after their outcome, known 2026-03-10 to 2026-03-13"
        )

    def test_the_newest_are_taken_where_there_are_too_many(
        self, engine: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(training_source, "MAXIMUM_OUTCOMES", 2_100)
        told(engine, count=500)
        told(engine, DAY + DAY_LENGTH, count=2_100, seed=2)
        assert own(engine).source.name.endswith(
            "2,100 own orders, seen before their outcome, known 2026-03-11 to 2026-03-11"
        )

    def test_what_became_known_later_is_left_out(self, engine: Engine) -> None:
        told(engine, count=ENOUGH)
        told(engine, DAY + DAY_LENGTH, count=100, seed=2)
        told_at = dt.datetime.combine(DAY + DAY_LENGTH, dt.time(12), dt.UTC)
        assert len(own(engine, until=told_at).late) == ENOUGH
        assert len(own(engine, until=told_at + dt.timedelta(seconds=1)).late) == ENOUGH + 100
        with pytest.raises(TrainingDataError, match="0 of the retailer's own orders"):
            own(engine, until=told_at - DAY_LENGTH)


class TestChoice:
    def test_own_orders_come_first(self, engine: Engine, orders_file: Path) -> None:
        told(engine, count=ENOUGH)
        assert chosen(engine, file=orders_file, simulated_allowed=True).source.kind == "orders"

    def test_then_a_named_file(self, engine: Engine, orders_file: Path, tmp_path: Path) -> None:
        told(engine, count=ENOUGH - 1)
        assert chosen(engine, setting=orders_file).source.name == "past orders.csv"
        missing = tmp_path / "none.csv"
        found = chosen(engine, file=orders_file, setting=missing, simulated_allowed=True)
        assert found.source.kind == "file"

    def test_then_simulated_orders_if_they_are_allowed(self, engine: Engine) -> None:
        assert chosen(engine, simulated_allowed=True).source.kind == "simulator"

    def test_a_schedule_gets_none_and_is_told_what_is_missing(self, engine: Engine) -> None:
        told(engine, count=12)
        with pytest.raises(TrainingDataError) as refused:
            chosen(engine)
        assert str(refused.value) == (
            "There is nothing to train on: 12 of the retailer's own orders have a known outcome, "
            "2,000 are needed; no file of orders with known outcomes is named "
            "(FULFILLMENT_TRAINING_FILE); simulated orders are not trained on unless they are "
            "asked for."
        )

    @pytest.mark.parametrize("source", ["file", "simulator"])
    def test_what_is_asked_for_is_taken(
        self, source: WantedSource, engine: Engine, orders_file: Path
    ) -> None:
        told(engine, count=ENOUGH)
        found = chosen(engine, source=source, file=orders_file, simulated_allowed=True)
        assert found.source.kind == source

    @pytest.mark.parametrize(
        ("source", "reason"),
        [
            ("orders", "0 of the retailer's own orders have a known outcome"),
            ("file", "no file of orders with known outcomes is named"),
            ("simulator", "simulated orders are not trained on"),
        ],
    )
    def test_what_is_asked_for_and_not_there_is_refused(
        self, source: WantedSource, reason: str, engine: Engine
    ) -> None:
        with pytest.raises(TrainingDataError, match=f"There is nothing to train on: {reason}"):
            chosen(engine, source=source)

    def test_a_file_that_is_not_there_is_named(self, engine: Engine, tmp_path: Path) -> None:
        with pytest.raises(TrainingDataError, match=r"gone\.csv cannot be trained on"):
            chosen(engine, setting=tmp_path / "gone.csv")
