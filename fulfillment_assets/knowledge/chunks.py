"""Documents cut into the pieces that are searched: sections of Markdown, never across a heading."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from pydantic import ValidationError

from fulfillment_assets.knowledge.audience import Audience
from fulfillment_assets.knowledge.documents import StoredDocument
from fulfillment_assets.knowledge.errors import KnowledgeError
from fulfillment_assets.knowledge.files import Category, described

MAX_CHARACTERS: Final = 1_200
SPLITTER: Final = f"markdown-{MAX_CHARACTERS}-1"
"""Names how documents are cut; an index made in another way is made anew."""

_HEADINGS: Final = [("#" * level, str(level)) for level in range(1, 5)]
_SEPARATORS: Final = ["\n\n", "\n- ", "\n", ". ", " ", ""]
_RULE_ID: Final = re.compile(r"\*\*([A-Z]{2,3}-\d+\.\d+)\*\*")
_LINE_END: Final = re.compile(r" +\n")
_ANNOTATION: Final = re.compile(r"<!--\s*(\w+\s*:.*?)-->\n?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a document.

    Attributes:
        id: the document's id, and the number of the piece in it.
        section: the headings above it, the outermost first, joined by ` > `.
        rule_ids: the numbered rules that stand in it.
        audience: the document's, with what the section's own annotation says otherwise.
    """

    id: str
    document_id: str
    source: str
    title: str
    section: str
    rule_ids: tuple[str, ...]
    category: Category
    version: str
    audience: Audience
    text: str

    @property
    def embedded(self) -> str:
        """What is turned into a vector: the text with the headings that it stands under."""
        return f"{self.title}\n{self.section}\n{self.text}"


def chunks_of(document: StoredDocument) -> list[Chunk]:
    """The pieces of a document, in its order.

    A section's `<!-- agent_type: all; mode: Flight -->` changes for whom and what it is meant.

    Raises:
        KnowledgeError: such an annotation is wrong.
    """
    from langchain_text_splitters import MarkdownHeaderTextSplitter, RecursiveCharacterTextSplitter

    by_heading = MarkdownHeaderTextSplitter(_HEADINGS, strip_headers=True)
    by_length = RecursiveCharacterTextSplitter(
        chunk_size=MAX_CHARACTERS, chunk_overlap=0, separators=_SEPARATORS, keep_separator="start"
    )
    chunks: list[Chunk] = []
    for part in by_heading.split_text(document.content):
        # The first level is the title.
        below = [part.metadata[level] for _, level in _HEADINGS[1:] if level in part.metadata]
        section = " > ".join(below) or document.title
        audience, text = _annotated(document, section, part.page_content)
        for piece in by_length.split_text(text):
            chunks.append(
                Chunk(
                    id=f"{document.id}:{len(chunks)}",
                    document_id=str(document.id),
                    source=document.source,
                    title=document.title,
                    section=section,
                    rule_ids=tuple(_RULE_ID.findall(piece)),
                    category=document.category,
                    version=document.version,
                    audience=audience,
                    text=_LINE_END.sub("\n", piece).strip(),
                )
            )
    return chunks


def _annotated(document: StoredDocument, section: str, text: str) -> tuple[Audience, str]:
    found = _ANNOTATION.search(text)
    if found is None:
        return document.audience, text
    import yaml

    try:
        given = yaml.safe_load(found[1].replace(";", "\n").replace("\n ", "\n"))
        own = Audience.model_validate(given)
    except yaml.YAMLError as error:
        raise KnowledgeError(f"{document.source}: {section}: {found[0].strip()}: {error}") from None
    except ValidationError as error:
        raise KnowledgeError(described(document.source, section, error)) from None
    changed = document.audience.model_copy(update={name: getattr(own, name) for name in given})
    return changed, _ANNOTATION.sub("", text)
