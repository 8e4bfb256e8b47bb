"""The model in `models/`, trained on the real data."""

import json

import pytest

from fulfillment_assets.delay_model.artifacts import METADATA_FILE, library_versions
from fulfillment_assets.delay_model.features import CATEGORICAL
from fulfillment_assets.delay_model.scorer import DelayScorer
from fulfillment_assets.delay_model.training.candidates import (
    DEFAULT,
    SEARCH_SPACE,
    CandidateResult,
    choose,
)
from fulfillment_assets.orders.contract import BY_NAME, FEATURES
from fulfillment_assets.orders.simulator import training_frame
from fulfillment_assets.settings import PROJECT_ROOT


def test_it_was_trained_on_real_orders(scorer: DelayScorer) -> None:
    data = scorer.metadata.training_data
    assert data.kind == "file"
    assert (data.rows, data.held_out) == (7491, 1308)
    assert data.late_share == pytest.approx(0.5967, abs=0.01)


def test_it_was_chosen_from_all_candidates(scorer: DelayScorer) -> None:
    search = scorer.metadata.search
    assert search is not None
    assert [row.name for row in search.candidates] == [c.name for c in SEARCH_SPACE]
    assert scorer.metadata.candidate == DEFAULT.name
    assert scorer.metadata.hyperparameters == DEFAULT.parameters


def test_the_choice_follows_from_the_search_that_it_tells(scorer: DelayScorer) -> None:
    search = scorer.metadata.search
    assert search is not None
    results = [
        CandidateResult(
            candidate=candidate, validation=search.validation, metrics={"brier": row.brier}
        )
        for candidate, row in zip(SEARCH_SPACE, search.candidates, strict=True)
    ]
    assert choose(results).name == scorer.metadata.candidate


def test_it_foretells_orders_that_took_part_in_nothing(scorer: DelayScorer) -> None:
    held_out = scorer.metadata.held_out
    assert held_out is not None
    assert held_out.rows == 1308
    assert 0.72 < held_out.metrics["roc_auc"] < 0.76
    assert 0.66 < held_out.metrics["accuracy"] < 0.70
    assert held_out.metrics["brier"] <= 0.182
    for name, metric in scorer.metadata.metrics.items():
        # 1,308 orders scatter about as a fold of 1,498 does
        assert held_out.metrics[name] == pytest.approx(metric.mean, abs=3 * metric.std), name


def test_its_metrics_are_good_and_not_too_good_to_be_true(scorer: DelayScorer) -> None:
    metrics = {name: metric.mean for name, metric in scorer.metadata.metrics.items()}
    assert 0.66 < metrics["accuracy"] < 0.70
    assert 0.72 < metrics["roc_auc"] < 0.76
    assert metrics["ece"] <= 0.015
    assert metrics["brier"] <= 0.182
    assert scorer.metadata.validation.repeats >= 2
    assert all(metric.std > 0 for metric in scorer.metadata.metrics.values())


def test_nearly_every_critical_order_was_late(scorer: DelayScorer) -> None:
    bands = {band.severity: band for band in scorer.metadata.bands}
    assert bands["critical"].late_rate == pytest.approx(0.985, abs=0.015)
    assert bands["info"].late_rate == pytest.approx(0.436, abs=0.015)


def test_it_does_not_know_the_order_id(scorer: DelayScorer) -> None:
    assert scorer.metadata.features == FEATURES
    assert "order_id" not in scorer.metadata.features


def test_its_categories_and_stand_ins_cover_the_contract(scorer: DelayScorer) -> None:
    assert scorer.metadata.unseen_categories == {"warehouse_block": {"E": "F"}}
    for name in CATEGORICAL:
        stand_ins = scorer.metadata.unseen_categories.get(name, {})
        assert {*scorer.metadata.categories[name], *stand_ins} == set(BY_NAME[name].choices)


def test_it_was_trained_with_the_locked_libraries(scorer: DelayScorer) -> None:
    assert scorer.metadata.library_versions == library_versions()


def test_its_metadata_name_no_folder_of_anybodys_machine() -> None:
    content = json.loads((PROJECT_ROOT / "models" / METADATA_FILE).read_text())
    assert content["training_data"]["name"] == "customer_analytics_train.csv"
    assert "/" not in json.dumps(content)


def test_it_ranks_simulated_orders_as_well_as_real_ones(scorer: DelayScorer) -> None:
    from sklearn.metrics import roc_auc_score

    features, late = training_frame(20_000, seed=41)
    assert 0.72 < roc_auc_score(late, scorer.score(features).probability) < 0.76
