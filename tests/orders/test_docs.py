"""The documents that are generated from the contract."""

from __future__ import annotations

from pathlib import Path

from fulfillment_assets.orders import docs
from fulfillment_assets.orders.contract import FIELDS


def test_the_committed_json_schema_is_the_generated_one() -> None:
    committed = docs.SCHEMA_PATH.read_text(encoding="utf-8")
    assert committed == docs.json_schema_text(), "run: python -m fulfillment_assets.orders.docs"


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


def test_writing_replaces_what_stands_between_the_markers(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{docs.CONTRACT_START}\nold \\1\n{docs.CONTRACT_END}\nafter\n")
    schema = tmp_path / "docs" / "order.schema.json"
    docs.write_documents(schema, readme)
    docs.write_documents(schema, readme)
    assert schema.read_text() == docs.json_schema_text()
    assert readme.read_text() == (
        f"before\n{docs.CONTRACT_START}\n{docs.contract_table()}{docs.CONTRACT_END}\nafter\n"
    )


def test_a_readme_without_markers_is_left_alone(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("nothing here\n")
    docs.write_documents(tmp_path / "order.schema.json", readme)
    assert readme.read_text() == "nothing here\n"
