"""Embedders with a model: OpenAI's protocol over real HTTP, and the one that is downloaded."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from openai import OpenAI
from pydantic import SecretStr

from fulfillment_assets.knowledge.embedders import OpenAIEmbedder, embedder_of
from fulfillment_assets.knowledge.errors import KnowledgeUnavailableError
from fulfillment_assets.knowledge.lexical import LexicalEmbedder
from fulfillment_assets.settings import Settings
from tests.knowledge.embedding_server import EmbeddingServer, embedding_server


@pytest.fixture
def server() -> Iterator[EmbeddingServer]:
    with embedding_server() as server:
        yield server


@pytest.fixture
def with_key(server: EmbeddingServer, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    return Settings()


def test_without_a_key_the_lexical_one_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert embedder_of(Settings()).name == "lexical"
    assert embedder_of(Settings(knowledge_embedder="minilm")).name == "minilm"


def test_with_a_key_openai_is_chosen_unless_another_is_asked_for(with_key: Settings) -> None:
    assert embedder_of(with_key).fingerprint == "openai-text-embedding-3-small"
    other = with_key.model_copy(update={"knowledge_embedder": "lexical"})
    assert embedder_of(other).name == "lexical"


def test_openai_without_a_key_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(KnowledgeUnavailableError, match="needs OPENAI_API_KEY"):
        embedder_of(Settings(knowledge_embedder="openai"))


class TestOpenAI:
    def test_vectors_come_in_the_order_of_the_texts(
        self, with_key: Settings, server: EmbeddingServer
    ) -> None:
        texts = [f"text number {n} of order {n}" for n in range(300)]
        vectors = embedder_of(with_key).embed(texts)
        assert vectors == pytest.approx(LexicalEmbedder().embed(texts))
        assert [len(one["input"]) for one in server.requests] == [128, 128, 44]
        assert {one["model"] for one in server.requests} == {"text-embedding-3-small"}
        assert set(server.keys) == {"Bearer sk-test"}

    def test_an_unknown_model_is_asked_for_its_dimension(
        self, with_key: Settings, server: EmbeddingServer
    ) -> None:
        settings = with_key.model_copy(update={"knowledge_embedding_model": "own-model"})
        embedder = embedder_of(settings)
        assert embedder.fingerprint == "openai-own-model"
        assert embedder.dimension == LexicalEmbedder().dimension

    def test_an_empty_text_is_sent_as_a_blank_which_the_protocol_allows(
        self, with_key: Settings, server: EmbeddingServer
    ) -> None:
        assert embedder_of(with_key).embed(["", "a"]).shape[0] == 2
        assert server.requests[0]["input"] == [" ", "a"]

    def test_what_passes_is_tried_again(self, with_key: Settings, server: EmbeddingServer) -> None:
        server.failures = [429, 500]
        assert embedder_of(with_key).embed(["a"]).shape[0] == 1
        assert len(server.requests) == 3

    def test_what_does_not_pass_is_told(self, with_key: Settings, server: EmbeddingServer) -> None:
        server.failures = [401]
        expected = r"text-embedding-3-small at http://127.* cannot be used: .*401.*OPENAI_API_KEY"
        with pytest.raises(KnowledgeUnavailableError, match=expected):
            embedder_of(with_key).embed(["a"])

    def test_a_short_answer_is_told(self, with_key: Settings, server: EmbeddingServer) -> None:
        server.dropped = 1
        with pytest.raises(KnowledgeUnavailableError, match=r"answered 2 vectors .* to 3 texts"):
            embedder_of(with_key).embed(["a", "b", "c"])

    def test_a_client_of_the_caller_is_used(self, server: EmbeddingServer) -> None:
        client = OpenAI(api_key="sk-other", base_url=server.url)
        settings = Settings(openai_api_key=SecretStr("sk-test"))
        embedder = embedder_of(settings, client)
        assert isinstance(embedder, OpenAIEmbedder)
        embedder.embed(["a"])
        assert server.keys == ["Bearer sk-other"]


class TestMiniLm:
    def test_without_a_network_it_says_what_to_do(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from chromadb.utils.embedding_functions import ONNXMiniLM_L6_V2

        with socket.create_server(("127.0.0.1", 0)) as listener:
            address = f"http://127.0.0.1:{listener.getsockname()[1]}/model"
        monkeypatch.setattr(ONNXMiniLM_L6_V2, "DOWNLOAD_PATH", tmp_path)
        monkeypatch.setattr(ONNXMiniLM_L6_V2, "MODEL_DOWNLOAD_URL", address)
        embedder = embedder_of(Settings(knowledge_embedder="minilm"))
        with pytest.raises(KnowledgeUnavailableError, match="KNOWLEDGE_EMBEDDER=lexical needs no"):
            embedder.embed(["a"])

    def test_no_texts_need_no_model(self) -> None:
        embedder = embedder_of(Settings(knowledge_embedder="minilm"))
        assert embedder.embed([]).shape == (0, embedder.dimension) == np.zeros((0, 384)).shape
