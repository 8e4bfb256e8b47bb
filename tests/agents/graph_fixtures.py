"""Cases, desks and models for the tests of the graph."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pytest
from pydantic import SecretStr

from fulfillment_assets.agents.case import Case
from fulfillment_assets.agents.graph import CaseGraph, build_graph
from fulfillment_assets.agents.models import Models, models_of
from fulfillment_assets.agents.outcome import AgentResponse, Outcome
from fulfillment_assets.agents.run_case import resolve
from fulfillment_assets.agents.tools.desk import Desk
from fulfillment_assets.knowledge.audience import Audience
from fulfillment_assets.knowledge.chunks import Chunk, chunks_of
from fulfillment_assets.knowledge.documents import StoredDocument, render_files
from fulfillment_assets.knowledge.lexical import LexicalEmbedder
from fulfillment_assets.knowledge.retrieval import Hit
from fulfillment_assets.knowledge.rulebook import Rulebook
from fulfillment_assets.knowledge.rules import Specialist
from fulfillment_assets.settings import Settings
from tests.agents.examples import AT_RISK, LATE, NOW, Office
from tests.agents.openai_server import ChatServer, careful, running

HAPPY: Final[Mapping[str, Any]] = AT_RISK | {"customer_rating": 4, "customer_care_calls": 2}
"""An order at risk for which no rule demands a person."""

LATE_AND_HAPPY: Final[Mapping[str, Any]] = LATE | {
    "customer_rating": 4,
    "customer_care_calls": 2,
}
"""The same four days late: it gets 40 USD back."""

UNHAPPY: Final[Mapping[str, Any]] = {"customer_care_calls": 6}
"""What makes a rule demand a person."""

DEAR: Final[Mapping[str, Any]] = {"cost_of_product": 249.0, "product_importance": "high"}
"""What makes the refund of a late order 74.70 USD: more than an agent gives alone."""


class LocalSearch:
    """The real chunks and vectors of the knowledge base, searched in memory.

    Attributes:
        asked: every query with who asked.
    """

    def __init__(self, chunks: Sequence[Chunk]) -> None:
        self.asked: list[tuple[str, Specialist]] = []
        self._chunks = chunks
        self._vectors = LexicalEmbedder().embed([chunk.embedded for chunk in chunks])

    def __call__(self, text: str, agent_type: Specialist) -> list[Hit]:
        self.asked.append((text, agent_type))
        scores = self._vectors @ LexicalEmbedder().embed([text])[0]
        meant = [
            position
            for position in np.argsort(-scores)
            if (found := self._chunks[position].audience.agent_type) is None or agent_type in found
        ]
        return [_hit(self._chunks[position], float(scores[position])) for position in meant[:5]]


def _hit(chunk: Chunk, score: float) -> Hit:
    return Hit(
        chunk_id=chunk.id,
        score=score,
        source=chunk.source,
        title=chunk.title,
        section=chunk.section,
        rule_ids=chunk.rule_ids,
        category=chunk.category,
        version=chunk.version,
        text=chunk.text,
    )


def knowledge_chunks(settings: Settings, *more: str) -> list[Chunk]:
    """The chunks of the shipped knowledge base, and of more documents, meant for all."""
    made: list[Chunk] = []
    for file in render_files(settings.knowledge_dir):
        made += chunks_of(_stored(file.source, file.title, file.content, file.audience))
    for number, text in enumerate(more):
        made += chunks_of(_stored(f"entered/{number}", "Newest policy", text, Audience()))
    return made


def _stored(source: str, title: str, content: str, audience: Audience) -> StoredDocument:
    return StoredDocument(
        id=uuid.uuid5(uuid.NAMESPACE_URL, source),
        source=source,
        title=title,
        category="policy",
        audience=audience,
        version="1",
        effective_from=None,
        content=content,
        origin="file",
        deviation_id=None,
        created_at=NOW,
        retired_at=None,
        indexed_in=None,
    )


@dataclass
class Bureau:
    """Everything that a case needs: a database with orders, a search, models and a graph."""

    office: Office
    settings: Settings
    search: LocalSearch
    models: Models
    graph: CaseGraph

    def desk_for(self, case: Case, agent_type: Specialist) -> Desk:
        return Desk(
            engine=self.office.engine,
            settings=self.settings,
            rulebook=self.office.book,
            case=case,
            agent_type=agent_type,
            search=self.search,
        )

    def open(
        self, start: Mapping[str, Any] = HAPPY, severity: str = "critical", **changes: Any
    ) -> uuid.UUID:
        """Make an order and its deviation; returns the deviation's id."""
        order_id = changes.pop("order_id", f"O-{uuid.uuid4().hex[:12]}")
        self.office.order(order_id, dict(start), **changes)
        return self.office.deviation(order_id, severity=severity)

    def work(
        self,
        deviation: uuid.UUID,
        *,
        note: str | None = None,
        now: dt.datetime = NOW,
        thread_id: str | None = None,
    ) -> Outcome:
        """Work a deviation."""
        case = self.office.case(deviation, note=note, now=now)
        thread_id = thread_id or str(uuid.uuid4())
        return resolve(self.graph, case, self.desk_for, thread_id=thread_id)

    def work_new(self, start: Mapping[str, Any] = HAPPY, **changes: Any) -> Outcome:
        """Make an order and its deviation, and work it."""
        return self.work(self.open(start, **changes))

    def effects(self) -> list[str]:
        """The tools that had an effect, the first one first."""
        return [action["tool"] for action in self.office.actions()]

    def with_models(self, models: Models, **graph: Any) -> Bureau:
        """The same place with other models."""
        return replace(self, models=models, graph=build_graph(models, **graph))

    def clear(self) -> None:
        """Take away all orders, with what was done about them."""
        for table in ("escalation_tickets", "customer_contacts", "order_interventions"):
            self.office.execute(f"DELETE FROM {table}")
        for table in ("tool_actions", "deviations", "orders"):
            self.office.execute(f"DELETE FROM {table}")

    def searching(self, search: LocalSearch) -> Bureau:
        """The same place with another search."""
        return replace(self, search=search)

    def with_book(self, book: Rulebook) -> Bureau:
        """The same place under other rules, with the policy model."""
        office = Office(self.office.engine, book)
        models = models_of(Settings(openai_api_key=None), book)
        return replace(self, office=office, models=models, graph=build_graph(models))

    def asking(self, server: ChatServer, **changes: Any) -> Bureau:
        """The same place, with the model behind a server."""
        settings = openai_settings(server, **changes)
        return self.with_models(models_of(settings, self.office.book))


def response(outcome: Outcome, agent_type: str) -> AgentResponse:
    """The response of one agent."""
    return next(one for one in outcome.responses if one.agent_type == agent_type)


def tools_of(outcome: Outcome, agent_type: str) -> list[tuple[str, str]]:
    """The tools that an agent called, with the status of each."""
    steps = response(outcome, agent_type).details["steps"]
    return [(step["tool"], step["result"]["status"]) for step in steps]


def openai_settings(server: ChatServer, **changes: Any) -> Settings:
    """Settings that lead the agents to a server, and wait for it no longer than a test may."""
    return Settings(
        openai_api_key=SecretStr("sk-test"),
        openai_base_url=server.url,
        knowledge_embedder="lexical",
        **({"agent_timeout_seconds": 1.0, "agent_max_retries": 1} | changes),
    )


@pytest.fixture(scope="session", name="shipped_chunks")
def shipped_chunks_fixture() -> list[Chunk]:
    """The chunks of the shipped knowledge base."""
    return knowledge_chunks(Settings())


@pytest.fixture(name="bureau")
def bureau_fixture(office: Office, shipped_chunks: list[Chunk]) -> Bureau:
    """A place where the policy model works."""
    settings = Settings(knowledge_embedder="lexical")
    models = models_of(settings, office.book)
    return Bureau(office, settings, LocalSearch(shipped_chunks), models, build_graph(models))


@pytest.fixture(name="server")
def server_fixture(rulebook: Rulebook) -> Iterator[ChatServer]:
    """A server whose model is careful until a test tells it otherwise."""
    with running(careful(rulebook)) as server:
        yield server
