"""Requests that wait at the same moment are scored and committed together.

A commit costs the same for one order as for eight, so under load they share it; a lone request
waits for nobody. One thread commits: two would wait for each other's rollups, and for the
interpreter.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import select
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Final

from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from fulfillment_assets.delay_model.errors import DelayModelError
from fulfillment_assets.delay_model.scorer import DelayScorer
from fulfillment_assets.deviations.severity import Thresholds, load_thresholds
from fulfillment_assets.observability.correlation import current_correlation_id
from fulfillment_assets.orders.model import EnrichedOrder
from fulfillment_assets.scoring import staging
from fulfillment_assets.scoring.direct import Prediction, make_ready, write_orders
from fulfillment_assets.scoring.events import tell_scored
from fulfillment_assets.scoring.segment_watch import SegmentWatch
from fulfillment_assets.scoring.single_rows import NewOrder
from fulfillment_assets.store.connection import DatabaseUnavailableError

MOST_ORDERS: Final = 1_000
"""Orders that are committed together, unless one request alone has more."""

IDLE_SECONDS: Final = 1.0
"""After so long without a request a connection is looked at before it is used again."""

REMEMBERED_SECONDS: Final = 0.25
"""So long a promotion, or a changed threshold, may go unnoticed."""

_STAGING: Final = "staging"

_SHARED_ERRORS: Final = (
    OperationalError,
    InterfaceError,
    PoolTimeoutError,
    DatabaseUnavailableError,
    DelayModelError,
)
"""What is no single request's fault, and would meet each of them again."""


@dataclass(frozen=True, slots=True)
class _Terms:
    """What orders are scored by, on one day, until it is read again."""

    scorer: DelayScorer
    thresholds: Thresholds
    day: dt.date
    until: float


@dataclass(frozen=True, slots=True)
class _Request:
    orders: Sequence[NewOrder]
    answer: Future[list[Prediction]] = field(default_factory=Future)


class _Line:
    """A committer's connection: kept while groups follow one another, looked at anew after.

    It is in autocommit mode: a group is one message, which is a transaction of its own.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None

    def connection(self) -> Connection:
        """The connection, with its staging tables."""
        if self._connection is not None and _has_news(self._connection):
            self.give_back()
        if self._connection is None:
            connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            self._connection = connection
            if _STAGING not in connection.info:
                staging.open_staging(connection)
                connection.info[_STAGING] = True
        return self._connection

    def give_back(self) -> None:
        """Let go of the connection; one that broke is replaced."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _has_news(connection: Connection) -> bool:
    """Whether the server has said something unasked: that it closes the connection, most likely."""
    driver = connection.connection.driver_connection
    poll = select.poll()
    poll.register(driver.fileno(), select.POLLIN)  # type: ignore[union-attr]
    return bool(poll.poll(0))


class GroupCommit:
    """Scores and commits for many threads; its own threads start with the first request.

    Args:
        engine: of the platform's database; for this alone, and disposed of at the end.
        scorer: gives the model to score with.
    """

    def __init__(self, engine: Engine, scorer: Callable[[], DelayScorer]) -> None:
        self._engine = engine
        self._scorer = scorer
        self._requests: SimpleQueue[_Request | None] = SimpleQueue()
        self._terms: _Terms | None = None
        self._segments = SegmentWatch(engine)
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def submit(self, orders: Sequence[EnrichedOrder]) -> Future[list[Prediction]]:
        """Score orders and commit what follows, all or nothing; predictions in their order.

        The answer comes after the commit. Every call makes new predictions; an order counts once
        all the same, by its id. A call that is cancelled before its turn does nothing.
        """
        if self._thread is None:
            self._start()
        correlation_id = current_correlation_id()
        request = _Request([NewOrder(order, correlation_id) for order in orders])
        self._requests.put(request)
        return request.answer

    def close(self) -> None:
        """Finish what was submitted, and end the threads; nothing may be submitted after."""
        with self._starting:
            if self._thread is not None:
                self._requests.put(None)
                self._thread.join()
                self._segments.close()
            self._engine.dispose()

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._segments.start()
                thread = threading.Thread(target=self._commit_all, name="commit", daemon=True)
                thread.start()
                self._thread = thread

    def _commit_all(self) -> None:
        line, ended = _Line(self._engine), False
        while not ended:
            group, ended = self._group(self._next(line))
            if group:
                self._commit(line, group)
        line.give_back()

    def _next(self, line: _Line) -> _Request | None:
        with contextlib.suppress(Empty):
            return self._requests.get(timeout=IDLE_SECONDS)
        line.give_back()
        return self._requests.get()

    def _group(self, first: _Request | None) -> tuple[list[_Request], bool]:
        """The requests that wait now, and whether the end was among them."""
        group: list[_Request] = []
        following = first
        count = 0
        while following is not None:
            if following.answer.set_running_or_notify_cancel():
                group.append(following)
                count += len(following.orders)
            if count >= MOST_ORDERS:
                return group, False
            try:
                following = self._requests.get_nowait()
            except Empty:
                return group, False
        return group, True

    def _commit(self, line: _Line, group: Sequence[_Request]) -> None:
        try:
            found = self._write(line, [order for request in group for order in request.orders])
        except Exception as error:
            line.give_back()
            if len(group) == 1 or isinstance(error, _SHARED_ERRORS):
                for request in group:
                    request.answer.set_exception(error)
                return
            for request in group:
                self._commit(line, [request])
            return
        start = 0
        for request in group:
            end = start + len(request.orders)
            request.answer.set_result(found[start:end])
            start = end

    def _write(self, line: _Line, orders: Sequence[NewOrder]) -> list[Prediction]:
        started = time.monotonic()
        received_at = dt.datetime.now(dt.UTC)
        terms = self._current_terms(received_at.date())
        found = write_orders(line.connection(), terms.scorer, orders, terms.thresholds, received_at)
        self._segments.note([new.order.order_id for new in orders])
        tell_scored(
            "api",
            Counter(one.severity for one in found),
            model_version=terms.scorer.version,
            seconds=time.monotonic() - started,
        )
        return found

    def _current_terms(self, day: dt.date) -> _Terms:
        terms = self._terms
        if terms is None or terms.day != day or time.monotonic() > terms.until:
            if terms is None or terms.day != day:
                make_ready(self._engine, day)
            with self._engine.connect() as connection:
                thresholds = load_thresholds(connection)
            until = time.monotonic() + REMEMBERED_SECONDS
            self._terms = terms = _Terms(self._scorer(), thresholds, day, until)
        return terms
