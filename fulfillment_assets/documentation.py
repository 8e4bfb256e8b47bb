"""Documents that are generated: `python -m fulfillment_assets.documentation` writes them anew.

They are the JSON Schemas of an order, of an event and of a deviation, the diagram of the agents'
graph, and the tables between markers in the README and in the model card. The card's figures by
gender need the training data: with `--data FILE` they are measured anew, and kept in
docs/fairness.json.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final

import typer
from pydantic.fields import FieldInfo

from fulfillment_assets.delay_model.artifacts import read_files, read_metadata
from fulfillment_assets.delay_model.card import card_regions
from fulfillment_assets.delay_model.metadata import ModelMetadata
from fulfillment_assets.delay_model.training.candidates import SERVED, Candidate
from fulfillment_assets.delay_model.training.data import read_training_file
from fulfillment_assets.delay_model.training.fairness import FairnessReport, measure_fairness
from fulfillment_assets.deviations.event import deviation_schema_text
from fulfillment_assets.events.docs import event_schema_text
from fulfillment_assets.orders.docs import contract_table, json_schema_text
from fulfillment_assets.settings import PROJECT_ROOT, Settings

CARD: Final = Path("docs", "model_card.md")
FAIRNESS: Final = Path("docs", "fairness.json")
_HEAD: Final = "| variable | default | meaning |\n| --- | --- | --- |\n"


def settings_table() -> str:
    """The environment variables as a Markdown table, a line each, with a newline at the end."""
    return _HEAD + "".join(_line(name, field) for name, field in Settings.model_fields.items())


def documents(root: Path = PROJECT_ROOT) -> dict[Path, str]:
    """Each generated document with the text that it should have."""
    from fulfillment_assets.agents.diagram import graph_document

    fairness = FairnessReport.model_validate_json((root / FAIRNESS).read_bytes())
    regions = {
        root / "README.md": {"contract": contract_table(), "settings": settings_table()},
        root / CARD: card_regions(shipped_model(root), fairness),
    }
    return {
        **{path: _with_regions(path, tables) for path, tables in regions.items()},
        root / "docs" / "order.schema.json": json_schema_text(),
        root / "docs" / "event.schema.json": event_schema_text(),
        root / "docs" / "deviation.schema.json": deviation_schema_text(),
        root / "docs" / "agent_graph.md": graph_document(),
    }


def shipped_model(root: Path = PROJECT_ROOT) -> ModelMetadata:
    """What is known of the model that ships with the project."""
    return read_metadata(read_files(root / "models"))


def _with_regions(path: Path, tables: dict[str, str]) -> str:
    text = path.read_text(encoding="utf-8")
    for region, table in tables.items():
        text = with_region(text, region, table)
    return text


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


def main(
    data: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="The shipped model's training file: measure its figures by gender anew.",
        ),
    ] = None,
) -> None:
    """Write every generated document."""
    if data is not None:
        report = measure_fairness(read_training_file(data), candidate=_candidate(shipped_model()))
        text = report.model_dump_json(indent=2) + "\n"
        (PROJECT_ROOT / FAIRNESS).write_text(text, encoding="utf-8")
    for path, text in documents().items():
        path.write_text(text, encoding="utf-8")


def _candidate(model: ModelMetadata) -> Candidate:
    return Candidate(
        name=model.candidate, family=SERVED, parameters=model.hyperparameters, eligible=True
    )


if __name__ == "__main__":
    typer.run(main)
