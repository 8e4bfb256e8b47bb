"""Commands about the models that are known: which one scores, and why."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from sqlalchemy.engine import Engine

from fulfillment_assets.cli import model_report
from fulfillment_assets.cli.opened import opened
from fulfillment_assets.cli.text import Json, notes, print_json, results
from fulfillment_assets.cli.user import user_name
from fulfillment_assets.delay_model.artifacts import read_files, read_metadata, write_files
from fulfillment_assets.delay_model.errors import ArtifactError
from fulfillment_assets.delay_model.registry import promotion
from fulfillment_assets.delay_model.registry.champion import champion_version, ensure_champion
from fulfillment_assets.delay_model.registry.decisions import decisions
from fulfillment_assets.delay_model.registry.holdout import current_holdout, freeze
from fulfillment_assets.delay_model.registry.versions import read_version, versions
from fulfillment_assets.delay_model.registry.versions import register as register_files
from fulfillment_assets.delay_model.training.data import read_training_file
from fulfillment_assets.settings import Settings

app = typer.Typer(
    no_args_is_help=True, help="The delay models that are known here, and the champion among them."
)

Version = Annotated[str, typer.Argument(help="As `fulfillment model list` shows it.")]
Reason = Annotated[str | None, typer.Option(help="Why; kept with the decision.")]


@app.command("list")
def list_versions(as_json: Json = False) -> None:
    """List the known versions, the newest first, and say which one scores."""
    with _engine() as (engine, settings):
        with suppress(ArtifactError):  # without a first champion, too, there may be models
            ensure_champion(engine, settings.models_dir)
        with engine.connect() as connection:
            champion, known = champion_version(connection), versions(connection)
    if as_json:
        models = [version.model_dump(mode="json") for version in known]
        print_json({"champion": champion, "models": models})
        return
    results.print(model_report.version_table(known))


@app.command()
def show(
    version: Annotated[str | None, typer.Argument(help="Unset: the champion.")] = None,
    as_json: Json = False,
) -> None:
    """Show everything that is known of a version: data, metrics, bands, files, decisions."""
    with _engine() as (engine, settings):
        chosen = version or ensure_champion(engine, settings.models_dir)
        with engine.connect() as connection:
            metadata = read_metadata(read_version(connection, chosen))
            (known,) = (found for found in versions(connection) if found.version == chosen)
            about = [
                decision
                for decision in decisions(connection)
                if chosen in (decision.version, decision.champion)
            ]
    if as_json:
        times = {"created_at", "last_trained_at", "is_champion"}
        print_json(
            metadata.model_dump(mode="json", exclude={"golden_rows"})
            | known.model_dump(mode="json", include=times)
            | {"decisions": [decision.model_dump(mode="json") for decision in about]}
        )
        return
    model_report.print_model(known, metadata, about)


@app.command()
def promote(
    version: Version,
    force: Annotated[
        bool, typer.Option("--force", help="Skip the comparison; needs --reason.")
    ] = False,
    reason: Reason = None,
    as_json: Json = False,
) -> None:
    """Make a version the champion if it is better than the present one.

    Both are compared on orders that neither learnt from. Exit status 1 if it is refused; the
    refusal is recorded. A model that cannot be loaded, or has its label inverted, is refused
    even with --force.
    """
    with _engine() as (engine, settings), notes.status(f"judging {escape(version)} ..."):
        decision = promotion.promote(
            engine, version, settings.models_dir, force=force, reason=reason, by=user_name()
        )
        champion = _champion(engine)
    refused = decision is not None and decision.action == "refused"
    if as_json:
        shown = None if decision is None else decision.model_dump(mode="json")
        promoted = decision is not None and not refused
        print_json({"champion": champion, "promoted": promoted, "decision": shown})
    elif decision is None:
        results.print(f"{champion} is the champion already.", markup=False)
    else:
        model_report.print_decision(decision)
    if refused:
        raise typer.Exit(1)


@app.command()
def rollback(reason: Reason = None, as_json: Json = False) -> None:
    """Go back to the version that was champion before the present one was promoted."""
    with _engine() as (engine, _):
        decision = promotion.rollback(engine, reason=reason, by=user_name())
    if as_json:
        shown = decision.model_dump(mode="json")
        print_json({"champion": decision.version, "decision": shown})
        return
    results.print(
        f"{decision.version} is the champion again; {decision.champion} was taken back.",
        markup=False,
    )


@app.command()
def register(
    folder: Annotated[
        Path, typer.Argument(exists=True, file_okay=False, help="Holds a model's three files.")
    ],
    as_json: Json = False,
) -> None:
    """Make a model that was trained elsewhere known here; `promote` then judges it.

    Only from a source that you trust: the files of a model run code when they are loaded.
    """
    with _engine() as (engine, _), engine.begin() as connection:
        version = register_files(connection, read_files(folder)).version
        (known,) = (found for found in versions(connection) if found.version == version)
    if as_json:
        print_json(known.model_dump(mode="json"))
        return
    results.print(f"{version} is known; `fulfillment model promote {version}` judges it.")


@app.command()
def export(
    version: Version,
    folder: Annotated[Path, typer.Argument(file_okay=False, help="Made if it is missing.")],
) -> None:
    """Write the three files of a version into a folder, in place of a model that is there."""
    with _engine() as (engine, _), engine.connect() as connection:
        files = read_version(connection, version)
    write_files(folder, files)
    results.print(f"{version} is in {folder}", markup=False, soft_wrap=True)


@app.command()
def holdout(
    data: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="A file whose outcomes are trusted (Kaggle format): freeze its held-out orders.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show the orders that judge models; with --data, freeze others first.

    The held-out orders of a file are those that no model ever learns from: about one in seven,
    chosen by a hash of their features.
    """
    frozen = None if data is None else read_training_file(data)
    with _engine() as (engine, _), engine.begin() as connection:
        if frozen is not None:
            freeze(connection, frozen, by=user_name())
        judges = current_holdout(connection)
    if as_json:
        print_json(model_report.holdout_summary(judges))
        return
    results.print(model_report.holdout_table(judges))


@contextmanager
def _engine() -> Iterator[tuple[Engine, Settings]]:
    settings = Settings()
    with opened(settings) as engine:
        yield engine, settings


def _champion(engine: Engine) -> Any:
    with engine.connect() as connection:
        return champion_version(connection)
