"""Reasons in plain words."""

from __future__ import annotations

import re

import pytest
from hypothesis import given

from fulfillment_assets.delay_model.metadata import ModelMetadata
from fulfillment_assets.delay_model.profile import NumberProfile
from fulfillment_assets.delay_model.reasons import Reason
from fulfillment_assets.delay_model.scorer import DelayScorer
from fulfillment_assets.delay_model.wording import WordedReason, in_brief, in_words, worded
from fulfillment_assets.orders.contract import FEATURES
from tests.delay_model.examples import Order, order, valid_orders

EVEN = (100.0, 200.0, 300.0, 400.0, 500.0, 600.0, 700.0)
"""Values at 1, 5, 25, 50, 75, 95 and 99 %: the percentiles lie within the fences."""

SKEWED = (1.0, 1.0, 4.0, 7.0, 10.0, 54.0, 63.0)
"""As of the discount: the fences are at 19 and 28, well below the percentiles."""

ALIKE = (5.0, 5.0, 5.0, 5.0, 5.0, 9.0, 12.0)
"""Half of the orders have one value: there is no box, and so there are no fences."""


@pytest.fixture(scope="module")
def model(scorer: DelayScorer) -> ModelMetadata:
    """A model of orders whose distribution is chosen here."""
    profile = scorer.metadata.profile
    chosen = {"weight_in_gms": EVEN, "discount_offered": SKEWED, "prior_purchases": ALIKE}
    numbers = {
        name: NumberProfile(quantiles=quantiles, edges=(), shares=(1.0,))
        for name, quantiles in chosen.items()
    }
    categories = {
        "warehouse_block": {"A": 0.5, "B": 0.05, "C": 0.049, "D": 0.0, "E": 0.0, "F": 0.401},
    }
    return scorer.metadata.model_copy(
        update={
            "profile": profile.model_copy(
                update={
                    "numbers": profile.numbers | numbers,
                    "categories": profile.categories | categories,
                }
            ),
            "unseen_categories": {"warehouse_block": {"D": "A", "E": "F"}},
        }
    )


@pytest.mark.parametrize(
    ("weight", "standing"),
    [
        (700.5, "is far above usual; this raises the risk"),
        (700, "is above usual; this raises the risk"),
        (600.5, "is above usual; this raises the risk"),
        (600, "is within the usual range; here it raises the risk"),
        (400, "is within the usual range; here it raises the risk"),
        (200, "is within the usual range; here it raises the risk"),
        (199.5, "is below usual; this raises the risk"),
        (100, "is below usual; this raises the risk"),
        (99.5, "is far below usual; this raises the risk"),
    ],
)
def test_a_number_is_held_against_the_percentiles_of_training(
    weight: float, standing: str, model: ModelMetadata
) -> None:
    text = in_words("weight_in_gms", weight, model)
    assert text == f"weight {weight:g} g {standing}"


@pytest.mark.parametrize(
    ("discount", "standing"),
    [
        (58, "far above usual"),
        (28.5, "far above usual"),
        (28, "above usual"),
        (19.5, "above usual"),
    ],
)
def test_beyond_the_fences_of_the_box_plot_a_number_is_unusual_however_many_have_it(
    discount: float, standing: str, model: ModelMetadata
) -> None:
    text = in_words("discount_offered", discount, model)
    assert text == f"discount {discount:g} % is {standing}; this raises the risk"
    assert "within the usual range" in in_words("discount_offered", 19, model)


def test_where_half_of_the_orders_are_alike_the_percentiles_alone_count(
    model: ModelMetadata,
) -> None:
    standings = [in_brief("prior_purchases", count, model) for count in (6, 9, 10, 13, 4)]
    assert standings == [
        "6 prior purchases",
        "9 prior purchases",
        "10 prior purchases (above usual)",
        "13 prior purchases (far above usual)",
        "4 prior purchases (far below usual)",
    ]


def test_the_shipped_model_finds_a_deep_discount_far_above_usual(scorer: DelayScorer) -> None:
    assert in_words("discount_offered", 58, scorer.metadata) == (
        "discount 58 % is far above usual; this raises the risk"
    )
    assert in_words("weight_in_gms", 1500.0, scorer.metadata) == (
        "weight 1,500 g is within the usual range; here it raises the risk"
    )


@pytest.mark.parametrize(
    ("feature", "value", "brief"),
    [
        ("warehouse_block", "F", "warehouse block F"),
        ("mode_of_shipment", "Flight", "shipped by Flight"),
        ("product_importance", "high", "importance high"),
        ("gender", "M", "gender M"),
        ("customer_rating", 2, "customer rating 2 of 5"),
        ("customer_care_calls", 4, "4 customer care calls"),
        ("cost_of_product", 219, "cost $219"),
        ("cost_of_product", 219.5, "cost $219.5"),
        ("weight_in_gms", 500.0, "weight 500 g"),
        ("discount_offered", 10.25, "discount 10.25 %"),
    ],
)
def test_each_feature_has_its_own_phrase_and_unit(
    feature: str, value: str | float, brief: str, model: ModelMetadata
) -> None:
    assert in_brief(feature, value, model) == brief


@pytest.mark.parametrize(
    ("cost", "written"),
    [
        (1500.0, "1,500"),
        (0.5, "0.5"),
        (10_000_000.0, "10,000,000"),
        (1234.5678, "1,234.57"),
        (0.0042, "0.0042"),
    ],
)
def test_numbers_are_written_for_people(cost: float, written: str, model: ModelMetadata) -> None:
    assert in_brief("cost_of_product", cost, model).startswith(f"cost ${written} (far ")


def test_one_of_a_count_is_singular(scorer: DelayScorer) -> None:
    one, two, five = (
        in_words("customer_care_calls", count, scorer.metadata) for count in (1, 2, 5)
    )
    assert one.startswith("1 customer care call is ")
    assert two.startswith("2 customer care calls are ")
    assert five == "5 customer care calls are within the usual range; here they raise the risk"


def test_a_category_is_named_with_a_note_if_it_is_rare_or_new(model: ModelMetadata) -> None:
    texts = {block: in_words("warehouse_block", block, model) for block in "ABCDEF"}
    assert texts == {
        "A": "warehouse block A; this raises the risk",
        "B": "warehouse block B; this raises the risk",
        "C": "warehouse block C (rare: 4.9 % of the training orders); this raises the risk",
        "D": "warehouse block D (not among the training orders, scored as A); this raises the risk",
        "E": "warehouse block E (not among the training orders, scored as F); this raises the risk",
        "F": "warehouse block F; this raises the risk",
    }


@given(valid_orders)
def test_every_feature_of_any_valid_order_can_be_told(scorer: DelayScorer, order: Order) -> None:
    for feature in FEATURES:
        text = in_words(feature, order[feature], scorer.metadata)
        assert re.fullmatch(r"[A-Za-z0-9 ,.:;()$%-]+ the risk", text), "goes into JSON unescaped"
        assert not re.search(r"\d\.0\b|None|nan", text)
        assert text.startswith(in_brief(feature, order[feature], scorer.metadata).split(" (")[0])


def test_the_reasons_of_an_order_keep_their_order_and_contributions(scorer: DelayScorer) -> None:
    reasons = (Reason("discount_offered", 2.5), Reason("warehouse_block", 0.0625))
    assert worded(reasons, order(discount_offered=58.0, warehouse_block="F"), scorer.metadata) == (
        WordedReason(
            "discount_offered", 2.5, "discount 58 % is far above usual; this raises the risk"
        ),
        WordedReason("warehouse_block", 0.0625, "warehouse block F; this raises the risk"),
    )
