from __future__ import annotations

import pytest

from fulfillment_assets.delay_model.metadata import DATES, IDENTIFIERS, canonical_name, id_used
from fulfillment_assets.delay_model.scorer import DelayScorer
from fulfillment_assets.orders.contract import BY_NAME, FEATURES


def test_the_committed_model_uses_no_identifier(scorer: DelayScorer) -> None:
    assert not id_used(scorer.metadata)


@pytest.mark.parametrize("name", ["order_id", "ID", "customer_id", "delivery_date", "Order Date"])
def test_an_identifier_or_a_date_among_the_features_is_told(scorer: DelayScorer, name: str) -> None:
    assert id_used(scorer.metadata.model_copy(update={"features": (*FEATURES, name)}))


def test_identifiers_and_dates_are_fields_of_the_contract_and_no_features() -> None:
    for name in (*IDENTIFIERS, *DATES):
        assert name in BY_NAME
        assert not BY_NAME[name].feature
    assert "delivery_date" in DATES


def test_a_column_is_known_by_its_name_in_the_contract() -> None:
    assert canonical_name("Cost_of_the_Product") == "cost_of_product"
    assert canonical_name("shoe size") == "shoe size"
