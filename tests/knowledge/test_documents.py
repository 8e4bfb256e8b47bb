"""Documents in PostgreSQL: files, what is entered, and what is learned."""

from __future__ import annotations

import threading
import uuid
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from fulfillment_assets.knowledge.audience import Audience
from fulfillment_assets.knowledge.documents import (
    Ingested,
    NewDocument,
    StoredDocument,
    documents_by_id,
    ingest_files,
    list_documents,
    record_resolution,
)
from fulfillment_assets.knowledge.entered import (
    MAX_CHARACTERS,
    ingest_document,
    read_document,
    retire,
)
from fulfillment_assets.knowledge.errors import KnowledgeError
from tests.knowledge.files import replace

NOTE = NewDocument("note", "A note", "note", "Block E is closed today.")


def ingest(engine: Engine, directory: Path) -> Ingested:
    with engine.begin() as connection:
        return ingest_files(connection, directory)


def enter(engine: Engine, document: NewDocument) -> uuid.UUID:
    with engine.begin() as connection:
        return ingest_document(connection, document)


def learn(engine: Engine, deviation_id: uuid.UUID, content: str) -> uuid.UUID:
    with engine.begin() as connection:
        return record_resolution(connection, deviation_id, title="Learned", content=content)


def known(engine: Engine, *, retired: bool = False) -> dict[str, StoredDocument]:
    with engine.connect() as connection:
        return {one.source: one for one in list_documents(connection, retired=retired)}


class TestFiles:
    def test_are_taken_in_once(self, engine: Engine, knowledge_dir: Path) -> None:
        first = ingest(engine, knowledge_dir)
        assert len(first.new) == 14
        assert (first.changed, first.unchanged, first.removed) == ([], [], [])
        before = known(engine)
        second = ingest(engine, knowledge_dir)
        assert second == Ingested([], [], first.new, [])
        assert known(engine) == before

    def test_keep_what_their_front_matter_says(self, engine: Engine, knowledge_dir: Path) -> None:
        ingest(engine, knowledge_dir)
        found = known(engine)["slas/warehouse_c.md"]
        assert found.title == "Warehouse agreement, block C (Frankfurt)"
        assert (found.category, found.version, found.origin) == ("sla", "1.6", "file")
        assert found.audience == Audience(agent_type=("shipment",), warehouse="C")
        assert str(found.effective_from) == "2026-02-15"
        assert "needs 8 hours" in found.content

    def test_that_changed_replace_their_document_and_the_former_is_kept(
        self, engine: Engine, knowledge_dir: Path
    ) -> None:
        ingest(engine, knowledge_dir)
        former = known(engine)["slas/warehouse_c.md"]
        replace(knowledge_dir / "slas" / "warehouse_c.md", "hours: 8\n", "hours: 9\n")
        assert ingest(engine, knowledge_dir).changed == ["slas/warehouse_c.md"]
        found = known(engine)["slas/warehouse_c.md"]
        assert found.id != former.id
        assert "needs 9 hours" in found.content
        with engine.connect() as connection:
            (kept,) = documents_by_id(connection, [former.id])
        assert kept.content == former.content
        assert kept.retired_at is not None

    def test_change_with_a_rule_of_another_file(self, engine: Engine, knowledge_dir: Path) -> None:
        ingest(engine, knowledge_dir)
        path = knowledge_dir / "policies" / "refund.md"
        replace(path, "automatic_limit_usd: 20\n", "automatic_limit_usd: 25\n")
        changed = ["policies/escalation_criteria.md", "policies/refund.md"]
        assert ingest(engine, knowledge_dir).changed == changed

    def test_that_are_gone_are_retired_and_come_back(
        self, engine: Engine, knowledge_dir: Path
    ) -> None:
        ingest(engine, knowledge_dir)
        path = knowledge_dir / "templates" / "delay_notification.md"
        text = path.read_text()
        path.unlink()
        assert ingest(engine, knowledge_dir).removed == ["templates/delay_notification.md"]
        assert "templates/delay_notification.md" not in known(engine)
        path.write_text(text)
        assert ingest(engine, knowledge_dir).new == ["templates/delay_notification.md"]

    def test_of_which_one_is_wrong_change_nothing(
        self, engine: Engine, knowledge_dir: Path
    ) -> None:
        ingest(engine, knowledge_dir)
        before = known(engine)
        replace(knowledge_dir / "slas" / "warehouse_c.md", "hours: 8\n", "hours: 9\n")
        replace(knowledge_dir / "slas" / "warehouse_d.md", "hours: 16\n", "hours: many\n")
        with pytest.raises(KnowledgeError, match=r"warehouse_d\.md: rules\.warehouse\.processing"):
            ingest(engine, knowledge_dir)
        assert known(engine) == before

    def test_leave_alone_what_was_entered_or_learned(
        self, engine: Engine, knowledge_dir: Path
    ) -> None:
        enter(engine, NOTE)
        learn(engine, uuid.uuid4(), "Moved to block C.")
        before = known(engine)
        assert ingest(engine, knowledge_dir).removed == []
        assert before.items() <= known(engine).items()

    def test_are_taken_in_once_by_many_at_a_time(self, engine: Engine, knowledge_dir: Path) -> None:
        found: list[Ingested] = []
        threads = [
            threading.Thread(target=lambda: found.append(ingest(engine, knowledge_dir)))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(len(one.new) for one in found) == [0, 0, 0, 14]
        assert known(engine, retired=True) == {}


class TestEntered:
    def test_the_same_again_is_the_same(self, engine: Engine) -> None:
        assert enter(engine, NOTE) == enter(engine, NOTE)

    def test_another_of_the_same_source_replaces_it(self, engine: Engine) -> None:
        enter(engine, NOTE)
        changed = NewDocument("note", "A note", "note", "Block E is open again.")
        enter(engine, changed)
        assert known(engine)["note"].content == changed.content
        assert known(engine, retired=True)["note"].content == NOTE.content

    @pytest.mark.parametrize(
        ("document", "message"),
        [
            (NewDocument("note", "t", "note", " \n"), "'note' has 0 characters"),
            (NewDocument("note", "t", "note", "x" * (MAX_CHARACTERS + 1)), "has 200,001 charac"),
            (NewDocument("note", "t", "note", "a\0b"), "content of 'note' holds NUL or halves"),
            (NewDocument("note", "\ud83d", "note", "x"), "title of 'note' holds NUL or halves"),
            (NewDocument(" ", "t", "note", "x"), "must not be empty"),
            (NewDocument("resolutions/x", "t", "note", "x"), "is for learned resolutions"),
        ],
    )
    def test_what_cannot_be_kept_is_refused(
        self, engine: Engine, document: NewDocument, message: str
    ) -> None:
        with pytest.raises(KnowledgeError, match=message):
            enter(engine, document)

    def test_a_file_of_the_knowledge_base_cannot_be_overwritten_or_withdrawn(
        self, engine: Engine, knowledge_dir: Path
    ) -> None:
        ingest(engine, knowledge_dir)
        source = "policies/refund.md"
        with pytest.raises(KnowledgeError, match="comes from a file of the knowledge base; change"):
            enter(engine, NewDocument(source, "t", "policy", "Refund everybody."))
        with engine.begin() as connection, pytest.raises(KnowledgeError, match="remove the file"):
            retire(connection, source)

    def test_it_can_be_withdrawn(self, engine: Engine) -> None:
        enter(engine, NOTE)
        with engine.begin() as connection:
            retire(connection, "note")
        assert known(engine) == {}
        with (
            engine.begin() as connection,
            pytest.raises(KnowledgeError, match="no document"),
        ):
            retire(connection, "note")


class TestMarkdownFromAnywhere:
    def test_has_its_first_heading_as_title(self, tmp_path: Path) -> None:
        path = tmp_path / "strike.md"
        path.write_text("# Strike at the port\n\nUntil Friday.\n")
        found = read_document(path)
        assert (found.source, found.title, found.category) == (
            "strike.md",
            "Strike at the port",
            "note",
        )

    def test_may_say_for_whom_it_is(self, tmp_path: Path) -> None:
        path = tmp_path / "strike.md"
        path.write_text("---\nagent_type: shipment\nmode: Ship\nversion: 2\n---\nUntil Friday.\n")
        found = read_document(path)
        assert found.audience == Audience(agent_type=("shipment",), mode="Ship")
        assert (found.title, found.version, found.content) == ("strike", "2", "Until Friday.\n")

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("---\nrules: {refund: {}}\n---\nx", r"strike\.md: rules: Extra inputs"),
            ("---\nmode: Rail\n---\nx", r"strike\.md: mode: .*'Rail'"),
            ("---\nmode: [\n---\nx", r"strike\.md: the front matter is no YAML"),
            ("---\n- a\n---\nx", r"strike\.md: front matter: "),
        ],
    )
    def test_is_refused_with_the_field_that_is_wrong(
        self, tmp_path: Path, text: str, message: str
    ) -> None:
        path = tmp_path / "strike.md"
        path.write_text(text)
        with pytest.raises(KnowledgeError, match=message):
            read_document(path)

    def test_must_be_text(self, tmp_path: Path) -> None:
        path = tmp_path / "strike.md"
        path.write_bytes(b"\xff\xfe\x00")
        with pytest.raises(KnowledgeError, match="is not UTF-8"):
            read_document(path)


class TestLearned:
    def test_there_is_one_for_each_deviation(self, engine: Engine) -> None:
        deviation = uuid.uuid4()
        first = learn(engine, deviation, "Moved to block C.")
        assert learn(engine, deviation, "Moved to block C.") == first
        second = learn(engine, deviation, "Moved to block F.")
        (found,) = known(engine).values()
        assert (found.id, found.deviation_id, found.origin) == (second, deviation, "resolution")
        assert found.category == "resolution"

    def test_there_is_one_even_if_two_learn_it_at_once(self, engine: Engine) -> None:
        deviation = uuid.uuid4()
        barrier = threading.Barrier(6)

        def work(number: int) -> None:
            barrier.wait()
            learn(engine, deviation, f"Version {number % 2}.")

        threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(known(engine)) == 1

    def test_whatever_a_model_wrote_is_kept(self, engine: Engine) -> None:
        learn(engine, uuid.uuid4(), "Moved\0 to \ud83d C.")
        (found,) = known(engine).values()
        assert found.content == "Moved to ? C."

    def test_it_outlives_its_deviation(self, engine: Engine) -> None:
        learn(engine, uuid.uuid4(), "Moved to block C.")
        with engine.begin() as connection:
            connection.execute(sa.text("DELETE FROM deviations"))
        assert len(known(engine)) == 1
