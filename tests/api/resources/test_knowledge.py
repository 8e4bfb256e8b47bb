"""The knowledge base through the API, with a real Chroma."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.engine import Engine

from fulfillment_assets.local.chroma import EmbeddedChroma
from tests.api.conftest import Start
from tests.api.examples import pages, problem, url_of, with_knowledge


@pytest.fixture
def searching(engine: Engine, start: Start, chroma: str) -> TestClient:
    """The API with the shipped knowledge base, indexed."""
    return indexed_api(engine, start, chroma)


def indexed_api(engine: Engine, start: Start, chroma: str) -> TestClient:
    with_knowledge(engine, chroma)
    return start(url_of(engine), chroma_url=chroma, knowledge_embedder="lexical")


def test_a_question_finds_the_rule_that_answers_it(searching: TestClient) -> None:
    asked = {"query": "refund for a late paid order", "agent_type": "payment", "k": 3}
    hits = searching.post("/knowledge/search", json=asked).json()["hits"]
    assert len(hits) == 3
    assert hits[0]["source"] == "policies/refund.md"
    assert hits[0]["rule_ids"]
    assert [hit["score"] for hit in hits] == sorted((h["score"] for h in hits), reverse=True)


@pytest.mark.parametrize(
    "change", [{"query": " "}, {"query": "a\0b"}, {"query": "a" * 2_001}, {"k": 0}, {"k": 51}]
)
def test_a_question_that_is_none_is_refused(api: TestClient, change: dict[str, object]) -> None:
    problem(api.post("/knowledge/search", json={"query": "refund"} | change), 422)


def test_documents_are_listed_in_pages(searching: TestClient, tmp_path: Path) -> None:
    documents = [one for page in pages(searching, "/knowledge/documents", limit=5) for one in page]
    sources = {one["source"] for one in documents}
    assert len(sources) == len(documents) >= 14
    assert "policies/refund.md" in sources
    assert all(one["indexed"] for one in documents)
    policies = searching.get("/knowledge/documents", params={"category": "policy"}).json()["items"]
    assert {one["category"] for one in policies} == {"policy"}
    retired = searching.get("/knowledge/documents", params={"retired": True}).json()
    assert retired["items"] == []


def test_without_an_index_a_search_says_what_to_do(
    engine: Engine, start: Start, chroma: str
) -> None:
    api = start(url_of(engine), chroma_url=chroma)
    response = api.post("/knowledge/search", json={"query": "refund"})
    assert "`fulfillment knowledge ingest`" in problem(response, 503)["detail"]


def test_a_chroma_that_went_away_is_503_and_it_recovers_by_itself(
    engine: Engine, start: Start, private_chroma: EmbeddedChroma
) -> None:
    url = private_chroma.url
    api = indexed_api(engine, start, url)
    assert api.post("/knowledge/search", json={"query": "refund"}).status_code == 200
    private_chroma.stop()
    response = api.post("/knowledge/search", json={"query": "something else"})
    problem(response, 503)
    assert response.headers["retry-after"] == "2"
    assert url not in response.text
    assert api.get("/knowledge/documents").status_code == 200
    private_chroma.start()
    assert api.post("/knowledge/search", json={"query": "something new"}).status_code == 200
