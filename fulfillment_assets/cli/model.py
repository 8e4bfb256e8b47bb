"""Commands about the delay model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from fulfillment_assets.cli.text import Json, notes, print_json, results
from fulfillment_assets.settings import Settings


def train(
    data: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="Orders with known outcomes (Kaggle format); unset: simulated orders.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Train the calibrated delay classifier and store it in the models folder."""
    from fulfillment_assets.delay_model.training import save, train
    from fulfillment_assets.delay_model.training_data import load_training_data

    settings = Settings()
    training_data = load_training_data(data or settings.training_file)
    source = training_data.source
    if source.kind == "simulator":
        notes.print("[yellow]No file of real orders was given: training on simulated orders.[/]")
    with notes.status(f"training on {source.name} ..."):
        metadata = save(train(training_data), settings.models_dir)
    if as_json:
        print_json(metadata.model_dump(mode="json", exclude={"golden_rows"}))
        return
    table = Table(title=f"Model {metadata.version}, trained on {source.kind} {source.name}")
    table.add_column("metric")
    table.add_column("mean", justify="right")
    table.add_column("std", justify="right")
    for name, metric in metadata.metrics.items():
        table.add_row(name, f"{metric.mean:.4f}", f"{metric.std:.4f}")
    results.print(table)
    results.print(f"Stored in {settings.models_dir}", soft_wrap=True)
