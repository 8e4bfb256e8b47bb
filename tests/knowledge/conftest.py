"""Fixtures for the knowledge base."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fulfillment_assets.settings import PROJECT_ROOT
from tests.knowledge.fixtures import chroma, indexed, private_chroma, settings

__all__ = ["chroma", "indexed", "private_chroma", "settings"]


@pytest.fixture
def knowledge_dir(tmp_path: Path) -> Path:
    """A copy of the shipped knowledge base, to change."""
    return shutil.copytree(PROJECT_ROOT / "knowledge_base", tmp_path / "knowledge")
