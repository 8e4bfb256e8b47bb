"""Fixtures of the tests of log lines: a place where orders come in and agents work."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy.engine import Engine

from fulfillment_assets.settings import Settings
from tests.defs.conftest import instance, variables
from tests.knowledge.fixtures import chroma, indexed, settings
from tests.observability.captured import lines_fixture
from tests.scoring.fixtures import dagster_storage, scorer, workplace
from tests.scoring.streams import Stream, stream
from tests.scoring.workplace import Workplace

__all__ = [
    "chroma",
    "dagster_storage",
    "indexed",
    "instance",
    "lines_fixture",
    "scorer",
    "settings",
    "stream",
    "variables",
    "workplace",
]


@pytest.fixture
def place(workplace: Workplace, indexed: Engine, settings: Settings) -> Workplace:
    """A database with an index of the knowledge base, and folders to drop files into."""
    names = ("chroma_url", "knowledge_embedder")
    changes = {name: getattr(settings, name) for name in names}
    return replace(workplace, settings=workplace.settings.model_copy(update=changes))


@pytest.fixture
def flow(stream: Stream, place: Workplace) -> Stream:
    """The same with a topic."""
    names = ("kafka_bootstrap_servers", "events_topic", "deviations_topic", "dlq_topic")
    changes = {name: getattr(stream.settings, name) for name in names}
    return Stream(replace(place, settings=place.settings.model_copy(update=changes)))
