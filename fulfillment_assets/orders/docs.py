"""The documents that are generated from the contract.

`python -m fulfillment_assets.orders.docs` writes them anew.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final

from fulfillment_assets.orders.contract import FIELDS, Field, Kind
from fulfillment_assets.orders.model import order_json_schema
from fulfillment_assets.orders.rules import format_rule, limit_rule, order_rule
from fulfillment_assets.settings import PROJECT_ROOT

SCHEMA_PATH: Final = PROJECT_ROOT / "docs" / "order.schema.json"
README_PATH: Final = PROJECT_ROOT / "README.md"
CONTRACT_START: Final = "<!-- contract:start -->"
CONTRACT_END: Final = "<!-- contract:end -->"

_HEAD: Final = ("Field", "Rule", "If broken", "Meaning", "Example", "Also accepted as")


def contract_table() -> str:
    """Give the contract as a Markdown table, one line per field, with a newline at the end."""
    lines = [_HEAD, tuple("---" for _ in _HEAD), *map(_line, FIELDS)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def json_schema_text() -> str:
    """Give the JSON Schema of an order as the text of `docs/order.schema.json`."""
    return json.dumps(order_json_schema(), indent=2, ensure_ascii=False) + "\n"


def with_contract_table(markdown: str) -> str:
    """Put the table between its two markers, in place of what stands there."""
    pattern = f"{re.escape(CONTRACT_START)}.*?{re.escape(CONTRACT_END)}"
    block = f"{CONTRACT_START}\n{contract_table()}{CONTRACT_END}"
    return re.sub(pattern, lambda _: block, markdown, flags=re.DOTALL)


def write_documents(schema_path: Path = SCHEMA_PATH, readme_path: Path = README_PATH) -> None:
    """Write the JSON Schema, and the table of the README where it has the markers."""
    schema_path.parent.mkdir(exist_ok=True)
    schema_path.write_text(json_schema_text(), encoding="utf-8")
    if readme_path.exists():
        readme = readme_path.read_text(encoding="utf-8")
        readme_path.write_text(with_contract_table(readme), encoding="utf-8")


def _line(field: Field) -> tuple[str, ...]:
    return (
        f"`{field.name}`",
        _rule(field),
        "row rejected" if field.rejects else "stored as NULL",
        field.description,
        f"`{field.example}`",
        ", ".join(f"`{alias}`" for alias in field.aliases),
    )


def _rule(field: Field) -> str:
    rules = [format_rule(field), limit_rule(field)]
    if field.kind is Kind.TEXT:
        rules.reverse()
    if field.not_before is not None:
        rules.append(order_rule(field.not_before))
    text = "; ".join(rule.removeprefix("must be ") for rule in rules if rule)
    return f"{'required' if field.required else 'optional'}; {text}"


if __name__ == "__main__":
    write_documents()
