"""Documents that are generated: `python -m fulfillment_assets.documentation` writes them anew.

They are the JSON Schema of an order, and the tables between markers in the README.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from pydantic.fields import FieldInfo

from fulfillment_assets.orders.docs import contract_table, json_schema_text
from fulfillment_assets.settings import PROJECT_ROOT, Settings

_HEAD: Final = "| variable | default | meaning |\n| --- | --- | --- |\n"


def settings_table() -> str:
    """The environment variables as a Markdown table, a line each, with a newline at the end."""
    return _HEAD + "".join(_line(name, field) for name, field in Settings.model_fields.items())


def documents(root: Path = PROJECT_ROOT) -> dict[Path, str]:
    """Each generated document with the text that it should have."""
    readme = root / "README.md"
    text = readme.read_text(encoding="utf-8")
    for region, table in (("contract", contract_table()), ("settings", settings_table())):
        text = with_region(text, region, table)
    return {readme: text, root / "docs" / "order.schema.json": json_schema_text()}


def with_region(markdown: str, region: str, table: str) -> str:
    """Put a table between the two markers of its region, in place of what stands there.

    Raises:
        ValueError: the markers are missing.
    """
    start, end = f"<!-- {region}:start -->", f"<!-- {region}:end -->"
    pattern = f"{re.escape(start)}.*?{re.escape(end)}"
    if not re.search(pattern, markdown, flags=re.DOTALL):
        raise ValueError(f"the markers {start} and {end} are missing")
    return re.sub(pattern, lambda _: f"{start}\n{table}{end}", markdown, flags=re.DOTALL)


def _line(name: str, field: FieldInfo) -> str:
    prefix = str(Settings.model_config["env_prefix"])
    variable = str(field.validation_alias or f"{prefix}{name}".upper())
    return f"| `{variable}` | {_default(field.default)} | {field.description} |\n"


def _default(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, Path):
        return f"`{value.relative_to(PROJECT_ROOT)}/`"
    return f"`{value}`"


def main() -> None:
    """Write every generated document."""
    for path, text in documents().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
