"""What the knowledge base holds and answers, as text and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.markup import escape
from rich.table import Table

from fulfillment_assets.cli.text import results
from fulfillment_assets.knowledge.documents import Ingested, StoredDocument
from fulfillment_assets.knowledge.evaluation import Evaluation
from fulfillment_assets.knowledge.index import Refreshed
from fulfillment_assets.knowledge.retrieval import Hit


def index_summary(found: Refreshed) -> dict[str, Any]:
    """How the index stands, for `--json`."""
    return {**asdict(found.state), "rebuilt": found.rebuilt, "added": found.added}


def print_index(found: Refreshed) -> None:
    """How the index stands, for people."""
    what = "built anew" if found.rebuilt else f"{found.added} added" if found.added else "unchanged"
    state = found.state
    results.print(
        f"Index {what}: {state.documents:,} documents in {state.chunks:,} chunks, by "
        f"{state.embedder}.",
        markup=False,
        soft_wrap=True,
    )


def print_ingested(found: Ingested) -> None:
    """What became of the files, for people."""
    for kind in ("new", "changed", "removed"):
        for source in getattr(found, kind):
            results.print(f"{kind:8} {source}", markup=False, soft_wrap=True)
    results.print(
        f"{len(found.new)} new, {len(found.changed)} changed, {len(found.removed)} removed, "
        f"{len(found.unchanged)} unchanged."
    )


def print_hits(hits: Sequence[Hit]) -> None:
    """What a search found, for people."""
    if not hits:
        results.print("Nothing was found.")
    for hit in hits:
        rules = f"  [cyan]{escape(' '.join(hit.rule_ids))}[/]" if hit.rule_ids else ""
        results.print(
            f"[bold]{hit.score:.3f}[/]  {escape(hit.source)} › {escape(hit.section)}{rules}",
            soft_wrap=True,
        )
        results.print(f"{hit.text}\n", markup=False, soft_wrap=True)


def described(document: StoredDocument) -> dict[str, Any]:
    """A document without its text, for `--json`."""
    audience = document.audience
    return {
        "id": str(document.id),
        "source": document.source,
        "title": document.title,
        "category": document.category,
        "agent_type": list(audience.agent_type or ["all"]),
        "severity": audience.severity,
        "warehouse": audience.warehouse,
        "mode": audience.mode,
        "version": document.version,
        "effective_from": document.effective_from,
        "origin": document.origin,
        "created_at": document.created_at.isoformat(),
        "retired_at": document.retired_at and document.retired_at.isoformat(),
        "characters": len(document.content),
    }


def print_documents(documents: Sequence[StoredDocument]) -> None:
    """Documents as a table."""
    table = Table(title=f"{len(documents):,} documents", title_justify="left")
    for name in ("source", "title", "category", "for", "version", "from"):
        table.add_column(name, overflow="fold")
    for document in documents:
        table.add_row(
            escape(document.source),
            escape(document.title),
            document.category,
            ", ".join(document.audience.agent_type or ["all"]),
            escape(document.version),
            document.origin,
        )
    results.print(table)


def print_evaluation(found: Sequence[Evaluation]) -> None:
    """How well each embedder does, as a table, and what it fails."""
    table = Table(title="Retrieval", title_justify="left")
    for name in ("embedder", "questions", "number", "hit@1", "hit@5", "MRR"):
        table.add_column(name, justify="left" if name in {"embedder", "questions"} else "right")
    for one in found:
        for name, group in one.groups.items():
            figures = (group.hit_at_1, group.hit_at_5, group.mrr)
            table.add_row(
                one.embedder, name, str(group.questions), *(f"{figure:.3f}" for figure in figures)
            )
    results.print(table)
    for one in found:
        for question in one.failed:
            results.print(f"{one.embedder} misses: {question}", markup=False, soft_wrap=True)
