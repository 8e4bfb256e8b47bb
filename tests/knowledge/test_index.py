"""The index follows PostgreSQL, and what serves goes on serving whatever fails."""

from __future__ import annotations

import subprocess
import sys
import threading
import uuid
from collections.abc import Sequence
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from fulfillment_assets.knowledge.documents import NewDocument, ingest_files, record_resolution
from fulfillment_assets.knowledge.entered import ingest_document, retire
from fulfillment_assets.knowledge.errors import KnowledgeUnavailableError
from fulfillment_assets.knowledge.index import IndexState, Refreshed, refresh, serving
from fulfillment_assets.knowledge.lexical import LexicalEmbedder, Vectors
from fulfillment_assets.knowledge.retrieval import Hit, search
from fulfillment_assets.knowledge.vector_store import VectorStore, store_of
from fulfillment_assets.local.chroma import EmbeddedChroma
from fulfillment_assets.settings import PROJECT_ROOT, Settings
from tests.knowledge.files import replace
from tests.knowledge.other_embedder import OtherEmbedder


def state(engine: Engine) -> IndexState:
    with engine.connect() as connection:
        found = serving(connection)
    assert found is not None
    return found


def find(settings: Settings, engine: Engine, query: str, k: int = 5) -> list[Hit]:
    with engine.connect() as connection:
        return search(settings, connection, query, k=k)


def learn(engine: Engine, content: str) -> str:
    deviation = uuid.uuid4()
    with engine.begin() as connection:
        record_resolution(connection, deviation, title="Resolution", content=content)
    return f"resolutions/{deviation}"


def count(settings: Settings, collection: str) -> int | None:
    # A store of its own, so that nothing is remembered.
    assert settings.chroma_url is not None
    return VectorStore(settings.chroma_url).count(collection)


def test_it_holds_every_document(indexed: Engine, settings: Settings) -> None:
    found = state(indexed)
    assert found.documents == 14
    assert found.chunks == count(settings, found.collection) == 65
    assert found.embedder == LexicalEmbedder().fingerprint
    assert found.dimension == LexicalEmbedder().dimension
    assert store_of(settings).embedder(found.collection) == found.embedder


def test_nothing_is_done_where_nothing_changed(indexed: Engine, settings: Settings) -> None:
    before = state(indexed)
    assert refresh(settings, indexed) == Refreshed(before, False, 0)


def test_an_empty_knowledge_base_has_an_empty_index(engine: Engine, settings: Settings) -> None:
    first = refresh(settings, engine)
    assert (first.rebuilt, first.state.chunks) == (True, 0)
    assert find(settings, engine, "anything") == []
    assert refresh(settings, engine).rebuilt is False


def test_a_changed_file_makes_a_new_collection_and_drops_the_old_one(
    engine: Engine, settings: Settings, knowledge_dir: Path
) -> None:
    with engine.begin() as connection:
        ingest_files(connection, knowledge_dir)
    before = refresh(settings, engine).state
    replace(knowledge_dir / "slas" / "warehouse_c.md", "hours: 8\n", "hours: 9\n")
    with engine.begin() as connection:
        ingest_files(connection, knowledge_dir)
    after = refresh(settings, engine)
    assert after.rebuilt
    assert after.state.collection != before.collection
    assert after.state.documents_hash != before.documents_hash
    assert count(settings, before.collection) is None
    texts = [hit.text for hit in find(settings, engine, "processing hours of block C")]
    assert any("needs 9 hours" in text for text in texts)
    assert not any("needs 8 hours" in text for text in texts)


def test_a_withdrawn_document_is_found_no_more(indexed: Engine, settings: Settings) -> None:
    note = NewDocument("strike", "Strike", "note", "The port of Rotterdam is on strike.")
    with indexed.begin() as connection:
        ingest_document(connection, note)
    refresh(settings, indexed)
    assert find(settings, indexed, "port strike")[0].source == "strike"
    with indexed.begin() as connection:
        retire(connection, "strike")
    refresh(settings, indexed)
    assert "strike" not in {hit.source for hit in find(settings, indexed, "port strike")}


class TestAFailure:
    def test_of_the_embedder_leaves_the_old_index_serving(
        self, indexed: Engine, settings: Settings
    ) -> None:
        before = state(indexed)
        broken = OtherEmbedder(KnowledgeUnavailableError("no network"))
        with pytest.raises(KnowledgeUnavailableError, match="no network"):
            refresh(settings, indexed, embedder=broken)
        assert state(indexed) == before
        assert find(settings, indexed, "refund for a late paid order")[0].source

    def test_between_filling_and_switching_leaves_it_too_and_is_cleared_away(
        self, indexed: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = state(indexed)
        with monkeypatch.context() as patch:
            patch.setattr(VectorStore, "count", lambda *_: 1)
            with pytest.raises(KnowledgeUnavailableError, match="kept 1 of 65 chunks"):
                refresh(settings, indexed, rebuild=True)
        assert state(indexed) == before
        assert len(find(settings, indexed, "refund")) == 5
        with indexed.connect() as connection:
            names = set(connection.scalars(sa.text("SELECT collection FROM knowledge_index")))
        (leftover,) = names - {before.collection}
        assert count(settings, leftover) == 65
        refresh(settings, indexed, rebuild=True)
        assert count(settings, leftover) is None
        with indexed.connect() as connection:
            assert connection.scalar(sa.text("SELECT count(*) FROM knowledge_index")) == 1

    def test_of_the_process_in_the_midst_of_a_rebuild_leaves_it_too(
        self, indexed: Engine, settings: Settings
    ) -> None:
        before = state(indexed)
        program = (
            "import os, sys\n"
            "from fulfillment_assets.knowledge import index\n"
            "from fulfillment_assets.settings import Settings\n"
            "from fulfillment_assets.store.connection import create_engine\n"
            "index.VectorStore.count = lambda *_: os.kill(os.getpid(), 9)\n"
            "settings = Settings(chroma_url=sys.argv[2], knowledge_embedder='lexical')\n"
            "index.refresh(settings, create_engine(sys.argv[1]), rebuild=True)\n"
        )
        url = indexed.url.render_as_string(hide_password=False)
        done = subprocess.run(
            [sys.executable, "-c", program, url, str(settings.chroma_url)],
            cwd=PROJECT_ROOT,
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == -9, done.stderr
        assert state(indexed) == before
        assert refresh(settings, indexed) == Refreshed(before, False, 0)
        assert refresh(settings, indexed, rebuild=True).rebuilt

    def test_a_server_that_lost_its_data_gets_them_anew(
        self, indexed: Engine, settings: Settings
    ) -> None:
        learn(indexed, "Moved from E to D.")
        refresh(settings, indexed)
        assert settings.chroma_url is not None
        VectorStore(settings.chroma_url).drop(state(indexed).collection)
        with pytest.raises(KnowledgeUnavailableError, match="has lost the index"):
            find(settings, indexed, "refund")
        assert refresh(settings, indexed).rebuilt
        assert state(indexed).documents == 15
        assert len(find(settings, indexed, "refund")) == 5


class TestWhatWasLearned:
    def test_is_added_to_the_serving_collection(self, indexed: Engine, settings: Settings) -> None:
        before = state(indexed)
        source = learn(indexed, "Zeppelin freight from block E was moved to block D.")
        done = refresh(settings, indexed)
        assert (done.rebuilt, done.added) == (False, 1)
        assert done.state.collection == before.collection
        assert done.state.chunks == before.chunks + 1 == count(settings, before.collection)
        assert source in {hit.source for hit in find(settings, indexed, "zeppelin freight")}

    def test_survives_a_rebuild(self, indexed: Engine, settings: Settings) -> None:
        sources = {learn(indexed, f"Zeppelin number {n} was moved.") for n in range(20)}
        refresh(settings, indexed)
        assert refresh(settings, indexed, rebuild=True).state.documents == 34
        assert find(settings, indexed, "zeppelin number 7", k=1)[0].source in sources

    def test_during_a_rebuild_is_added_by_the_next_call(
        self, indexed: Engine, settings: Settings
    ) -> None:
        class Learning(OtherEmbedder):
            fingerprint = LexicalEmbedder().fingerprint

            def embed(self, texts: Sequence[str]) -> Vectors:
                learn(indexed, "Zeppelin freight was moved.")
                return super().embed(texts)

        assert refresh(settings, indexed, embedder=Learning(), rebuild=True).state.documents == 14
        done = refresh(settings, indexed)
        assert (done.rebuilt, done.added, done.state.documents) == (False, 1, 15)

    def test_is_embedded_once(self, indexed: Engine, settings: Settings) -> None:
        embedder = OtherEmbedder()
        refresh(settings, indexed, embedder=embedder)
        embedder.texts.clear()
        learn(indexed, "Zeppelin freight was moved.")
        refresh(settings, indexed, embedder=embedder)
        refresh(settings, indexed, embedder=embedder)
        assert len(embedder.texts) == 1


class TestAnotherEmbedder:
    def test_is_refused_by_a_search(self, indexed: Engine, settings: Settings) -> None:
        refresh(settings, indexed, embedder=OtherEmbedder())
        expected = r"made by other-1, and lexical-\w+ is asked for.*`fulfillment knowledge reindex`"
        with pytest.raises(KnowledgeUnavailableError, match=expected):
            find(settings, indexed, "refund")

    def test_gets_a_collection_of_its_own(self, indexed: Engine, settings: Settings) -> None:
        before = state(indexed)
        assert refresh(settings, indexed, embedder=OtherEmbedder()).rebuilt
        assert state(indexed).embedder == "other-1"
        assert count(settings, before.collection) is None
        assert refresh(settings, indexed).rebuilt
        assert state(indexed).embedder == before.embedder


def test_many_at_once_make_one_index(engine: Engine, settings: Settings) -> None:
    with engine.begin() as connection:
        ingest_files(connection, settings.knowledge_dir)
    found: list[Refreshed] = []
    threads = [
        threading.Thread(target=lambda: found.append(refresh(settings, engine))) for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one.rebuilt for one in found) == [False] * 4 + [True]
    assert len({one.state.collection for one in found}) == 1


def test_searches_go_on_while_the_index_is_rebuilt(indexed: Engine, settings: Settings) -> None:
    done = threading.Event()
    failures: list[Exception] = []
    answered = 0

    def ask() -> None:
        nonlocal answered
        while not done.is_set():
            try:
                assert len(find(settings, indexed, f"refund number {answered}")) == 5
                answered += 1
            except Exception as error:
                failures.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    for _ in range(5):
        refresh(settings, indexed, rebuild=True)
    done.set()
    asking.join()
    assert failures == []
    assert answered > 0


def test_without_a_server_it_is_told_and_nothing_is_lost(
    indexed: Engine, settings: Settings, private_chroma: EmbeddedChroma
) -> None:
    elsewhere = settings.model_copy(update={"chroma_url": private_chroma.url})
    private_chroma.stop()
    with pytest.raises(KnowledgeUnavailableError, match=r"vector store at http://127.* does not"):
        refresh(elsewhere, indexed)
    assert len(find(settings, indexed, "refund")) == 5


def test_another_server_gets_the_index_anew(
    indexed: Engine, settings: Settings, private_chroma: EmbeddedChroma
) -> None:
    elsewhere = settings.model_copy(update={"chroma_url": private_chroma.url})
    assert refresh(elsewhere, indexed).rebuilt
    assert len(find(elsewhere, indexed, "refund")) == 5
