"""Searches: what is found, for whom, and what happens when Chroma is not there."""

from __future__ import annotations

import dataclasses
import multiprocessing
import socket
import threading
import uuid

import pytest
from sqlalchemy.engine import Engine

from fulfillment_assets.knowledge import vector_store
from fulfillment_assets.knowledge.audience import Audience
from fulfillment_assets.knowledge.documents import NewDocument, ingest_files, record_resolution
from fulfillment_assets.knowledge.entered import ingest_document
from fulfillment_assets.knowledge.errors import KnowledgeUnavailableError
from fulfillment_assets.knowledge.index import refresh
from fulfillment_assets.knowledge.retrieval import Hit, Query, search, search_many
from fulfillment_assets.knowledge.vector_store import VectorStore
from fulfillment_assets.local.chroma import EmbeddedChroma
from fulfillment_assets.settings import Settings
from fulfillment_assets.store.connection import create_engine


def ask(settings: Settings, engine: Engine, *queries: Query) -> list[list[Hit]]:
    with engine.connect() as connection:
        return search_many(settings, connection, queries)


def sources(hits: list[Hit]) -> set[str]:
    return {hit.source for hit in hits}


def test_a_late_paid_order_leads_to_the_refund_policy(indexed: Engine, settings: Settings) -> None:
    with indexed.connect() as connection:
        hits = search(settings, connection, "refund for a late paid order")
    assert len(hits) == 5
    first = hits[0]
    assert (first.source, first.section) == (
        "policies/refund.md",
        "1. Who is eligible for a refund",
    )
    assert first.rule_ids == ("RF-1.1", "RF-1.2", "RF-1.3", "RF-1.4")
    assert (first.category, first.version) == ("policy", "4.0")
    assert "the payment status is\npaid" in first.text
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert 0 < first.score <= 1


def test_the_chunk_s_id_leads_to_the_document(indexed: Engine, settings: Settings) -> None:
    ((hit,),) = ask(settings, indexed, Query("quiet hours", k=1))
    document, _, number = hit.chunk_id.partition(":")
    assert uuid.UUID(document)
    assert number.isdigit()


class TestFilters:
    def test_an_agent_gets_what_is_meant_for_it_or_for_all(
        self, indexed: Engine, settings: Settings
    ) -> None:
        query = "when does a person take over, and how much is refunded"
        (hits,) = ask(settings, indexed, Query(query, agent_type="payment", k=20))
        assert sources(hits) == {
            "policies/refund.md",
            "policies/escalation_criteria.md",
            "templates/refund_confirmation.md",
        }
        sections = {hit.section for hit in hits if "escalation" in hit.source}
        assert sections == {"1. When a person must take over", "5. Approvals"}

    def test_every_agent_has_something_to_go_by(self, indexed: Engine, settings: Settings) -> None:
        for name in ("shipment", "customer", "payment", "escalation"):
            (hits,) = ask(settings, indexed, Query("a late order", agent_type=name))
            assert len(hits) == 5

    def test_a_warehouse_leaves_out_the_others(self, indexed: Engine, settings: Settings) -> None:
        (hits,) = ask(settings, indexed, Query("transfers into a block", warehouse="C", k=50))
        found = {source for source in sources(hits) if "warehouse" in source}
        assert found == {"slas/warehouse_c.md"}
        assert "policies/shipping.md" in sources(hits)

    def test_severity_leaves_out_what_is_about_another(
        self, indexed: Engine, settings: Settings
    ) -> None:
        query = "change of the mode of shipment"
        critical, warning = ask(
            settings, indexed, Query(query, severity="critical"), Query(query, severity="warning")
        )
        section = "3. Changing the mode of shipment"
        assert section in {hit.section for hit in critical}
        assert section not in {hit.section for hit in warning}

    def test_mode_does_too_and_all_can_be_combined(
        self, indexed: Engine, settings: Settings
    ) -> None:
        with indexed.begin() as connection:
            for mode in ("Ship", "Flight"):
                audience = Audience(agent_type=("shipment",), mode=mode, warehouse="C")
                ingest_document(
                    connection,
                    NewDocument(f"strike-{mode}", "Strike", "note", "Strike today.", audience),
                )
        refresh(settings, indexed)
        query = Query("strike", "shipment", "critical", "C", "Flight", k=50)
        (hits,) = ask(settings, indexed, query)
        assert {source for source in sources(hits) if "strike" in source} == {"strike-Flight"}


class TestManyAtOnce:
    def test_are_answered_like_one_by_one(self, indexed: Engine, settings: Settings) -> None:
        queries = [
            Query("refund", k=3),
            Query("warehouse transfer", agent_type="shipment"),
            Query("quiet hours", k=3),
            Query("", k=2),
        ]
        together = ask(settings, indexed, *queries)
        assert together == [ask(settings, indexed, query)[0] for query in queries]
        assert [len(hits) for hits in together] == [3, 5, 3, 2]

    def test_none_is_no_question(self, settings: Settings, indexed: Engine) -> None:
        assert ask(settings, indexed) == []

    def test_threads_share_a_connection(self, indexed: Engine, settings: Settings) -> None:
        expected = ask(settings, indexed, Query("refund"))
        found: list[list[list[Hit]]] = []
        threads = [
            threading.Thread(target=lambda: found.append(ask(settings, indexed, Query("refund"))))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [expected] * 8

    def test_a_forked_process_has_one_of_its_own(self, indexed: Engine, settings: Settings) -> None:
        expected = ask(settings, indexed, Query("refund"))
        url = indexed.url.render_as_string(hide_password=False)
        with multiprocessing.get_context("fork").Pool(1) as pool:
            assert pool.apply(_ask_in_child, (settings, url)) == expected


def _ask_in_child(settings: Settings, url: str) -> list[list[Hit]]:
    engine = create_engine(url)
    try:
        return ask(settings, engine, Query("refund"))
    finally:
        engine.dispose()


@pytest.mark.parametrize(
    "text", ["", "\0", "x" * 1_000_000, "'; DROP TABLE orders; --", "{{ refund }}", "ð\ud83d"]
)
def test_any_text_can_be_asked(indexed: Engine, settings: Settings, text: str) -> None:
    assert len(ask(settings, indexed, Query(text))[0]) == 5


def test_a_thousand_resolutions_alike_do_not_hide_the_rules(
    indexed: Engine, settings: Settings
) -> None:
    text = "Refund for a late paid order: 20 % of the cost were refunded."
    with indexed.begin() as connection:
        for _ in range(200):
            record_resolution(connection, uuid.uuid4(), title="Refund late order", content=text)
    refresh(settings, indexed)
    (hits,) = ask(settings, indexed, Query("refund for a late paid order"))
    assert [hit.category for hit in hits].count("resolution") == 1
    assert hits[0].category == "resolution"
    assert "policies/refund.md" in sources(hits)
    assert len(hits) == 5


class TestWithoutChroma:
    def test_no_address_is_told(self, indexed: Engine, settings: Settings) -> None:
        with pytest.raises(KnowledgeUnavailableError, match=r"`fulfillment up`, or set CHROMA_URL"):
            ask(settings.model_copy(update={"chroma_url": None}), indexed, Query("refund"))

    @pytest.mark.parametrize("url", ["localhost:8000", "ftp://x", "http://", "nonsense"])
    def test_a_wrong_address_is_told(self, indexed: Engine, settings: Settings, url: str) -> None:
        with pytest.raises(KnowledgeUnavailableError, match="CHROMA_URL"):
            ask(settings.model_copy(update={"chroma_url": url}), indexed, Query("refund"))

    def test_no_index_is_told(self, engine: Engine, settings: Settings) -> None:
        with pytest.raises(KnowledgeUnavailableError, match="`fulfillment knowledge ingest` makes"):
            ask(settings, engine, Query("refund"))

    def test_a_server_that_is_silent_does_not_keep_us(
        self, indexed: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(vector_store, "SECONDS", 0.3)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            silent = settings.model_copy(update={"chroma_url": url})
            with pytest.raises(KnowledgeUnavailableError, match=f"{url} does not answer"):
                ask(silent, indexed, Query("refund"))

    def test_one_that_falls_silent_later_does_not_either(
        self,
        engine: Engine,
        settings: Settings,
        private_chroma: EmbeddedChroma,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(vector_store, "SECONDS", 1.0)
        mine = settings.model_copy(update={"chroma_url": private_chroma.url})
        refresh(mine, engine)
        process = private_chroma.process()
        assert process is not None
        process.suspend()
        try:
            with pytest.raises(KnowledgeUnavailableError, match="does not answer"):
                ask(mine, engine, Query("refund"))
        finally:
            process.resume()
        assert ask(mine, engine, Query("refund")) == [[]]

    def test_searches_recover_by_themselves_when_it_was_killed_and_is_back(
        self, engine: Engine, settings: Settings, private_chroma: EmbeddedChroma
    ) -> None:
        mine = settings.model_copy(update={"chroma_url": private_chroma.url})
        with engine.begin() as connection:
            ingest_files(connection, settings.knowledge_dir)
        refresh(mine, engine)
        ask(mine, engine, Query("weight limits"))
        process = private_chroma.process()
        assert process is not None
        process.kill()
        process.wait()
        with pytest.raises(KnowledgeUnavailableError, match="does not answer"):
            ask(mine, engine, Query("refund for a late paid order"))
        private_chroma.start()
        assert private_chroma.url == mine.chroma_url
        (hits,) = ask(mine, engine, Query("refund for a late paid order"))
        assert hits[0].source == "policies/refund.md"
        assert refresh(mine, engine).rebuilt is False

    def test_a_restart_between_two_searches_is_not_noticed(
        self, engine: Engine, settings: Settings, private_chroma: EmbeddedChroma
    ) -> None:
        mine = settings.model_copy(update={"chroma_url": private_chroma.url})
        with engine.begin() as connection:
            ingest_files(connection, settings.knowledge_dir)
        refresh(mine, engine)
        ask(mine, engine, Query("weight limits"))
        process = private_chroma.process()
        assert process is not None
        process.kill()
        process.wait()
        private_chroma.start()
        assert len(ask(mine, engine, Query("refund"))[0]) == 5


class TestAnAnswerIsRemembered:
    def test_and_the_same_without_asking_chroma(
        self, indexed: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        query = Query("refund for a late paid order", agent_type="payment")
        first = ask(settings, indexed, query)
        with monkeypatch.context() as patch:
            patch.setattr(VectorStore, "nearest", None)
            assert ask(settings, indexed, query, query) == first * 2
        other = dataclasses.replace(query, agent_type="customer")
        assert ask(settings, indexed, other) != first

    def test_until_something_is_learned(self, indexed: Engine, settings: Settings) -> None:
        query = Query("zeppelin freight")
        ask(settings, indexed, query)
        with indexed.begin() as connection:
            record_resolution(connection, uuid.uuid4(), title="Zeppelin", content="Freight.")
        refresh(settings, indexed)
        (hits,) = ask(settings, indexed, query)
        assert hits[0].category == "resolution"

    def test_until_a_document_changes(self, indexed: Engine, settings: Settings) -> None:
        query = Query("zeppelin freight", k=1)
        ask(settings, indexed, query)
        note = NewDocument("zeppelin", "Zeppelin", "note", "Zeppelin freight is closed.")
        with indexed.begin() as connection:
            ingest_document(connection, note)
        refresh(settings, indexed)
        assert ask(settings, indexed, query)[0][0].source == "zeppelin"
