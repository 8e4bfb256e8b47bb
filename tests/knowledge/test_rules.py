"""The rules of the knowledge base: what they say, and what is wrong with wrong ones."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from fulfillment_assets.knowledge.errors import KnowledgeError
from fulfillment_assets.knowledge.files import REFERENCE, KnowledgeFile, filled_in, read_files
from fulfillment_assets.knowledge.rulebook import Rulebook, load_rules, rulebook_of, values_for
from fulfillment_assets.knowledge.rules import Importance
from fulfillment_assets.orders.contract import BY_NAME
from fulfillment_assets.orders.simulator.journey import CARRIERS
from fulfillment_assets.settings import PROJECT_ROOT
from tests.knowledge.files import replace

SHIPPED = PROJECT_ROOT / "knowledge_base"
FILES = read_files(SHIPPED)
RULE_ID = re.compile(r"\b[A-Z]{2}-\d+\.\d+\b")
HEADING = re.compile(r"^#+ \d+\. ", re.MULTILINE)


@pytest.fixture(scope="module")
def book() -> Rulebook:
    return load_rules(SHIPPED)


class TestTheShippedRules:
    def test_know_every_block_and_every_carrier_of_the_orders(self, book: Rulebook) -> None:
        assert set(book.warehouses) == set(BY_NAME["warehouse_block"].choices)
        of_mode = {
            mode: {name for name, one in book.carriers.by_name.items() if one.mode == mode}
            for mode in BY_NAME["mode_of_shipment"].choices
        }
        assert of_mode == {mode: set(names) for mode, names in CARRIERS.items()}

    def test_cannot_be_changed(self, book: Rulebook) -> None:
        with pytest.raises(ValidationError, match="frozen"):
            setattr(book.refund, "automatic_limit_usd", Decimal(10_000))  # noqa: B010

    @pytest.mark.parametrize(
        ("prior_purchases", "tier"),
        [(0, "standard"), (3, "standard"), (4, "silver"), (6, "silver"), (7, "gold"), (99, "gold")],
    )
    def test_give_a_customer_a_tier(self, book: Rulebook, prior_purchases: int, tier: str) -> None:
        assert book.refund.tier(prior_purchases) == tier

    @pytest.mark.parametrize(
        ("days", "importance", "percent"),
        [(0, "high", 0), (1, "low", 5), (2, "high", 15), (3, "medium", 20), (40, "high", 50)],
    )
    def test_give_a_late_order_a_percentage(
        self, book: Rulebook, days: int, importance: Importance, percent: int
    ) -> None:
        assert book.refund.percent(days, importance) == percent

    @pytest.mark.parametrize(
        ("probability", "importance", "name"),
        [
            (0.95, "high", "P1"),
            (0.95, "medium", "P2"),
            (0.95, "low", "P3"),
            (0.7, "high", "P2"),
            (0.1, "high", "P4"),
        ],
    )
    def test_give_an_order_a_priority(
        self, book: Rulebook, probability: float, importance: Importance, name: str
    ) -> None:
        assert book.escalation.priority(probability, importance).name == name

    def test_name_the_carriers_that_take_a_parcel_the_fastest_first(self, book: Rulebook) -> None:
        assert book.carriers.serving("Flight", 4_400) == ("Skylark Air", "Cirrus Cargo")
        assert book.carriers.serving("Flight", 4_501) == ("Skylark Air",)
        assert book.carriers.serving("Flight", 5_001) == ()

    def test_tell_the_version_of_each_file(self, book: Rulebook) -> None:
        assert book.versions["policies/refund.md"] == "4.0"


class TestTextAndRulesCannotDisagree:
    """Every number of the text is filled in from the rules, and every rule is told."""

    @pytest.mark.parametrize("file", FILES, ids=lambda file: file.source)
    def test_no_number_is_written_by_hand(self, file: KnowledgeFile) -> None:
        text = HEADING.sub("", RULE_ID.sub("", REFERENCE.sub("", file.body)))
        assert re.findall(r".*\d.*", text) == []

    @pytest.mark.parametrize("file", FILES, ids=lambda file: file.source)
    def test_every_rule_is_told(self, file: KnowledgeFile) -> None:
        told = {path for other in FILES for path in REFERENCE.findall(other.body)}
        own = set(REFERENCE.findall(file.body))
        for name, rules in file.front.rules.items():
            here = own if name in {"warehouse", "template"} else told
            # The first two are no rules to a reader, and the third is always 0.
            untold = {
                "template.name",
                "template.channel",
                "refund.tier_min_prior_purchases.standard",
            }
            assert [path for path in leaves(name, rules) if path not in here | untold] == []

    def test_rule_ids_are_unique(self) -> None:
        ids = [found for file in FILES for found in re.findall(r"\*\*([A-Z-\d.]+)\*\*", file.body)]
        assert len(ids) > 80
        assert len(ids) == len(set(ids))

    def test_rules_that_a_text_mentions_exist(self) -> None:
        ids = {found for file in FILES for found in re.findall(r"\*\*([A-Z-\d.]+)\*\*", file.body)}
        mentioned = {found for file in FILES for found in RULE_ID.findall(file.body)}
        assert mentioned - ids == set()

    def test_a_changed_rule_changes_the_text(self, knowledge_dir: Path) -> None:
        path = knowledge_dir / "policies" / "refund.md"
        replace(path, "automatic_limit_usd: 50\n", "automatic_limit_usd: 75\n")
        files = {file.source: file for file in read_files(knowledge_dir)}
        book = rulebook_of(files.values())
        for source in ("policies/refund.md", "policies/escalation_criteria.md"):
            file = files[source]
            assert "75 USD" in filled_in(source, file.body, values_for(file, book))


def leaves(path: str, value: Any) -> Iterator[str]:
    """Paths to every single value or list of values."""
    if isinstance(value, dict):
        for name, below in value.items():
            yield from leaves(f"{path}.{name}", below)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for number, below in enumerate(value):
            yield from leaves(f"{path}.{number}", below)
    elif value != []:
        yield path


# What is changed in which file, and what the message must name.
WRONG = [
    ("refund", "automatic_limit_usd: 50\n", "automatic_limit_usd: many\n",
     r"policies/refund\.md: rules\.refund\.automatic_limit_usd: .*'many'"),
    ("refund", "    automatic_limit_usd: 50\n", "",
     r"rules\.refund\.automatic_limit_usd: Field required"),
    ("refund", "minimum_usd: 5\n", "minimum_usd: 5\n    maximum: 9\n",
     r"rules\.refund\.maximum: Extra inputs"),
    ("refund", "automatic_limit_usd: 50\n", "automatic_limit_usd: 900\n",
     r"rules\.refund: minimum_usd, automatic_limit_usd and approval_limit_usd must ascend"),
    ("refund", "limit_usd_by_tier: {standard: 100,", "limit_usd_by_tier: {standard: 400,",
     r"rules\.refund: limit_usd_by_tier must ascend"),
    ("refund", "from_days: 3,", "from_days: 1,", r"from_days must ascend"),
    ("refund", "eligible_payment_statuses: [paid]", "eligible_payment_statuses: [payed]",
     r"rules\.refund\.eligible_payment_statuses\.0: .*'payed'"),
    ("refund", "category: policy", "category: law", r"refund\.md: category: .*'law'"),
    ("refund", "agent_type: [payment]", "agent_type: [cashier]", r"agent_type\.0: .*'cashier'"),
    ("refund", "effective_from: 2026-01-01", "effective_from: soon", r"effective_from: .*'soon'"),
    ("refund", "  credit:\n", "  credits:\n", r"rules\.credits: there are no such rules; known:"),
    ("refund", "---\ntitle:", "title:", r"refund\.md: must begin with a front matter"),
    ("refund", "title: Refund", "title: [Refund", r"refund\.md: the front matter is no YAML"),
    ("escalation_criteria", "out_of_hours_queue: duty-manager", "out_of_hours_queue: nobody",
     r"out_of_hours_queue 'nobody' is none of"),
    ("escalation_criteria", "at_least_probability: 0.0", "at_least_probability: 0.1",
     r"the last one must fit every order"),
    ("communication_guidelines", "default_language: en", "default_language: it",
     r"default_language 'it' is none of"),
    ("communication_guidelines", "[refund_confirmation]", "[birthday_card]",
     r"communication_guidelines\.md: .*there is no template 'birthday_card'"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "old", "new", "message"), WRONG)
def test_a_wrong_policy_is_refused_with_file_and_field(
    knowledge_dir: Path, name: str, old: str, new: str, message: str
) -> None:
    replace(knowledge_dir / "policies" / f"{name}.md", old, new)
    with pytest.raises(KnowledgeError, match=message):
        load_rules(knowledge_dir)


@pytest.mark.parametrize(
    ("source", "old", "new", "message"),
    [
        ("slas/warehouse_a.md", "transfer_partners: [B, D]", "transfer_partners: [B, E]",
         r"warehouse_a\.md: .*transfer_partners: E must be another block that names A, too"),
        ("slas/warehouse_a.md", "transfer_partners: [B, D]", "transfer_partners: [A]",
         r"A must be another block"),
        ("slas/warehouse_a.md", "block: A\n", "block: B\n", r"warehouses\.B stands in slas/ware"),
        ("slas/warehouse_e.md", "modes: [Road]", "modes: [Rail]", r"warehouse\.modes\.0: .*'Rail'"),
        ("slas/carriers.md", "Skylark Air: {mode: Flight, min_transit_days: 1,",
         "Skylark Air: {mode: Flight, min_transit_days: 9,", r"Skylark Air: min_transit_days is"),
        ("slas/carriers.md", "Flight: 5000,", "Flight: 4900,",
         r"by_name\.Skylark Air\.max_weight_gms 5000 is above the 4900 of Flight"),
        ("templates/apology_email.md", "placeholders: [customer_name, order_id, reason,",
         "placeholders: [customer_name, order_id,", r"'reason' is used but not listed"),
    ],
)  # fmt: skip
def test_wrong_agreements_and_templates_are_refused_too(
    knowledge_dir: Path, source: str, old: str, new: str, message: str
) -> None:
    replace(knowledge_dir / source, old, new)
    with pytest.raises(KnowledgeError, match=message):
        load_rules(knowledge_dir)


def test_rules_that_are_missing_are_named(knowledge_dir: Path) -> None:
    (knowledge_dir / "slas" / "carriers.md").unlink()
    with pytest.raises(KnowledgeError, match=r"no file of the knowledge base has rules\.carriers"):
        load_rules(knowledge_dir)


def test_an_empty_directory_is_told(tmp_path: Path) -> None:
    with pytest.raises(KnowledgeError, match=r"holds no \.md file; set FULFILLMENT_KNOWLEDGE_DIR"):
        load_rules(tmp_path)


@pytest.mark.parametrize("path", ["refund.nothing", "refund", "refund.percent_by_days_late.9.low"])
def test_a_reference_that_leads_nowhere_is_told(book: Rulebook, path: str) -> None:
    with pytest.raises(KnowledgeError, match=rf"x\.md: {{{{ {re.escape(path)} }}}} leads to no"):
        filled_in("x.md", f"At most {{{{ {path} }}}} USD", book.model_dump())


def test_values_are_written_as_people_read_them(book: Rulebook) -> None:
    text = (
        "{{ carriers.max_weight_gms_by_mode.Ship }} g, {{ carriers.by_name.Skylark Air.cut_off }}, "
        "{{shipping.transfer_above_probability}}, {{ refund.eligible_order_statuses }}"
    )
    expected = "30,000 g, 18:00, 0.7, shipped, delayed, delivered"
    assert filled_in("x.md", text, book.model_dump()) == expected
