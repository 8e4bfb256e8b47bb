"""Watches segments for writers that commit so often that each cannot do it itself."""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection
from typing import Final

from sqlalchemy.engine import Engine
from sqlalchemy.exc import SQLAlchemyError

from fulfillment_assets.deviations import rules
from fulfillment_assets.deviations.severity import load_thresholds
from fulfillment_assets.scoring import staging

WATCH_SECONDS: Final = 1.0
"""So long after a commit at most the segments are judged anew."""

_log = logging.getLogger(__name__)


class SegmentWatch:
    """Opens, updates and resolves the deviations of segments, once for all commits of a second.

    The segments are judged from the rollups, so nothing is lost if this process ends before: the
    next write judges them.

    Args:
        engine: of the platform's database.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._changed: set[str] = set()
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="segment-watch", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def note(self, order_ids: Collection[str]) -> None:
        """Tell of orders whose change was committed."""
        with self._lock:
            self._changed.update(order_ids)
        self._news.set()

    def close(self) -> None:
        """Judge what was noted, and end."""
        self._closing.set()
        self._news.set()
        self._thread.join()

    def _run(self) -> None:
        ended = False
        while not ended:
            self._news.wait()
            ended = self._closing.wait(WATCH_SECONDS)
            self._news.clear()
            with self._lock:
                changed, self._changed = self._changed, set()
            if changed:
                self._judge(changed)

    def _judge(self, changed: Collection[str]) -> None:
        try:
            with self._engine.begin() as connection:
                staging.open_staging(connection)
                staging.note_changed(connection, changed)
                rules.watch_changed_segments(connection, load_thresholds(connection))
        except SQLAlchemyError as error:
            _log.warning(
                "segments could not be judged, and will be after the next order: %s", error
            )
            with self._lock:
                self._changed.update(changed)
