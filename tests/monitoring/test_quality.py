"""How good the predictions were whose outcomes became known on a day."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow.compute as pc
import pytest
from sklearn import metrics as reference
from sqlalchemy.engine import Engine

from fulfillment_assets.delay_model.metrics import expected_calibration_error
from fulfillment_assets.monitoring.outcomes import learn_outcomes
from fulfillment_assets.monitoring.quality import (
    ALL,
    MINIMUM_OUTCOMES_PER_DAY,
    SEGMENTS,
    QualityReport,
    SegmentQuality,
    latest_quality,
    measure_quality,
)
from fulfillment_assets.orders.simulator import training_frame
from tests.kpis.examples import committed_scorer
from tests.monitoring.examples import DAY, at, lifecycle, told
from tests.scoring.workplace import Workplace

VERSION = committed_scorer().version
NEXT_DAY = DAY + dt.timedelta(days=1)
DAYS = 20


def measured(engine: Engine, day: dt.date = DAY) -> QualityReport:
    return measure_quality(engine, day, committed_scorer().metadata)


def latest(engine: Engine, *, champion_judged: bool = False) -> QualityReport | None:
    with engine.connect() as connection:
        return latest_quality(connection, champion_judged=champion_judged)


def overall(report: QualityReport) -> SegmentQuality:
    assert report.overall is not None
    return report.overall


def segments(report: QualityReport) -> dict[tuple[str, str], SegmentQuality]:
    return {(segment.dimension, segment.segment): segment for segment in report.segments}


def test_honest_predictions_are_good_on_20_of_20_days(engine: Engine) -> None:
    for number in range(DAYS):
        day = DAY + dt.timedelta(days=number)
        told(engine, day, seed=number)
        report = measured(engine, day)
        assert (report.status, report.findings) == ("ok", ()), report.message


def test_predictions_carried_through_the_platform_are_good(workplace: Workplace) -> None:
    arrived = at(8) + dt.timedelta(days=40)
    truth = lifecycle(workplace, 3_000, (at(8), arrived))
    learn_outcomes(workplace.engine, arrived.date())
    report = measured(workplace.engine, arrived.date())
    assert report.status == "ok", report.message
    found = overall(report)
    assert (found.measures.orders, found.foreseen) == (truth.num_rows, truth.num_rows)
    assert found.measures.late == pc.sum(truth["is_late"]).as_py()
    assert 0.70 < (found.measures.roc_auc or 0) < 0.78
    assert report.message.startswith(
        f"{truth.num_rows:,} outcomes became known on 2026-04-17, and the predictions were as "
        "good as validation promised: Brier score 0.1"
    )


def test_a_model_that_has_gone_bad_fails_and_the_findings_say_by_what(engine: Engine) -> None:
    late = told(engine)["is_late"].to_numpy().astype(np.int8)
    told(engine, NEXT_DAY, seed=2, late=np.random.default_rng(1).permutation(late))
    report = measured(engine, NEXT_DAY)
    assert report.status == overall(report).status == "fail"
    assert [f.split(" 0.")[0] for f in report.findings[:3]] == [
        "all orders: Brier score",
        "all orders: ROC-AUC",
        "all orders: calibration error",
    ]
    assert "validation promised 0.7" in report.findings[1]
    assert report.message.startswith(
        "1,000 outcomes became known on 2026-03-11, and the predictions were worse than promised. "
        "all orders: Brier score 0."
    )
    assert measured(engine).status == "ok"


def test_every_figure_of_every_segment_is_that_of_scikit_learn(engine: Engine) -> None:
    rows = told(engine, count=2_000)
    report = measured(engine)
    assert report.segments[0].name == "all orders"
    assert {dimension for dimension, _ in segments(report)} == {ALL, *SEGMENTS}
    for (dimension, segment), found in segments(report).items():
        chosen = rows
        if dimension == "foreseen":
            assert segment == "true"
        elif dimension != ALL:
            chosen = rows.filter(pc.equal(rows[dimension], segment))
        late = chosen["is_late"].to_numpy().astype(np.int8)
        probability = chosen["delay_probability"].to_numpy()
        measures = found.measures
        assert (measures.orders, measures.late) == (len(late), late.sum())
        assert found.foreseen == len(late)
        assert measures.mean_probability == pytest.approx(probability.mean())
        assert measures.accuracy == pytest.approx(reference.accuracy_score(late, probability > 0.5))
        assert measures.roc_auc == pytest.approx(reference.roc_auc_score(late, probability))
        assert measures.brier == pytest.approx(reference.brier_score_loss(late, probability))
        assert measures.ece == pytest.approx(expected_calibration_error(late, probability))


def test_the_segments_of_a_dimension_sum_to_all_orders(engine: Engine) -> None:
    told(engine, count=600)
    told(engine, count=400, seed=2, foreseen=False, model_version="former")
    report = measured(engine)
    for dimension in SEGMENTS:
        of_it = [s for s in report.segments if s.dimension == dimension]
        assert sum(s.measures.orders for s in of_it) == 1_000
        assert sum(s.foreseen for s in of_it) == overall(report).foreseen == 600
    assert segments(report)["foreseen", "false"].measures.orders == 400
    assert segments(report)["model_version", "former"].measures.orders == 400


def test_orders_of_one_outcome_have_no_ranking(engine: Engine) -> None:
    told(engine, count=20, late=np.ones(20, np.int8))
    assert overall(measured(engine)).measures.roc_auc is None
    stored = latest(engine)
    assert stored is not None
    assert overall(stored).measures.roc_auc is None


def test_a_bad_segment_warns_and_fails_nothing(engine: Engine) -> None:
    features, _ = training_frame(6_000, 1)
    flew = pc.equal(features["mode_of_shipment"], "Flight").to_numpy()
    probability = committed_scorer().score(features).probability
    told(
        engine, count=6_000, probability=np.where(flew, np.minimum(probability, 0.35), probability)
    )
    report = measured(engine)
    bad = segments(report)["mode_of_shipment", "Flight"]
    assert bad.status == report.status == "warn"
    assert bad.findings[0].message.startswith("calibration error 0.")
    assert segments(report)["mode_of_shipment", "Road"].status == "ok"
    assert any(finding.startswith("mode_of_shipment Flight: ") for finding in report.findings)


def test_too_few_outcomes_are_measured_and_not_judged(engine: Engine) -> None:
    told(engine, count=MINIMUM_OUTCOMES_PER_DAY - 1, probability=np.full(299, 0.01))
    report = measured(engine)
    assert (report.status, report.findings) == ("too_few", ())
    assert overall(report).measures.brier > 0.5
    assert report.message == (
        "299 outcomes became known on 2026-03-10, too few to judge by; 300 are not."
    )


def test_a_day_without_outcomes_has_no_rows(engine: Engine) -> None:
    told(engine)
    report = measured(engine, NEXT_DAY)
    assert (report.status, report.segments, report.overall) == ("too_few", (), None)
    assert report.message == "No outcome became known on 2026-03-11."
    assert latest(engine) is None


class TestChampion:
    def test_it_is_judged_by_its_own_predictions(self, engine: Engine) -> None:
        told(engine, count=1_500)
        told(engine, count=1_500, seed=2, model_version="former", probability=np.full(1_500, 0.1))
        report = measured(engine)
        assert report.status == overall(report).status == "fail"
        assert segments(report)["model_version", "former"].status == "warn"
        assert report.champion == segments(report)["model_version", VERSION]
        assert report.champion is not None
        assert report.champion.status == "ok"

    def test_where_it_fails_the_day_fails(self, engine: Engine) -> None:
        told(engine, count=9_000, model_version="former")
        told(engine, count=400, seed=2, probability=np.full(400, 0.4))
        report = measured(engine)
        assert overall(report).status != "fail"
        assert report.champion is not None
        assert report.champion.status == report.status == "fail"
        assert report.findings[0].startswith(f"model_version {VERSION}: ")

    def test_a_day_on_which_it_predicted_too_few_can_be_passed_over(self, engine: Engine) -> None:
        told(engine, count=400)
        told(engine, NEXT_DAY, count=400, seed=2, model_version="former")
        told(engine, NEXT_DAY, count=50, seed=3)
        first, second = measured(engine), measured(engine, NEXT_DAY)
        assert latest(engine) == second
        assert latest(engine, champion_judged=True) == first


def test_what_was_measured_is_what_is_read_and_measuring_again_replaces_it(engine: Engine) -> None:
    told(engine, count=400)
    first = measured(engine)
    assert latest(engine) == first
    told(engine, count=400, seed=2, model_version="former", probability=np.full(400, 0.2))
    second = measured(engine)
    assert (overall(second).measures.orders, second.status) == (800, "fail")
    stored = latest(engine)
    assert stored == second
    assert stored.message == second.message
    assert len(second.segments) == len(first.segments) + 1


def test_processes_that_measure_at_once_leave_one_result(engine: Engine) -> None:
    told(engine, count=400)
    with ThreadPoolExecutor(4) as pool:
        reports = list(pool.map(lambda _: measured(engine), range(8)))
    assert len({report.segments for report in reports}) == 1
    stored = latest(engine)
    assert stored is not None
    assert stored.segments == reports[0].segments
