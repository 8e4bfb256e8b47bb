"""What can go wrong with the knowledge base, said so that the reader knows what to do."""

from __future__ import annotations


class KnowledgeError(ValueError):
    """A document or a rule file cannot be used as it is; the message names it and the field."""


class FileDocumentError(KnowledgeError):
    """The document comes from a file of the knowledge base, and changes with that file only."""


class KnowledgeUnavailableError(RuntimeError):
    """The index cannot be asked: the vector store or the embedder is out of reach."""
