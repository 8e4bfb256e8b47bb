"""The knowledge base through the API, with a real Chroma."""

from __future__ import annotations

import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.engine import Engine

from fulfillment_assets.knowledge.freshness import why_outdated
from fulfillment_assets.knowledge.index import refresh
from fulfillment_assets.local.chroma import EmbeddedChroma
from tests.agents.examples import Office
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


NOTE = "# Strike at Milestone Haulage\n\nWhile it lasts, move quokka orders to another carrier.\n"
ENTERED = {"source": "strike.md", "title": "Strike", "content": NOTE, "agent_type": ["shipment"]}


def found(api: TestClient, query: str = "quokka orders during the strike") -> list[str]:
    hits = api.post("/knowledge/search", json={"query": query, "k": 3}).json()["hits"]
    return [hit["source"] for hit in hits]


def lines(office: Office) -> list[tuple[str, str]]:
    return [(one["action"], one["target"]) for one in office.rows("SELECT * FROM api_audit")]


def test_a_document_that_is_entered_is_found(searching: TestClient, office: Office) -> None:
    response = searching.post("/knowledge/ingest", json=ENTERED)
    assert response.status_code == 201, response.text
    made = response.json()
    assert (made["indexed"], made["origin"], made["agent_type"]) == (True, "entered", ["shipment"])
    assert searching.get(response.headers["location"]).json() == made
    assert found(searching)[0] == "strike.md"
    assert lines(office) == [("knowledge.ingest", "strike.md")]


def test_the_very_document_again_is_the_known_one(searching: TestClient, office: Office) -> None:
    first = searching.post("/knowledge/ingest", json=ENTERED)
    again = searching.post("/knowledge/ingest", json=ENTERED)
    assert (again.status_code, again.json()) == (200, first.json())
    assert len(lines(office)) == 1


def test_another_text_of_the_same_source_replaces_the_first(searching: TestClient) -> None:
    first = searching.post("/knowledge/ingest", json=ENTERED).json()
    second = searching.post(
        "/knowledge/ingest", json=ENTERED | {"content": "# Strike\n\nIt is over, says the wombat."}
    )
    assert second.status_code == 201
    assert second.json()["id"] != first["id"]
    old = searching.get(f"/knowledge/documents/{first['id']}").json()
    assert old["retired_at"] is not None
    assert old["content"] == NOTE.strip()
    assert found(searching, "what does the wombat say")[0] == "strike.md"


@pytest.mark.parametrize("form", [True, False])
def test_a_markdown_file_is_taken_with_its_front_matter(api: TestClient, form: bool) -> None:
    text = f"---\nagent_type: payment\nversion: 2\n---\n{NOTE}".encode()
    if form:
        file = ("C:\\notes\\..\\strike.md", text, "text/markdown")
        response = api.post("/knowledge/ingest", files={"file": file})
    else:
        response = api.post(
            "/knowledge/ingest?source=strike.md",
            content=text,
            headers={"Content-Type": "text/markdown; charset=utf-8"},
        )
    assert response.status_code == 202, response.text
    made = response.json()
    assert (made["source"], made["title"], made["version"], made["agent_type"]) == (
        "strike.md",
        "Strike at Milestone Haulage",
        "2",
        ["payment"],
    )
    assert made["content"] == NOTE


@pytest.mark.parametrize(
    ("content", "kind", "status", "field"),
    [
        (b"# x", "text/plain", 415, None),
        (b"# x", "", 415, None),
        (b"{", "application/json", 422, "body"),
        (b"[" * 100_000, "application/json", 422, "body"),
        (b'{"source": "a"}', "application/json", 422, "body.title"),
        (b"\xff", "text/markdown", 422, None),
        (b"---\n[\n---\nx", "text/markdown", 422, None),
        (b" ", "text/markdown", 422, None),
        (b"a\0b", "text/markdown", 422, None),
        (b"x", "multipart/form-data; boundary=b", 400, None),
        (
            b'--b\r\nContent-Disposition: form-data; name="other"\r\n\r\nx\r\n--b--\r\n',
            "multipart/form-data; boundary=b",
            422,
            "body.file",
        ),
    ],
)
def test_what_is_no_document_is_refused(
    api: TestClient, office: Office, content: bytes, kind: str, status: int, field: str | None
) -> None:
    response = api.post(
        "/knowledge/ingest?source=a.md", content=content, headers={"Content-Type": kind}
    )
    told = problem(response, status)
    if field is not None:
        assert field in {one["field"] for one in told["errors"]}
    assert lines(office) == []


def test_markdown_without_a_name_is_refused(api: TestClient) -> None:
    response = api.post(
        "/knowledge/ingest", content=NOTE, headers={"Content-Type": "text/markdown"}
    )
    assert problem(response, 422)["errors"][0]["field"] == "query.source"


def test_a_document_that_is_withdrawn_is_found_no_more(
    searching: TestClient, office: Office
) -> None:
    made = searching.post("/knowledge/ingest", json=ENTERED).json()
    for _ in range(2):
        response = searching.delete(f"/knowledge/documents/{made['id']}")
        assert (response.status_code, response.content) == (204, b"")
    assert "strike.md" not in found(searching)
    assert searching.get(f"/knowledge/documents/{made['id']}").json()["retired_at"] is not None
    assert lines(office)[1:] == [("knowledge.withdraw", "strike.md")]


def test_a_file_of_the_knowledge_base_changes_with_the_file_only(searching: TestClient) -> None:
    [refund] = [
        one
        for one in searching.get("/knowledge/documents", params={"limit": 100}).json()["items"]
        if one["source"] == "policies/refund.md"
    ]
    response = searching.delete(f"/knowledge/documents/{refund['id']}")
    assert "remove the file" in problem(response, 409)["detail"]
    response = searching.post("/knowledge/ingest", json=ENTERED | {"source": "policies/refund.md"})
    assert "change the file" in problem(response, 409)["detail"]
    response = searching.post("/knowledge/ingest", json=ENTERED | {"source": "resolutions/x"})
    problem(response, 422)


def test_a_document_that_there_is_not_is_told(api: TestClient) -> None:
    for method in ("GET", "DELETE"):
        problem(api.request(method, f"/knowledge/documents/{uuid.uuid4()}"), 404)


def test_what_is_entered_while_chroma_is_away_is_indexed_once_it_is_back(
    engine: Engine, start: Start, private_chroma: EmbeddedChroma
) -> None:
    api = indexed_api(engine, start, private_chroma.url)
    settings = api.app.state.services.settings  # type: ignore[attr-defined]
    private_chroma.stop()
    response = api.post("/knowledge/ingest", json=ENTERED)
    assert (response.status_code, response.json()["indexed"]) == (202, False)
    with engine.connect() as connection:
        assert why_outdated(settings, connection) == "strike.md was entered or withdrawn"
    private_chroma.start()
    refresh(settings, engine)
    with engine.connect() as connection:
        assert why_outdated(settings, connection) is None
    assert api.get(f"/knowledge/documents/{response.json()['id']}").json()["indexed"]
    assert found(api)[0] == "strike.md"


def test_documents_that_come_at_once_are_all_indexed(searching: TestClient) -> None:
    def enter(number: int) -> int:
        document = ENTERED | {"source": f"n{number}.md", "content": f"# N{number}\n\ntext {number}"}
        return searching.post("/knowledge/ingest", json=document).status_code

    with ThreadPoolExecutor(8) as threads:
        statuses = set(threads.map(enter, range(8)))
    assert statuses <= {201, 202}
    deadline = time.monotonic() + 60
    while not all(
        one["indexed"]
        for one in searching.get("/knowledge/documents", params={"limit": 100}).json()["items"]
    ):
        assert time.monotonic() < deadline
        time.sleep(0.1)
