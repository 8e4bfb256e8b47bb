"""Fixtures for every test that searches: a real Chroma, and settings that point at it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.engine import Engine

from fulfillment_assets.knowledge.documents import ingest_files
from fulfillment_assets.knowledge.index import refresh
from fulfillment_assets.local.chroma import EmbeddedChroma
from fulfillment_assets.local.ports import any_port
from fulfillment_assets.settings import Settings


@pytest.fixture(scope="session")
def chroma(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of the session's Chroma server; each test has collections of its own."""
    with EmbeddedChroma(tmp_path_factory.mktemp("chroma"), any_port()).running() as server:
        yield server.url


@pytest.fixture
def private_chroma(tmp_path: Path) -> Iterator[EmbeddedChroma]:
    """A running server of one test alone, for tests in which it fails."""
    with EmbeddedChroma(tmp_path / "private", any_port()).running() as server:
        yield server


@pytest.fixture
def settings(chroma: str, tmp_path: Path) -> Settings:
    """Settings with the session's Chroma, the shipped knowledge base and the lexical embedder."""
    return Settings(data_dir=tmp_path / "data", chroma_url=chroma, knowledge_embedder="lexical")


@pytest.fixture
def indexed(engine: Engine, settings: Settings) -> Engine:
    """A database with the shipped knowledge base, and an index of it."""
    with engine.begin() as connection:
        ingest_files(connection, settings.knowledge_dir)
    refresh(settings, engine)
    return engine
