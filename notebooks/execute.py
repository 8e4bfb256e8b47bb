"""Execute the notebook from top to bottom and store it with its outputs.

To replace its outputs, from the project's folder:

    FULFILLMENT_TRAINING_FILE=orders.csv .venv/bin/python notebooks/execute.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import nbformat
import typer
from nbclient import NotebookClient

HERE: Final = Path(__file__).resolve().parent
NOTEBOOK: Final = HERE / "model_training.ipynb"
CELL_SECONDS: Final = 1_800


def execute(notebook: Any) -> None:
    """Run every cell in a fresh kernel, in the project's folder; outputs replace the old ones.

    Raises:
        CellExecutionError: a cell failed.
    """
    folder = {"metadata": {"path": str(HERE.parent)}}
    NotebookClient(
        notebook, timeout=CELL_SECONDS, kernel_name="python3", resources=folder
    ).execute()
    _forget_the_machine(notebook)


def _forget_the_machine(notebook: Any) -> None:
    """Keep no times, and no more of the kernel than its language."""
    notebook.metadata = nbformat.from_dict(  # type: ignore[no-untyped-call]
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)


def main(
    out: Annotated[
        Path, typer.Option(dir_okay=False, help="Where to store it; unset: in its place.")
    ] = NOTEBOOK,
) -> None:
    """Execute notebooks/model_training.ipynb on FULFILLMENT_TRAINING_FILE, or simulated orders."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]
    execute(notebook)
    nbformat.write(notebook, out)  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    typer.run(main)
