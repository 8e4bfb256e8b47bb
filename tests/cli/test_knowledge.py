"""`fulfillment knowledge`: from nothing to an answer, with a Chroma that the command starts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from fulfillment_assets.local.chroma import EmbeddedChroma
from fulfillment_assets.local.ports import any_port
from fulfillment_assets.settings import PROJECT_ROOT
from tests.cli.commands import Fulfillment
from tests.knowledge.files import replace


class Knowledge:
    """The command on a database, a Chroma and a knowledge base of the test."""

    def __init__(self, run: Fulfillment, directory: Path) -> None:
        self.directory = directory
        self._run = run

    def told(self, *arguments: str | Path) -> Any:
        """What a command says in JSON."""
        outcome = self._run("knowledge", *arguments, "--json")
        assert outcome.status == 0, outcome.err
        return json.loads(outcome.out)

    def shown(self, *arguments: str | Path) -> str:
        """What a command says to people."""
        outcome = self._run("knowledge", *arguments)
        assert outcome.status == 0, outcome.err
        return outcome.out

    def refused(self, *arguments: str | Path, status: int = 1) -> str:
        """Why a command does not do what it is asked."""
        outcome = self._run("knowledge", *arguments)
        assert outcome.status == status
        assert "Traceback" not in outcome.err
        return " ".join(outcome.err.replace("│", "").split())


@pytest.fixture
def knowledge(
    fulfillment: Fulfillment, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Knowledge:
    directory = shutil.copytree(PROJECT_ROOT / "knowledge_base", tmp_path / "rules")
    variables = {
        "DATABASE_URL": database_url,
        "FULFILLMENT_DATA_DIR": tmp_path / "data",
        "FULFILLMENT_KNOWLEDGE_DIR": directory,
        "FULFILLMENT_CHROMA_PORT": any_port(),
    }
    for name in ("OPENAI_API_KEY", "CHROMA_URL", "FULFILLMENT_KNOWLEDGE_EMBEDDER"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, str(value))
    return Knowledge(fulfillment, directory)


def test_a_search_answers_from_a_cold_start_and_leaves_nothing_running(
    knowledge: Knowledge, tmp_path: Path
) -> None:
    found = knowledge.told("search", "refund for a late paid order")
    assert found["query"] == "refund for a late paid order"
    assert len(found["hits"]) == 5
    first = found["hits"][0]
    assert first["source"] == "policies/refund.md"
    assert first["section"] == "1. Who is eligible for a refund"
    assert "RF-1.1" in first["rule_ids"]
    assert 0 < first["score"] <= 1
    assert not EmbeddedChroma(tmp_path / "data").is_running()


def test_a_search_knows_what_the_files_say_now(knowledge: Knowledge) -> None:
    query = ("search", "processing hours of block C", "-k", "1")
    assert "needs 8 hours" in knowledge.told(*query)["hits"][0]["text"]
    replace(knowledge.directory / "slas" / "warehouse_c.md", "hours: 8\n", "hours: 9\n")
    assert "needs 9 hours" in knowledge.told(*query)["hits"][0]["text"]


def test_a_search_can_be_narrowed_and_is_readable(knowledge: Knowledge) -> None:
    narrowed = ("--agent-type", "shipment", "--warehouse", "F", "--mode", "Road", "-k", "2")
    text = knowledge.shown("search", "transfer capacity", *narrowed)
    assert "slas/warehouse_f.md › 2. Transfers into block F  WF-2.1 WF-2.2" in text
    assert "warehouse_a" not in text
    assert "Invalid value for '--agent-type'" in knowledge.refused(
        "search", "x", "--agent-type", "cashier", status=2
    )


def test_ingest_tells_what_changed_and_how_the_index_stands(knowledge: Knowledge) -> None:
    first = knowledge.told("ingest")
    assert len(first["new"]) == 14
    assert first["index"]["rebuilt"] is True
    assert first["index"]["chunks"] == 65
    assert knowledge.told("ingest")["index"]["rebuilt"] is False
    (knowledge.directory / "templates" / "delay_notification.md").unlink()
    text = knowledge.shown("ingest")
    assert "removed  templates/delay_notification.md" in text
    assert "0 new, 0 changed, 1 removed, 13 unchanged." in text
    assert "Index built anew: 13 documents" in text


def test_a_wrong_rule_is_told_with_file_and_field(knowledge: Knowledge) -> None:
    path = knowledge.directory / "policies" / "refund.md"
    replace(path, "automatic_limit_usd: 50\n", "automatic_limit_usd: -1\n")
    for command in (("ingest",), ("search", "refund")):
        message = knowledge.refused(*command)
        assert "policies/refund.md: rules.refund.automatic_limit_usd: " in message


def test_a_document_is_entered_listed_found_and_withdrawn(
    knowledge: Knowledge, tmp_path: Path
) -> None:
    path = tmp_path / "strike.md"
    path.write_text("---\nagent_type: shipment\n---\n# Strike at the port\n\nUntil Friday.\n")
    knowledge.told("ingest")
    assert knowledge.told("ingest", path)["entered"] == ["strike.md"]
    (found,) = knowledge.told("list", "--category", "note")["documents"]
    assert (found["source"], found["title"], found["origin"], found["agent_type"]) == (
        "strike.md",
        "Strike at the port",
        "entered",
        ["shipment"],
    )
    assert knowledge.told("search", "strike at the port")["hits"][0]["source"] == "strike.md"
    assert "14 unchanged" in knowledge.shown("ingest")
    assert "strike.md is withdrawn." in knowledge.shown("retire", "strike.md")
    assert knowledge.told("list", "--category", "note")["documents"] == []
    (retired,) = knowledge.told("list", "--retired")["documents"]
    assert retired["retired_at"] is not None
    assert "no document 'strike.md'" in knowledge.refused("retire", "strike.md")


def test_list_names_every_document(knowledge: Knowledge) -> None:
    knowledge.shown("ingest")
    text = knowledge.shown("list")
    assert "15 documents" not in text
    assert "14 documents" in text
    assert "policies/shipping.md" in text


def test_reindex_builds_another_collection(knowledge: Knowledge) -> None:
    first = knowledge.told("ingest")["index"]["collection"]
    second = knowledge.told("reindex")
    assert second["rebuilt"] is True
    assert second["collection"] != first
    assert "Index built anew: 14 documents in 65 chunks" in knowledge.shown("reindex")


def test_eval_prints_the_figures_of_an_embedder(knowledge: Knowledge) -> None:
    (found,) = knowledge.told("eval", "--embedder", "lexical")["embedders"]
    assert found["embedder"] == "lexical"
    assert found["groups"]["all"]["hit_at_5"] >= 0.85
    text = knowledge.shown("eval")
    assert "hit@1" in text
    assert "MRR" in text
    assert all(f"lexical misses: {question}" in text for question in found["failed"])


def test_a_vector_store_that_does_not_answer_is_told(
    knowledge: Knowledge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHROMA_URL", f"http://127.0.0.1:{any_port()}")
    assert "The vector store at http://127.0.0.1" in knowledge.refused("search", "refund")
