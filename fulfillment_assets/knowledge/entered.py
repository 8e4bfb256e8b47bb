"""Documents that are entered by hand, beside the files of the knowledge base."""

from __future__ import annotations

import re
import uuid
from pathlib import Path, PurePath
from typing import Final

import yaml
from pydantic import ConfigDict, ValidationError
from sqlalchemy.engine import Connection

from fulfillment_assets.knowledge.audience import Audience
from fulfillment_assets.knowledge.documents import (
    RESOLUTION_SOURCE,
    NewDocument,
    keepable,
    live_document,
    retire_source,
    store_document,
)
from fulfillment_assets.knowledge.errors import FileDocumentError, KnowledgeError
from fulfillment_assets.knowledge.files import Category, Line, described, front_matter

MAX_CHARACTERS: Final = 200_000

_HEADING: Final = re.compile(r"^#\s+(.+)$", re.MULTILINE)


class _Head(Audience):
    """What may stand at the head of such a file."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)

    title: Line | None = None
    category: Category = "note"
    version: Line = "1"


def read_document(path: Path) -> NewDocument:
    """A file as a document, known by the file's name.

    Raises:
        KnowledgeError: the file cannot be used; the message names it and the field.
    """
    return document_of(path.name, path.read_bytes())


def document_of(source: str, content: bytes) -> NewDocument:
    """Markdown as a document.

    A front matter may tell `title`, `category`, `version`, `agent_type`, `severity`, `warehouse`
    and `mode`. Rules count in the knowledge base only, where they are checked together.

    Args:
        source: by what it is known.
        content: in UTF-8.

    Raises:
        KnowledgeError: it cannot be used; the message names the source and the field.
    """
    try:
        head, body = front_matter(content.decode())
        found = _Head.model_validate(head or {})
    except UnicodeDecodeError as error:
        raise KnowledgeError(f"{source}: is not UTF-8 text: {error}") from None
    except yaml.YAMLError as error:
        raise KnowledgeError(f"{source}: the front matter is no YAML: {error}") from None
    except ValidationError as error:
        raise KnowledgeError(described(source, "", error)) from None
    heading = _HEADING.search(body)
    return NewDocument(
        source=source,
        title=found.title or (heading[1].strip() if heading else PurePath(source).stem),
        category=found.category,
        content=body,
        audience=Audience.model_construct(
            **{name: getattr(found, name) for name in Audience.model_fields}
        ),
        version=found.version,
    )


def ingest_document(connection: Connection, document: NewDocument) -> uuid.UUID:
    """Add a document, or replace the one of the same source; returns its id.

    The same document again changes nothing.

    Raises:
        KnowledgeError: it is empty or too long, or its source is kept for resolutions.
        FileDocumentError: its source belongs to a file of the knowledge base.
    """
    if not document.source.strip() or document.source.startswith(RESOLUTION_SOURCE):
        raise KnowledgeError(
            f"source {document.source!r} cannot be used: it must not be empty, nor begin with "
            f"{RESOLUTION_SOURCE!r}, which is for learned resolutions"
        )
    if not document.content.strip() or len(document.content) > MAX_CHARACTERS:
        raise KnowledgeError(
            f"content of {document.source!r} has {len(document.content.strip()):,} characters; "
            f"it must have between 1 and {MAX_CHARACTERS:,}"
        )
    for name in ("source", "title", "content"):
        if getattr(document, name) != keepable(getattr(document, name)):
            raise KnowledgeError(
                f"{name} of {document.source!r} holds NUL or halves of characters, which no text "
                "may hold"
            )
    known = live_document(connection, document.source)
    if known is not None and known.origin == "file":
        raise FileDocumentError(
            f"{document.source} comes from a file of the knowledge base; change the file, and "
            "run `fulfillment knowledge ingest`"
        )
    return store_document(connection, document, "entered")


def retire(connection: Connection, source: str) -> None:
    """Withdraw a document that was entered or learned; the next `index.refresh` drops it.

    Raises:
        KnowledgeError: there is none of this source.
        FileDocumentError: it comes from a file of the knowledge base.
    """
    known = live_document(connection, source)
    if known is None:
        raise KnowledgeError(f"there is no document {source!r}; see `fulfillment knowledge list`")
    if known.origin == "file":
        raise FileDocumentError(
            f"{source} comes from a file of the knowledge base; remove the file, and run "
            "`fulfillment knowledge ingest`"
        )
    retire_source(connection, source)
