"""The database of a command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.engine import Engine

from fulfillment_assets.local import platform
from fulfillment_assets.settings import Settings
from fulfillment_assets.store.connection import create_engine


@contextmanager
def opened(settings: Settings) -> Iterator[Engine]:
    """An engine for the length of a `with` block, on a database that is up and migrated."""
    with platform.database(settings) as url:
        engine = create_engine(url)
        try:
            yield engine
        finally:
            engine.dispose()
