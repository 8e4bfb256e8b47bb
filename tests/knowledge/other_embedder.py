"""Another embedder, for tests of what may not be mixed, and of what fails."""

from __future__ import annotations

from collections.abc import Sequence

from fulfillment_assets.knowledge.lexical import LexicalEmbedder, Vectors


class OtherEmbedder:
    """Another embedder than the lexical one, with the same vectors."""

    name = "other"
    fingerprint = "other-1"
    dimension = LexicalEmbedder().dimension

    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure
        self.texts: list[str] = []

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Vectors, or the failure."""
        if self.failure is not None:
            raise self.failure
        self.texts += texts
        return LexicalEmbedder().embed(texts)
