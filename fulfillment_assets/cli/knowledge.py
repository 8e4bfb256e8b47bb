"""Commands about the knowledge base: what the agents may look up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fulfillment_assets.cli.knowledge_report import (
    described,
    index_summary,
    print_documents,
    print_evaluation,
    print_hits,
    print_index,
    print_ingested,
)
from fulfillment_assets.cli.opened import opened
from fulfillment_assets.cli.text import Json, print_json, results
from fulfillment_assets.knowledge import documents, entered
from fulfillment_assets.knowledge.files import Category
from fulfillment_assets.knowledge.rules import Block, Mode, Severity, Specialist
from fulfillment_assets.local import platform
from fulfillment_assets.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

app = typer.Typer(
    no_args_is_help=True, help="The knowledge base: policies, agreements, templates, resolutions."
)


class EmbedderName(StrEnum):
    """What makes vectors of texts."""

    OPENAI = "openai"
    MINILM = "minilm"
    LEXICAL = "lexical"


@app.command()
def ingest(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Markdown files to enter; unset: those of the knowledge base.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Take in what changed, and bring the index up to date.

    Without arguments the files of the knowledge base; those that are gone are retired. With
    files, these are entered beside them, each known by its name.
    """
    from fulfillment_assets.knowledge.index import refresh

    with _knowledge() as (settings, engine):
        with engine.begin() as connection:
            if files:
                for document in [entered.read_document(path) for path in files]:
                    entered.ingest_document(connection, document)
            else:
                found = documents.ingest_files(connection, settings.knowledge_dir)
        index = refresh(settings, engine)
    if as_json:
        taken = {"entered": [path.name for path in files]} if files else asdict(found)
        print_json({**taken, "index": index_summary(index)})
        return
    if files:
        results.print(f"{len(files)} entered.")
    else:
        print_ingested(found)
    print_index(index)


@app.command()
def search(
    query: Annotated[str, typer.Argument(help="A question, or a few words.")],
    agent_type: Annotated[
        Specialist | None, typer.Option(help="Only what is meant for this specialist, or for all.")
    ] = None,
    severity: Annotated[
        Severity | None, typer.Option(help="Only what holds for such deviations.")
    ] = None,
    warehouse: Annotated[Block | None, typer.Option(help="Only what holds for this block.")] = None,
    mode: Annotated[
        Mode | None, typer.Option(help="Only what holds for this mode of shipment.")
    ] = None,
    k: Annotated[int, typer.Option("-k", min=1, max=50, help="How many to show.")] = 5,
    as_json: Json = False,
) -> None:
    """Find what the knowledge base says about something.

    Takes in changed files first, so that it answers from what stands there now.
    """
    from fulfillment_assets.knowledge.index import refresh
    from fulfillment_assets.knowledge.retrieval import search as find

    with _knowledge() as (settings, engine):
        with engine.begin() as connection:
            documents.ingest_files(connection, settings.knowledge_dir)
        refresh(settings, engine)
        with engine.connect() as connection:
            hits = find(
                settings,
                connection,
                query,
                agent_type=agent_type,
                severity=severity,
                warehouse=warehouse,
                mode=mode,
                k=k,
            )
    if as_json:
        print_json({"query": query, "hits": [asdict(hit) for hit in hits]})
    else:
        print_hits(hits)


@app.command("list")
def list_documents(
    category: Annotated[Category | None, typer.Option(help="Only those.")] = None,
    retired: Annotated[
        bool, typer.Option("--retired", help="Those that were replaced or withdrawn.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, help="How many to show.")] = 100,
    as_json: Json = False,
) -> None:
    """List the documents, with where they come from and for whom they are."""
    settings = Settings()
    with opened(settings) as engine, engine.connect() as connection:
        found = documents.list_documents(
            connection, category=category, retired=retired, limit=limit
        )
    if as_json:
        print_json({"documents": [described(document) for document in found]})
    else:
        print_documents(found)


@app.command()
def retire(
    source: Annotated[str, typer.Argument(help="As `fulfillment knowledge list` shows it.")],
    as_json: Json = False,
) -> None:
    """Withdraw a document that was entered or learned; it stays in the record."""
    from fulfillment_assets.knowledge.index import refresh

    with _knowledge() as (settings, engine):
        with engine.begin() as connection:
            entered.retire(connection, source)
        index = refresh(settings, engine)
    if as_json:
        print_json({"retired": source, "index": index_summary(index)})
        return
    results.print(f"{source} is withdrawn.", markup=False)
    print_index(index)


@app.command()
def reindex(as_json: Json = False) -> None:
    """Build the index anew from the documents; the old one serves until it is ready."""
    from fulfillment_assets.knowledge.index import refresh

    with _knowledge() as (settings, engine):
        index = refresh(settings, engine, rebuild=True)
    if as_json:
        print_json(index_summary(index))
    else:
        print_index(index)


@app.command("eval")
def evaluate(
    embedder: Annotated[
        list[EmbedderName] | None,
        typer.Option(help="Which to judge; may be repeated. Unset: the one of the settings."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Ask the questions of evaluation.yaml: hit@1, hit@5 and MRR of each embedder."""
    from fulfillment_assets.knowledge.embedders import embedder_of
    from fulfillment_assets.knowledge.evaluation import evaluate as judge
    from fulfillment_assets.knowledge.evaluation import read_questions
    from fulfillment_assets.knowledge.vector_store import store_of

    with _knowledge() as (settings, engine):
        with engine.begin() as connection:
            documents.ingest_files(connection, settings.knowledge_dir)
            known = documents.live_documents(connection)
        questions = read_questions(settings.knowledge_dir)
        wanted = [name.value for name in embedder] if embedder else [settings.knowledge_embedder]
        chosen = [
            embedder_of(settings.model_copy(update={"knowledge_embedder": name})) for name in wanted
        ]
        found = [judge(store_of(settings), one, known, questions) for one in chosen]
    if as_json:
        print_json({"embedders": [asdict(one) for one in found]})
    else:
        print_evaluation(found)


@contextmanager
def _knowledge() -> Iterator[tuple[Settings, Engine]]:
    """The settings, pointing at a vector store, and the database."""
    settings = Settings()
    with opened(settings) as engine, platform.vector_store(settings) as found:
        yield found, engine
