"""What turns texts into vectors: chosen by a setting, and never mixed in one collection."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from fulfillment_assets.knowledge.errors import KnowledgeUnavailableError
from fulfillment_assets.knowledge.lexical import LexicalEmbedder, Vectors
from fulfillment_assets.settings import Settings

if TYPE_CHECKING:
    from openai import OpenAI

_DIMENSIONS: Final = {
    "text-embedding-3-small": 1536,
    "text-embedding-3-large": 3072,
    "text-embedding-ada-002": 1536,
}
_LEXICAL: Final = LexicalEmbedder()
_TEXTS_PER_REQUEST: Final = 128
_REQUEST_SECONDS: Final = 30.0


class Embedder(Protocol):
    """Turns texts into unit vectors.

    Attributes:
        name: as in the setting `knowledge_embedder`.
        fingerprint: changes whenever the same text would get another vector.
        dimension: length of a vector.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def fingerprint(self) -> str: ...  # noqa: D102
    @property
    def dimension(self) -> int: ...  # noqa: D102
    def embed(self, texts: Sequence[str]) -> Vectors:
        """Vectors (n, dimension) of n texts.

        Raises:
            KnowledgeUnavailableError: the embedder is out of reach.
        """
        ...


class MiniLmEmbedder:
    """The sentence model all-MiniLM-L6-v2 in ONNX, which Chroma downloads (80 MB) at first use."""

    name: Final = "minilm"
    fingerprint: Final = "minilm-all-MiniLM-L6-v2"
    dimension: Final = 384

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Vectors (n, 384) of n texts.

        Raises:
            KnowledgeUnavailableError: the model can neither be found nor downloaded.
        """
        from chromadb.utils.embedding_functions import ONNXMiniLM_L6_V2

        if not texts:
            return np.zeros((0, self.dimension), dtype=np.float32)
        try:
            return np.asarray(ONNXMiniLM_L6_V2()(list(texts)), dtype=np.float32)
        except Exception as error:  # whatever the download, the archive or ONNX raises
            raise KnowledgeUnavailableError(
                f"The embedder minilm cannot be used: {error}. It downloads a model at first use, "
                "which needs a network; FULFILLMENT_KNOWLEDGE_EMBEDDER=lexical needs none."
            ) from error


class OpenAIEmbedder:
    """An embedding model of OpenAI, or of a server that speaks its protocol.

    Args:
        model: the model's name.
        client: who asks it; the client of a dagster-openai resource logs the usage.
    """

    name: Final = "openai"

    def __init__(self, model: str, client: OpenAI) -> None:
        self._model = model
        self._client = client

    @property
    def fingerprint(self) -> str:
        """Names the model."""
        return f"openai-{self._model}"

    @functools.cached_property
    def dimension(self) -> int:
        """Length of a vector; an unknown model is asked for one."""
        return _DIMENSIONS.get(self._model) or self.embed(["dimension"]).shape[1]

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Vectors (n, dimension) of n texts; the client retries what may pass.

        Raises:
            KnowledgeUnavailableError: the server does not answer, refuses, or answers something
                else.
        """
        from openai import OpenAIError

        found: list[list[float]] = []
        try:
            for start in range(0, len(texts), _TEXTS_PER_REQUEST):
                part = [text or " " for text in texts[start : start + _TEXTS_PER_REQUEST]]
                answer = self._client.embeddings.create(
                    model=self._model, input=part, encoding_format="float"
                )
                found += [one.embedding for one in sorted(answer.data, key=lambda one: one.index)]
        except OpenAIError as error:
            raise KnowledgeUnavailableError(
                f"The embedding model {self._model} at {self._client.base_url} cannot be used: "
                f"{error}. Check OPENAI_API_KEY and OPENAI_BASE_URL, or set "
                "FULFILLMENT_KNOWLEDGE_EMBEDDER=lexical."
            ) from error
        if len(found) != len(texts) or len({len(vector) for vector in found}) > 1:
            raise KnowledgeUnavailableError(
                f"The embedding model {self._model} at {self._client.base_url} answered "
                f"{len(found)} vectors of {sorted({len(vector) for vector in found})} numbers to "
                f"{len(texts)} texts. Check OPENAI_BASE_URL."
            )
        if not found:
            return np.zeros((0, self.dimension), dtype=np.float32)
        return np.asarray(found, dtype=np.float32)


def embedder_of(settings: Settings, client: OpenAI | None = None) -> Embedder:
    """The embedder that the settings ask for.

    Args:
        settings: `knowledge_embedder`; unset, it is `openai` where there is a key, else `lexical`.
        client: for `openai`, in place of one made from the settings.

    Raises:
        KnowledgeUnavailableError: `openai` is asked for, and there is neither key nor client.
    """
    key = settings.openai_api_key.get_secret_value() if settings.openai_api_key else None
    name = settings.knowledge_embedder or ("openai" if key or client else "lexical")
    if name == "lexical":
        return _LEXICAL
    if name == "minilm":
        return MiniLmEmbedder()
    if client is None:
        if not key:
            raise KnowledgeUnavailableError(
                "FULFILLMENT_KNOWLEDGE_EMBEDDER=openai needs OPENAI_API_KEY. Set it, or set "
                "FULFILLMENT_KNOWLEDGE_EMBEDDER=lexical, which needs none."
            )
        client = _openai_client(key, settings.openai_base_url)
    return OpenAIEmbedder(settings.knowledge_embedding_model, client)


@functools.lru_cache(maxsize=4)
def _openai_client(key: str, base_url: str | None) -> OpenAI:
    from openai import OpenAI

    return OpenAI(api_key=key, base_url=base_url, timeout=_REQUEST_SECONDS)
