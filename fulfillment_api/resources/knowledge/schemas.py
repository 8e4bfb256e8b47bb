"""What the knowledge base's endpoints take and give."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from fulfillment_api.fields import Question, Text
from fulfillment_assets.knowledge.audience import Audience
from fulfillment_assets.knowledge.documents import NewDocument, StoredDocument
from fulfillment_assets.knowledge.entered import MAX_CHARACTERS
from fulfillment_assets.knowledge.files import Category
from fulfillment_assets.knowledge.rules import Block, Mode, Severity, Specialist

ENTERED_EXAMPLE: Final[dict[str, Any]] = {
    "source": "carrier-strike.md",
    "title": "Strike of a carrier",
    "content": "# Strike of a carrier\n\nWhile it lasts, move orders to another carrier.",
    "category": "note",
    "agent_type": ["shipment"],
}


class Document(BaseModel):
    """A document, without its text."""

    id: uuid.UUID
    source: str
    title: str
    category: Category
    agent_type: list[Specialist] | None = Field(description="Who works by it; null: everybody.")
    severity: Severity | None
    warehouse: Block | None
    mode: Mode | None
    version: str
    effective_from: dt.date | None
    origin: Literal["file", "entered", "resolution"]
    deviation_id: uuid.UUID | None = Field(description="What a resolution was learned from.")
    created_at: dt.datetime
    retired_at: dt.datetime | None
    indexed: bool = Field(description="Whether searches find it, or once did.")

    @classmethod
    def of(cls, found: StoredDocument) -> Self:
        """A document of the database."""
        audience = found.audience
        return cls(
            id=found.id,
            source=found.source,
            title=found.title,
            category=found.category,
            agent_type=None if audience.agent_type is None else list(audience.agent_type),
            severity=audience.severity,
            warehouse=audience.warehouse,
            mode=audience.mode,
            version=found.version,
            effective_from=found.effective_from,
            origin=found.origin,
            deviation_id=found.deviation_id,
            created_at=found.created_at,
            retired_at=found.retired_at,
            indexed=found.indexed_in is not None,
        )


class FullDocument(Document):
    """A document with its text."""

    content: str = Field(description="Markdown.")

    @classmethod
    def of(cls, found: StoredDocument) -> Self:
        """A document of the database."""
        return cls(**Document.of(found).model_dump(), content=found.content)


class EnteredDocument(Audience):
    """A document to be entered; one of the same source is replaced."""

    model_config = ConfigDict(json_schema_extra={"examples": [ENTERED_EXAMPLE]})

    source: Text = Field(description="By what it is known, such as a file's name.")
    title: Text
    content: Annotated[str, StringConstraints(min_length=1, max_length=MAX_CHARACTERS)] = Field(
        description="Markdown."
    )
    category: Category = "note"
    version: Text = "1"

    def document(self) -> NewDocument:
        """As the knowledge base takes it."""
        return NewDocument(
            source=self.source,
            title=self.title,
            category=self.category,
            content=self.content,
            audience=Audience.model_construct(
                **{name: getattr(self, name) for name in Audience.model_fields}
            ),
            version=self.version,
        )


class Search(BaseModel):
    """What is looked for."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"query": "refund for a late paid order", "agent_type": "payment", "k": 5}]
        }
    )

    query: Question = Field(description="A question or a description.")
    agent_type: Specialist | None = Field(
        default=None, description="Only what is meant for this specialist, or for all."
    )
    severity: Severity | None = None
    warehouse: Block | None = None
    mode: Mode | None = None
    k: int = Field(default=5, ge=1, le=50, description="Number of hits at most.")


class SearchHit(BaseModel):
    """A section of a document that was found."""

    model_config = ConfigDict(from_attributes=True)

    chunk_id: str
    score: float = Field(description="Cosine similarity with the query, 1 at best.")
    source: str
    title: str
    section: str
    rule_ids: list[str]
    category: Category
    version: str
    text: str


class Hits(BaseModel):
    """What was found, the nearest first."""

    hits: list[SearchHit]


DOCUMENT_EXAMPLE: Final = {
    "id": "0195d0a0-7a3c-7cc4-8a1e-3f6f8f3f9b50",
    "source": "policies/refund.md",
    "title": "Refund policy",
    "category": "policy",
    "agent_type": ["payment"],
    "severity": None,
    "warehouse": None,
    "mode": None,
    "version": "3.1",
    "effective_from": "2026-01-01",
    "origin": "file",
    "deviation_id": None,
    "created_at": "2026-03-01T09:30:00Z",
    "retired_at": None,
    "indexed": True,
}
FULL_EXAMPLE: Final = DOCUMENT_EXAMPLE | {
    "source": ENTERED_EXAMPLE["source"],
    "title": ENTERED_EXAMPLE["title"],
    "category": "note",
    "agent_type": ["shipment"],
    "version": "1",
    "effective_from": None,
    "origin": "entered",
    "content": ENTERED_EXAMPLE["content"],
}
HITS_EXAMPLE: Final = {
    "hits": [
        {
            "chunk_id": "0195d0a0-7a3c-7cc4-8a1e-3f6f8f3f9b50:3",
            "score": 0.61,
            "source": "policies/refund.md",
            "title": "Refund policy",
            "section": "Refund policy > Amounts",
            "rule_ids": ["R-3.2"],
            "category": "policy",
            "version": "3.1",
            "text": "R-3.2 ...",
        }
    ]
}
