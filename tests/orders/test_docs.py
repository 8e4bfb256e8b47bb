"""The documents that are generated from the contract."""

from __future__ import annotations

from fulfillment_assets.orders import docs
from fulfillment_assets.orders.contract import FIELDS


def test_the_table_has_a_line_for_every_field() -> None:
    head, rule, *lines = docs.contract_table().splitlines()
    assert head.startswith("| Field | Rule |")
    assert set(rule) <= set("| -")
    assert [line.split("`")[1] for line in lines] == [field.name for field in FIELDS]
    assert len({line.count("|") for line in (head, rule, *lines)}) == 1


def test_the_table_states_rule_consequence_and_other_names() -> None:
    lines = {line.split("`")[1]: line for line in docs.contract_table().splitlines()[2:]}
    assert "| required; between 0 and 100; " not in lines["discount_offered"]
    assert "between 0 and 100 | row rejected |" in lines["discount_offered"]
    assert "`cost_of_the_product`" in lines["cost_of_product"]
    assert "optional; one of paid, pending, refunded | stored as NULL |" in lines["payment_status"]
    assert "must not be before ship_date" in lines["delivery_date"]
