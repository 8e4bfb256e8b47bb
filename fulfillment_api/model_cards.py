"""What is known of models, by version: it tells what is usual, and so words reasons."""

from __future__ import annotations

import threading

from sqlalchemy.engine import Connection

from fulfillment_assets.delay_model.artifacts import read_metadata
from fulfillment_assets.delay_model.errors import DelayModelError
from fulfillment_assets.delay_model.metadata import ModelMetadata
from fulfillment_assets.delay_model.registry.versions import read_version


class ModelCards:
    """The metadata of versions, read once each; a version never changes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, ModelMetadata | None] = {}

    def of(self, connection: Connection, version: str) -> ModelMetadata | None:
        """A version's metadata; None where its files are not kept."""
        with self._lock:
            if version in self._known:
                return self._known[version]
        try:
            found = read_metadata(read_version(connection, version))
        except DelayModelError:
            found = None
        with self._lock:
            self._known[version] = found
        return found
