"""How well searches find the rules that answer a question.

`hit@k` is the share of questions with an answering rule among the first k chunks, MRR the mean of
1/rank of the first such chunk (Voorhees, TREC-8 Question Answering Track Report, 1999).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

import yaml
from pydantic import Field, ValidationError

from fulfillment_assets.knowledge.chunks import Chunk, chunks_of
from fulfillment_assets.knowledge.documents import StoredDocument
from fulfillment_assets.knowledge.embedders import Embedder
from fulfillment_assets.knowledge.errors import KnowledgeError
from fulfillment_assets.knowledge.files import described
from fulfillment_assets.knowledge.rules import Rules
from fulfillment_assets.knowledge.vector_store import VectorStore

QUESTIONS: Final = "evaluation.yaml"
_DEPTH: Final = 20


class Question(Rules):
    """A question with the rules that answer it; one of them is enough.

    Attributes:
        style: `plain` in the words of the text, `paraphrased` in others.
        held_out: it was never used to mend an embedder.
    """

    ask: Annotated[str, Field(min_length=1)]
    answers: Annotated[tuple[str, ...], Field(min_length=1)]
    style: Literal["plain", "paraphrased"]
    held_out: bool = False


class _Questions(Rules):
    questions: tuple[Question, ...]


@dataclass(frozen=True, slots=True)
class Quality:
    """How well a group of questions was answered; an answer below rank 20 counts as none."""

    questions: int
    hit_at_1: float
    hit_at_5: float
    mrr: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How well an embedder does, and the questions that it fails.

    Attributes:
        groups: quality of `all` questions and of those of a kind.
        failed: questions without an answer among the first five chunks.
    """

    embedder: str
    groups: dict[str, Quality]
    failed: list[str]


def read_questions(directory: Path) -> list[Question]:
    """The questions of a knowledge base.

    Raises:
        KnowledgeError: there are none, or one is wrong.
    """
    path = directory / QUESTIONS
    try:
        found = _Questions.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise KnowledgeError(f"{path} is missing: it holds the questions to evaluate by") from None
    except yaml.YAMLError as error:
        raise KnowledgeError(f"{path}: is no YAML: {error}") from None
    except ValidationError as error:
        raise KnowledgeError(described(QUESTIONS, "", error)) from None
    return list(found.questions)


def evaluate(
    store: VectorStore,
    embedder: Embedder,
    documents: Sequence[StoredDocument],
    questions: Sequence[Question],
) -> Evaluation:
    """Ask questions of documents, in a collection of their own that is dropped afterwards.

    Learned resolutions are left out: the questions are about rules.

    Raises:
        KnowledgeError: a question is answered by a rule that stands in no document.
        KnowledgeUnavailableError: Chroma or the embedder cannot be reached.
    """
    rules = [document for document in documents if document.origin != "resolution"]
    chunks = [chunk for document in rules for chunk in chunks_of(document)]
    _check_answers(chunks, questions)
    ranks = _ranks(store, embedder, chunks, questions)
    kinds: dict[str, Callable[[Question], bool]] = {
        "all": lambda _: True,
        "plain": lambda question: question.style == "plain",
        "paraphrased": lambda question: question.style == "paraphrased",
        "held out": lambda question: question.held_out,
    }
    groups = {
        name: _quality([rank for q, rank in zip(questions, ranks, strict=True) if belongs(q)])
        for name, belongs in kinds.items()
    }
    failed = [q.ask for q, rank in zip(questions, ranks, strict=True) if rank is None or rank > 5]
    return Evaluation(embedder.name, groups, failed)


def _check_answers(chunks: Sequence[Chunk], questions: Sequence[Question]) -> None:
    known = {rule for chunk in chunks for rule in chunk.rule_ids}
    for question in questions:
        if unknown := set(question.answers) - known:
            raise KnowledgeError(
                f"{QUESTIONS}: {question.ask!r} is answered by {', '.join(sorted(unknown))}, "
                "which stands in no document; see `fulfillment knowledge list`"
            )


def _ranks(
    store: VectorStore,
    embedder: Embedder,
    chunks: Sequence[Chunk],
    questions: Sequence[Question],
) -> list[int | None]:
    name = f"evaluation-{uuid.uuid4().hex}"
    store.create(name, embedder.fingerprint)
    try:
        store.add(name, chunks, embedder.embed([chunk.embedded for chunk in chunks]))
        vectors = embedder.embed([question.ask for question in questions])
        found = store.nearest(name, vectors, _DEPTH, {})
    finally:
        store.drop(name)
    return [
        next(
            (
                rank
                for rank, hit in enumerate(hits, start=1)
                if set(hit.metadata["rule_ids"].split()) & set(question.answers)
            ),
            None,
        )
        for question, hits in zip(questions, found, strict=True)
    ]


def _quality(ranks: Sequence[int | None]) -> Quality:
    count = max(len(ranks), 1)
    found = [rank for rank in ranks if rank is not None]
    return Quality(
        questions=len(ranks),
        hit_at_1=sum(rank == 1 for rank in found) / count,
        hit_at_5=sum(rank <= 5 for rank in found) / count,
        mrr=sum(1 / rank for rank in found) / count,
    )
