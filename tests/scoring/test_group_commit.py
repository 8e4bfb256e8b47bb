"""Orders of many callers, committed together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlalchemy.exc import OperationalError

from fulfillment_assets.delay_model.scorer import DelayScorer
from fulfillment_assets.kpis import rollups
from fulfillment_assets.observability.correlation import bound
from fulfillment_assets.orders.model import EnrichedOrder
from fulfillment_assets.scoring.direct import Prediction
from fulfillment_assets.scoring.group_commit import GroupCommit
from fulfillment_assets.store.connection import create_engine
from fulfillment_assets.store.settings_table import write_setting
from tests.scoring.test_direct import SURELY_LATE
from tests.scoring.workplace import Workplace

SECONDS = 60

Answer = Future[list[Prediction]]


class Held:
    """Gives a scorer once it is let go: until then, what is submitted has to wait together."""

    def __init__(self, scorer: DelayScorer) -> None:
        self._scorer = scorer
        self.asked = threading.Event()
        self.go = threading.Event()

    def __call__(self) -> DelayScorer:
        self.asked.set()
        assert self.go.wait(SECONDS)
        return self._scorer


@pytest.fixture
def own_engine(workplace: Workplace) -> Engine:
    return create_engine(workplace.engine.url)


@pytest.fixture
def commits(workplace: Workplace, own_engine: Engine) -> Iterator[GroupCommit]:
    commits = GroupCommit(own_engine, lambda: workplace.scorer)
    yield commits
    commits.close()


def order(order_id: str, **changes: Any) -> EnrichedOrder:
    return EnrichedOrder.model_validate(SURELY_LATE | {"order_id": order_id} | changes)


def rows(workplace: Workplace, query: str) -> list[Any]:
    with workplace.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(sa.text(query))]


def eventually(found: Callable[[], object]) -> None:
    done = threading.Event()
    for _ in range(SECONDS * 20):
        if found():
            return
        done.wait(0.05)
    raise AssertionError(f"not within {SECONDS} s")


def test_every_caller_gets_the_predictions_of_its_own_orders(
    workplace: Workplace, commits: GroupCommit
) -> None:
    answers = {
        caller: commits.submit([order(f"{caller}-{n}") for n in range(caller % 3 + 1)])
        for caller in range(40)
    }
    for caller, answer in answers.items():
        found = [prediction.order_id for prediction in answer.result(SECONDS)]
        assert found == [f"{caller}-{n}" for n in range(caller % 3 + 1)]
    stored = rows(workplace, "SELECT id, order_id FROM predictions")
    told = [(one.id, one.order_id) for answer in answers.values() for one in answer.result()]
    assert sorted(stored) == sorted(told)
    with workplace.engine.connect() as connection:
        assert rollups.differences(connection) == 0


def test_those_that_wait_together_are_committed_together(
    workplace: Workplace, own_engine: Engine
) -> None:
    held = Held(workplace.scorer)
    commits = GroupCommit(own_engine, held)
    first = [commits.submit([order(f"first-{n}")]) for n in range(2)]
    assert held.asked.wait(SECONDS)
    later = [commits.submit([order(f"later-{n}")]) for n in range(20)]
    held.go.set()
    for answer in (*first, *later):
        answer.result(SECONDS)
    commits.close()
    moments = rows(
        workplace, "SELECT DISTINCT created_at FROM predictions WHERE order_id LIKE 'later-%'"
    )
    assert len(moments) <= 3


def test_what_is_answered_is_committed(workplace: Workplace, commits: GroupCommit) -> None:
    for number in range(5):
        [prediction] = commits.submit([order(f"O-{number}")]).result(SECONDS)
        [found] = rows(workplace, f"SELECT id FROM predictions WHERE order_id = 'O-{number}'")
        assert found == (prediction.id,)


def test_one_that_cannot_be_stored_fails_alone(workplace: Workplace, own_engine: Engine) -> None:
    with workplace.engine.begin() as connection:
        connection.execute(
            sa.text("ALTER TABLE orders ADD CONSTRAINT no_poison CHECK (order_id <> 'poison')")
        )
    held = Held(workplace.scorer)
    commits = GroupCommit(own_engine, held)
    names = ["a", "poison", "b", "c"]
    answers = {name: commits.submit([order(name)]) for name in names}
    held.go.set()
    with pytest.raises(sa.exc.IntegrityError):
        answers["poison"].result(SECONDS)
    assert [answers[name].result(SECONDS)[0].order_id for name in "abc"] == ["a", "b", "c"]
    commits.close()
    assert rows(workplace, "SELECT order_id FROM orders ORDER BY 1") == [("a",), ("b",), ("c",)]


def test_a_call_that_is_cancelled_before_its_turn_does_nothing(
    workplace: Workplace, own_engine: Engine
) -> None:
    held = Held(workplace.scorer)
    commits = GroupCommit(own_engine, held)
    running = [commits.submit([order(f"running-{n}")]) for n in range(2)]
    assert held.asked.wait(SECONDS)
    waiting = [commits.submit([order(f"waiting-{n}")]) for n in range(20)]
    cancelled = [answer.cancel() for answer in waiting]
    held.go.set()
    for answer in running:
        answer.result(SECONDS)
    commits.close()
    stored = rows(workplace, "SELECT order_id FROM orders")
    assert any(cancelled)
    assert len(stored) == len(running) + cancelled.count(False)


def test_each_prediction_has_the_correlation_id_of_its_own_request(
    workplace: Workplace, commits: GroupCommit
) -> None:
    answers: list[Answer] = []
    for number in range(6):
        with bound(correlation_id=f"request-{number}"):
            answers.append(commits.submit([order(f"O-{number}")]))
    for answer in answers:
        answer.result(SECONDS)
    found = rows(
        workplace,
        "SELECT d.order_id, p.correlation_id, d.context ->> 'correlation_id' FROM deviations d "
        "JOIN predictions p ON p.id = d.prediction_id WHERE kind = 'delay_risk' ORDER BY 1",
    )
    assert found == [(f"O-{n}", f"request-{n}", f"request-{n}") for n in range(6)]


def test_a_changed_threshold_counts_within_a_moment(
    workplace: Workplace, commits: GroupCommit
) -> None:
    [before] = commits.submit([order("O-1")]).result(SECONDS)
    assert before.severity == "critical"
    with workplace.engine.begin() as connection:
        write_setting(connection, "severity_critical_above", 0.999, changed_by="test")
    eventually(lambda: commits.submit([order("O-1")]).result(SECONDS)[0].severity == "warning")


def test_segments_are_judged_soon_after(workplace: Workplace, commits: GroupCommit) -> None:
    with workplace.engine.begin() as connection:
        write_setting(connection, "segment_min_orders", 20, changed_by="test")
    commits.submit([order(f"O-{number}") for number in range(60)]).result(SECONDS)
    query = "SELECT context -> 'riskiest_orders' -> 0 FROM deviations WHERE kind = 'on_time_rate'"
    eventually(lambda: rows(workplace, query))
    assert all(riskiest for (riskiest,) in rows(workplace, query))


def test_while_the_database_is_away_callers_are_told_and_later_ones_are_served(
    workplace: Workplace, commits: GroupCommit
) -> None:
    commits.submit([order("before")]).result(SECONDS)
    with workplace.engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE orders RENAME TO orders_away"))
    with pytest.raises(sa.exc.ProgrammingError):
        commits.submit([order("meanwhile")]).result(SECONDS)
    with workplace.engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE orders_away RENAME TO orders"))
        connection.execute(
            sa.text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    answers = [commits.submit([order(f"after-{n}")]) for n in range(5)]
    for answer in answers:
        answer.result(SECONDS)
    stored = rows(workplace, "SELECT order_id FROM orders ORDER BY 1")
    assert stored == [(f"after-{n}",) for n in range(5)] + [("before",)]


def test_the_end_waits_for_what_was_submitted_and_leaves_no_connection(
    workplace: Workplace, own_engine: Engine
) -> None:
    commits = GroupCommit(own_engine, lambda: workplace.scorer)
    answers = [commits.submit([order(f"O-{number}")]) for number in range(30)]
    commits.close()
    assert all(answer.done() for answer in answers)
    assert own_engine.pool.checkedin() == 0  # type: ignore[attr-defined]
    assert rows(workplace, "SELECT count(*) FROM orders") == [(30,)]


def test_an_unreachable_database_is_an_error_for_each(workplace: Workplace) -> None:
    nowhere = create_engine("postgresql://nobody@127.0.0.1:9/none")
    commits = GroupCommit(nowhere, lambda: workplace.scorer)
    answers = [commits.submit([order(f"O-{number}")]) for number in range(3)]
    for answer in answers:
        with pytest.raises(OperationalError):
            answer.result(SECONDS)
    commits.close()
