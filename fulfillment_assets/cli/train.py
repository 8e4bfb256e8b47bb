"""The command that trains the delay model."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from fulfillment_assets.cli import model_report
from fulfillment_assets.cli.text import Json, complain, notes, print_json, results
from fulfillment_assets.cli.user import user_name
from fulfillment_assets.delay_model.metadata import id_used
from fulfillment_assets.delay_model.registry.challenger import Challenger, enter
from fulfillment_assets.delay_model.registry.decisions import Decision
from fulfillment_assets.delay_model.registry.promotion import promote as promote_version
from fulfillment_assets.delay_model.training.data import TrainingData
from fulfillment_assets.delay_model.training.fit import TrainedModel
from fulfillment_assets.delay_model.training.fit import train as fit
from fulfillment_assets.local import platform
from fulfillment_assets.monitoring.training_source import choose_source
from fulfillment_assets.settings import Settings
from fulfillment_assets.store.connection import create_engine


class Source(StrEnum):
    """Where training data come from."""

    AUTO = "auto"
    ORDERS = "orders"
    FILE = "file"
    SIMULATOR = "simulator"


def train(
    data: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="Orders with known outcomes (Kaggle format)."
        ),
    ] = None,
    source: Annotated[
        Source,
        typer.Option(
            help="orders: your own orders whose outcome is known. auto: --data if it is given, "
            "else your own orders if there are enough, else FULFILLMENT_TRAINING_FILE, else "
            "simulated orders."
        ),
    ] = Source.AUTO,
    promote: Annotated[
        bool, typer.Option("--promote", help="Let it score if it is better than the champion.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Train a new version of the delay classifier: compare candidates, fit one, guard it.

    The version becomes known (`fulfillment model list`) but does not score before it is promoted.
    Exit status 1 if a guard fails, or if it was to be promoted and is refused.
    """
    settings = Settings()
    wanted = Source.FILE if data is not None and source is Source.AUTO else source
    with platform.database(settings) as url:
        engine = create_engine(url)
        try:
            with engine.connect() as connection:
                gathered = choose_source(
                    connection, settings, source=wanted.value, file=data, simulated_allowed=True
                )
            challenger = enter(engine, _trained(gathered), gathered)
            decision = None
            if promote:
                version = challenger.metadata.version
                decision = promote_version(engine, version, settings.models_dir, by=user_name())
        finally:
            engine.dispose()
    if as_json:
        print_json(_summary(challenger, decision))
    else:
        _print(challenger, decision, asked=promote)
    failed = [guard for guard in (challenger.polarity, challenger.leaks) if not guard.passed]
    for guard in failed:
        complain(RuntimeError(guard.message))
    if failed or (decision is not None and decision.action == "refused"):
        raise typer.Exit(1)


def _trained(data: TrainingData) -> TrainedModel:
    from fulfillment_assets.delay_model.training import candidates

    if data.source.kind == "simulator":
        notes.print("[yellow]There are no real orders to train on: training on simulated ones.[/]")
    with notes.status(f"comparing candidates on {data.source.name} ..."):
        search = candidates.compare_candidates(data, candidates.SEARCH_SPACE)
    chosen = candidates.choose(search)
    with notes.status(f"training {chosen.name} ..."):
        return fit(data, candidate=chosen, search=search)


def _summary(challenger: Challenger, decision: Decision | None) -> dict[str, Any]:
    metadata = challenger.metadata
    told = {"version", "candidate", "hyperparameters", "training_data", "held_out", "bands"}
    return {
        **metadata.model_dump(mode="json", include=told),
        "id_used": id_used(metadata),
        "metrics": {name: metric.mean for name, metric in metadata.metrics.items()},
        "metrics_std": {name: metric.std for name, metric in metadata.metrics.items()},
        "artifacts": metadata.artifacts,
        "guards": {
            "label_polarity": challenger.polarity.passed,
            "no_leak": challenger.leaks.passed,
        },
        "decision": None if decision is None else decision.model_dump(mode="json"),
    }


def _print(challenger: Challenger, decision: Decision | None, *, asked: bool) -> None:
    metadata = challenger.metadata
    data = metadata.training_data
    results.print(
        f"Model {metadata.version} ({metadata.candidate}), trained on {data.rows:,} orders "
        f"({data.kind}: {data.name}); {data.held_out:,} were held out",
        markup=False,
        soft_wrap=True,
    )
    results.print(model_report.metric_table(metadata))
    if decision is not None:
        model_report.print_decision(decision)
    elif asked:
        results.print(f"{metadata.version} is the champion already.", markup=False)
    else:
        results.print(
            f"It is known now; `fulfillment model promote {metadata.version}` lets it score if it "
            "is better than the champion.",
            markup=False,
            soft_wrap=True,
        )
