"""How well the rules are found that answer an operator's question."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy.engine import Engine

from fulfillment_assets.knowledge.documents import live_documents
from fulfillment_assets.knowledge.errors import KnowledgeError
from fulfillment_assets.knowledge.evaluation import (
    Evaluation,
    Question,
    evaluate,
    read_questions,
)
from fulfillment_assets.knowledge.lexical import LexicalEmbedder
from fulfillment_assets.knowledge.vector_store import VectorStore, store_of
from fulfillment_assets.settings import Settings
from tests.knowledge.files import replace


def judge(engine: Engine, settings: Settings, questions: list[Question]) -> Evaluation:
    with engine.connect() as connection:
        documents = live_documents(connection)
    return evaluate(store_of(settings), LexicalEmbedder(), documents, questions)


def test_the_questions_are_many_and_half_of_them_paraphrased(settings: Settings) -> None:
    questions = read_questions(settings.knowledge_dir)
    assert len(questions) >= 60
    assert len({question.ask for question in questions}) == len(questions)
    paraphrased = sum(question.style == "paraphrased" for question in questions)
    assert paraphrased >= len(questions) / 2


def test_the_lexical_embedder_finds_most_of_what_is_asked(
    indexed: Engine, settings: Settings
) -> None:
    found = judge(indexed, settings, read_questions(settings.knowledge_dir))
    assert found.groups["all"].hit_at_5 >= 0.85
    assert found.groups["plain"].hit_at_5 >= 0.95
    assert found.groups["held out"].questions >= 20
    assert found.groups["held out"].hit_at_5 >= 0.65
    assert len(found.failed) == round(100 * (1 - found.groups["all"].hit_at_5))


def test_the_figures_are_what_they_say(indexed: Engine, settings: Settings) -> None:
    questions = [
        Question(ask="quiet hours for messages", answers=("CO-3.1",), style="plain"),
        Question(ask="quiet hours for messages", answers=("WA-3.2",), style="paraphrased"),
    ]
    found = judge(indexed, settings, questions)
    assert found.groups["plain"].hit_at_1 == found.groups["plain"].mrr == 1
    assert found.groups["paraphrased"].hit_at_5 == 0
    assert found.groups["paraphrased"].mrr < 0.2
    assert found.groups["all"].hit_at_1 == 0.5
    assert found.groups["held out"].questions == 0
    assert found.failed == ["quiet hours for messages"]


def test_the_collection_of_an_evaluation_is_dropped(
    indexed: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    create = VectorStore.create

    def noted(self: VectorStore, name: str, embedder: str) -> None:
        made.append(name)
        create(self, name, embedder)

    monkeypatch.setattr(VectorStore, "create", noted)
    judge(indexed, settings, read_questions(settings.knowledge_dir)[:1])
    (name,) = made
    assert store_of(settings).count(name) is None


def test_an_answer_that_no_document_has_is_told(indexed: Engine, settings: Settings) -> None:
    question = Question(ask="Who?", answers=("RF-1.1", "XX-1.1"), style="plain")
    with pytest.raises(KnowledgeError, match=r"'Who\?' is answered by XX-1\.1, which stands in no"):
        judge(indexed, settings, [question])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("answers: [CA-3.3], style: plain", "style: plain", r"questions\.\d+\.answers: Field req"),
        ("answers: [CA-3.3], style: plain", "answers: [], style: plain", r"answers: .*at least 1"),
        ("answers: [CA-3.3], style: plain", "answers: [CA-3.3], style: odd", r"style: .*'odd'"),
        ("questions:\n", "questions: [\n", r"is no YAML"),
    ],
)
def test_a_wrong_question_is_told(knowledge_dir: Path, old: str, new: str, message: str) -> None:
    replace(knowledge_dir / "evaluation.yaml", old, new)
    with pytest.raises(KnowledgeError, match=message):
        read_questions(knowledge_dir)


def test_missing_questions_are_told(tmp_path: Path) -> None:
    with pytest.raises(KnowledgeError, match=r"evaluation\.yaml is missing"):
        read_questions(tmp_path)
