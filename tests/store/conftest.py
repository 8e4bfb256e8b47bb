from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy.engine import Engine

from fulfillment_assets.store.connection import create_engine


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """Engine of a fresh, migrated database."""
    engine = create_engine(database_url, pool_size=10)
    yield engine
    engine.dispose()
