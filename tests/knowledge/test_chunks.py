"""How documents are cut into chunks."""

from __future__ import annotations

import datetime as dt
import uuid

import pytest

from fulfillment_assets.knowledge.audience import Audience
from fulfillment_assets.knowledge.chunks import MAX_CHARACTERS, Chunk, chunks_of
from fulfillment_assets.knowledge.documents import NewDocument, StoredDocument, render_files
from fulfillment_assets.knowledge.errors import KnowledgeError
from fulfillment_assets.settings import PROJECT_ROOT


def stored(document: NewDocument) -> StoredDocument:
    return StoredDocument(
        id=uuid.uuid4(),
        source=document.source,
        title=document.title,
        category=document.category,
        audience=document.audience,
        version=document.version,
        effective_from=None,
        content=document.content,
        origin="entered",
        deviation_id=None,
        created_at=dt.datetime.now(dt.UTC),
        retired_at=None,
        indexed_in=None,
    )


def cut(content: str, audience: Audience | None = None) -> list[Chunk]:
    document = NewDocument("x.md", "Title", "note", content, audience or Audience())
    return chunks_of(stored(document))


def test_a_section_is_a_chunk_with_its_path_and_its_rules() -> None:
    chunks = cut("# Title\nIntro.\n## 1. One\n- **RF-1.1** A.\n- **RF-1.2** B.\n### Deep\nC.\n")
    assert [(one.section, one.rule_ids) for one in chunks] == [
        ("Title", ()),
        ("1. One", ("RF-1.1", "RF-1.2")),
        ("1. One > Deep", ()),
    ]
    assert [one.id.partition(":")[2] for one in chunks] == ["0", "1", "2"]
    assert chunks[2].embedded == "Title\n1. One > Deep\nC."


def test_a_rule_that_is_only_mentioned_is_not_one_of_the_chunk() -> None:
    (chunk,) = cut("## A\n- **RF-1.1** See rule RF-9.9.\n")
    assert chunk.rule_ids == ("RF-1.1",)


def test_a_long_section_is_cut_between_its_rules() -> None:
    rules = "".join(f"- **RF-1.{n}** {'word ' * 80}\n" for n in range(1, 10))
    chunks = cut(f"## Long\n{rules}")
    assert len(chunks) > 2
    assert all(len(one.text) <= MAX_CHARACTERS for one in chunks)
    assert all(one.text.startswith("- **RF") for one in chunks)
    assert sum(len(one.rule_ids) for one in chunks) == 9


def test_a_text_without_headings_or_breaks_is_cut_nevertheless() -> None:
    chunks = cut("x" * (3 * MAX_CHARACTERS))
    assert [len(one.text) for one in chunks] == [MAX_CHARACTERS] * 3
    assert {one.section for one in chunks} == {"Title"}


def test_a_section_may_be_meant_for_others_than_its_document() -> None:
    audience = Audience(agent_type=("payment",), warehouse="A")
    first, second, third = cut(
        "## A\nFor payment.\n"
        "## B\n<!-- agent_type: [escalation, payment]; mode: Flight -->\nFor two.\n"
        "## C\n<!-- agent_type: all -->\nFor all.\n",
        audience,
    )
    assert first.audience == audience
    assert second.audience == Audience(
        agent_type=("escalation", "payment"), warehouse="A", mode="Flight"
    )
    assert third.audience == Audience(warehouse="A")
    assert second.text == "For two."


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        ("agent_type: cashier", r"x\.md: B\.agent_type\.0: .*'cashier'"),
        ("region: north", r"x\.md: B\.region: Extra inputs"),
        ("mode: [", r"x\.md: B: <!-- mode"),
    ],
)
def test_a_wrong_annotation_is_told(annotation: str, message: str) -> None:
    with pytest.raises(KnowledgeError, match=message):
        cut(f"## B\n<!-- {annotation} -->\nText.")


def test_an_ordinary_comment_is_left_alone() -> None:
    (chunk,) = cut("## B\n<!-- to do -->\nText.")
    assert chunk.text == "<!-- to do -->\nText."


def test_no_section_of_the_shipped_knowledge_base_is_cut_in_two() -> None:
    documents = [stored(one) for one in render_files(PROJECT_ROOT / "knowledge_base")]
    sections = [(one.source, one.section) for d in documents for one in chunks_of(d)]
    assert len(sections) == len(set(sections)) > 60
