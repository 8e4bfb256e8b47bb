"""The model card tells of the shipped model, and its prose holds what its figures say.

That its tables are the generated ones is tested with the other generated documents.
"""

from __future__ import annotations

import re

import pytest

from fulfillment_assets.delay_model.card import card_regions
from fulfillment_assets.delay_model.metadata import ModelMetadata
from fulfillment_assets.delay_model.training.fairness import FairnessReport
from fulfillment_assets.delay_model.training.leaks import CEILING
from fulfillment_assets.documentation import CARD, FAIRNESS, shipped_model
from fulfillment_assets.settings import PROJECT_ROOT

SECTIONS = (
    "Model details",
    "Intended use",
    "Training data",
    "What it knows, and what it does not",
    "Evaluation",
    "Limits",
    "Gender",
    "Recommendations",
)
MEASURE = "measure them: python -m fulfillment_assets.documentation --data FILE"


@pytest.fixture(scope="module")
def card() -> str:
    return (PROJECT_ROOT / CARD).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def model() -> ModelMetadata:
    return shipped_model()


@pytest.fixture(scope="module")
def fairness() -> FairnessReport:
    return FairnessReport.model_validate_json((PROJECT_ROOT / FAIRNESS).read_bytes())


def test_it_has_the_sections_of_a_model_card(card: str) -> None:
    assert tuple(re.findall(r"^## (.+)$", card, flags=re.MULTILINE)) == SECTIONS


def test_the_figures_by_gender_are_of_the_shipped_model(
    model: ModelMetadata, fairness: FairnessReport
) -> None:
    assert fairness.candidate == model.candidate, MEASURE
    assert fairness.source.sha256 == model.training_data.sha256, MEASURE
    assert fairness.orders == model.training_data.rows, MEASURE


def test_measured_figures_stand_in_generated_tables_only(card: str) -> None:
    prose = re.sub(r"<!-- ([\w-]+):start -->.*?<!-- \1:end -->", "", card, flags=re.DOTALL)
    assert not re.search(r"^\||±|\d\.\d{4}|lgbm-", prose, flags=re.MULTILINE)


def test_the_recommendation_on_gender_follows_from_the_figures(
    card: str, fairness: FairnessReport
) -> None:
    assert "**Recommendation: do not use gender.**" in card
    spoilt = [n for n, found in fairness.difference.items() if not found.low <= 0 <= found.high]
    assert spoilt == [], "the card says that every interval holds 0: write it anew"
    swap = fairness.swap
    assert (swap.largest_change, swap.called_late, swap.critical) == (0, 0, 0)
    for change in fairness.without.values():
        assert change.low <= 0 <= change.high, "leaving the feature out has a price: write it anew"


def test_the_prose_on_the_bands_is_true(model: ModelMetadata) -> None:
    bands = {band.severity: band for band in model.bands}
    assert (bands["critical"].late_rate or 0) > 0.95, "close to certainty"
    assert 0.5 < (bands["warning"].late_rate or 0) < 0.65, "only a little better than a coin"
    assert bands["info"].share > 0.65, "about seven orders in ten"
    assert bands["none"].share < 0.01, "all but empty"
    assert 0.45 < model.metrics["recall"].mean < 0.55, "half of the late orders are found"


def test_the_ceilings_are_those_that_the_leak_check_holds(card: str) -> None:
    assert (
        f"accuracy above {CEILING['accuracy']:.2f} or a ROC-AUC above {CEILING['roc_auc']:.2f}"
        in (card)
    )


def test_a_model_without_search_and_held_out_orders_has_a_card_as_well(
    model: ModelMetadata, fairness: FairnessReport
) -> None:
    bare = model.model_copy(update={"search": None, "held_out": None, "unseen_categories": {}})
    regions = card_regions(bare, fairness)
    assert set(regions) == set(card_regions(model, fairness))
    for table in regions.values():
        widths = {line.count("|") for line in table.splitlines()}
        assert len(widths) == 1, "every line has the same columns"
    assert "| brier | 0.1" in regions["model-metrics"]
