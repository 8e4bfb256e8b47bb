"""The notebook runs from top to bottom, and is committed as it ran on the real orders."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from filelock import FileLock

from fulfillment_assets.delay_model.artifacts import read_files, read_metadata
from fulfillment_assets.delay_model.metadata import ModelMetadata
from fulfillment_assets.settings import PROJECT_ROOT

NOTEBOOKS = PROJECT_ROOT / "notebooks"
NOTEBOOK = NOTEBOOKS / "model_training.ipynb"
MOST_BYTES = 1_500_000

METRICS = (
    "accuracy",
    "precision",
    "recall",
    "f1",
    "mcc",
    "roc_auc",
    "pr_auc",
    "brier",
    "log_loss",
    "ece",
)
SECTIONS = (
    "Data and provenance",
    "The label and its balance",
    "Distributions",
    "Correlation",
    "The identifier leaks the label",
    "Features",
    "Comparison of models",
    "The chosen model",
    "What the model looks at",
    "Export",
)
FIGURES = (
    "numbers",
    "categories",
    "correlation",
    "leak-shown",
    "roc",
    "confusion",
    "calibration",
    "bands",
    "shap-summary",
    "importances",
)


class Told:
    """An executed notebook, and what its cells put out."""

    def __init__(self, path: Path) -> None:
        self.notebook: Any = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
        self.cells = {cell.id: cell for cell in self.notebook.cells if cell.cell_type == "code"}

    def text(self, cell: str) -> str:
        """What a cell wrote: Markdown where there is some, else plain text."""
        return "\n".join(
            output.data.get("text/markdown", output.data.get("text/plain", ""))
            for output in self.cells[cell].outputs
        )

    def equal_to_the_shipped(self) -> list[str]:
        """Of each exported file, yes or no: classifier, preprocessor, metadata."""
        [table] = [output.data.get("text/html") for output in self.cells["export"].outputs[1:]]
        return re.findall(r"<td>(yes|no)</td>", table)

    def mime_types(self, cell: str) -> set[str]:
        """The kinds of a cell's outputs."""
        return {kind for output in self.cells[cell].outputs for kind in output.data}

    def texts(self) -> Iterator[str]:
        """Everything that was put out and is no picture."""
        for cell in self.cells.values():
            for output in cell.outputs:
                for kind, content in output.get("data", {}).items():
                    if not kind.startswith("image/"):
                        yield content


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Told:
    """The notebook, executed on a few simulated orders; once, whatever workers ask for it."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "notebook"
    folder.mkdir(exist_ok=True)
    with FileLock(folder / "lock"):
        if not (folder / "executed.ipynb").exists():
            execute(folder)
    return Told(folder / "executed.ipynb")


def execute(folder: Path) -> None:
    """Run the notebook on simulated orders, with few repeats, and leave nothing outside."""
    own = ("FULFILLMENT_TRAINING_FILE", "FULFILLMENT_MODELS_DIR")
    environment = {name: value for name, value in os.environ.items() if name not in own}
    subprocess.run(
        [sys.executable, NOTEBOOKS / "execute.py", "--out", folder / "executed.ipynb"],
        env=environment
        | {
            "NOTEBOOK_REPEATS": "1",
            "NOTEBOOK_SIMULATED_ORDERS": "2500",
            "IPYTHONDIR": str(folder / "ipython"),
            "MPLCONFIGDIR": str(folder / "matplotlib"),
        },
        check=True,
        timeout=280,
    )


@pytest.fixture(scope="module")
def committed() -> Told:
    return Told(NOTEBOOK)


@pytest.fixture(scope="module")
def shipped() -> ModelMetadata:
    return read_metadata(read_files(PROJECT_ROOT / "models"))


@pytest.fixture(params=["executed", "committed"])
def told(request: pytest.FixtureRequest) -> Told:
    """Either of the two: some things must be true of both."""
    found: Told = request.getfixturevalue(request.param)
    return found


def test_it_ran_from_top_to_bottom_without_errors_and_warnings(told: Told) -> None:
    counts = [cell.execution_count for cell in told.cells.values()]
    assert counts == list(range(1, len(told.cells) + 1))
    for name, cell in told.cells.items():
        assert cell.outputs, f"{name} shows nothing"
        assert {output.output_type for output in cell.outputs} <= {"display_data", "execute_result"}


def test_it_has_every_section_and_every_figure(told: Told) -> None:
    headings = re.findall(
        r"^## \d+\. (.+)$",
        "\n".join(cell.source for cell in told.notebook.cells if cell.cell_type == "markdown"),
        flags=re.MULTILINE,
    )
    assert tuple(headings) == SECTIONS
    assert [name for name in FIGURES if "image/png" not in told.mime_types(name)] == []


def test_it_compares_the_four_families_by_every_metric(told: Told) -> None:
    table = told.text("comparison")
    for family in ("logistic_regression", "random_forest", "xgboost", "lightgbm"):
        assert family in table
    assert [metric for metric in METRICS if not re.search(rf"\b{metric} .+ ± ", table)] == []
    assert "chosen" in told.text("search")


def test_its_model_passes_the_guards_and_one_with_the_identifier_would_not(told: Told) -> None:
    verdicts = re.findall(r"^- \*\*(.+): (passed|failed)\.\*\*", told.text("guards"), re.MULTILINE)
    assert verdicts == [
        ("label polarity", "passed"),
        ("no leak", "passed"),
        ("no leak, if the identifier were there", "failed"),
    ]


def test_it_explains_an_order_in_words(told: Told) -> None:
    assert re.search(r"- discount 58 % is far above usual; this raises", told.text("words"))


def test_simulated_orders_are_said_to_be_simulated_at_once(executed: Told) -> None:
    first = next(iter(executed.cells))
    assert "**simulated orders**" in executed.text(first)
    assert "2500 simulated orders" in executed.text("data-provenance")
    assert re.search(r"row number alone: \*\*0\.[45]\d+\*\*", executed.text("leak-shown"))


def test_another_model_than_the_shipped_one_says_so(executed: Told, shipped: ModelMetadata) -> None:
    assert re.search(r"Version: \*\*lgbm-[0-9a-f]{12}\*\*", executed.text("export"))
    assert shipped.version not in executed.text("export")
    classifier, _, metadata = executed.equal_to_the_shipped()
    assert (classifier, metadata) == ("no", "no")


def test_the_committed_one_is_that_of_the_shipped_model(
    committed: Told, shipped: ModelMetadata
) -> None:
    remedy = "run notebooks/execute.py on the data that the shipped model was trained on"
    assert f"Version: **{shipped.version}**" in committed.text("export"), remedy
    assert committed.equal_to_the_shipped() == ["yes", "yes", "yes"], remedy
    for digest in shipped.artifacts.values():
        assert digest in committed.text("export"), remedy
    assert shipped.training_data.sha256 in committed.text("data-provenance")
    assert f"{shipped.training_data.rows:,}" in committed.text("data-provenance")
    for name, metric in shipped.metrics.items():
        pattern = rf"{name} +{metric.mean:.4f} ± {metric.std:.4f}"
        assert re.search(pattern, committed.text("chosen-metrics")), remedy


def test_the_committed_one_shows_the_leak_of_the_public_data(committed: Told) -> None:
    assert re.search(r"ROC-AUC of the ID alone: \*\*0\.7[34]\d\*\*", committed.text("leak-shown"))


def test_the_committed_one_holds_no_rows_of_the_data(committed: Told) -> None:
    for text in committed.texts():
        assert not re.search(r"^\d+ ", text, re.MULTILINE), "a table numbered like rows"
        assert not re.search(r"<th>\d+</th>", text)
        assert text.count("<tr") <= 12


def test_the_committed_one_names_nothing_of_the_machine(committed: Told) -> None:
    for text in (*committed.texts(), *(cell.source for cell in committed.notebook.cells)):
        assert not re.search(r"/(work|tmp|home|root|Users|var|opt)/|[A-Z]:\\\\", text)
    assert committed.notebook.metadata == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    assert all(cell.metadata == {} for cell in committed.notebook.cells)


def test_the_committed_one_is_small(committed: Told) -> None:
    assert NOTEBOOK.stat().st_size < MOST_BYTES
