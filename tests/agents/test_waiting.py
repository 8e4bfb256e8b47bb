"""Cases that wait for a person: kept in PostgreSQL, and gone on with in any process."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator

import pytest

from fulfillment_assets.agents.checkpoints import SCHEMA, Keeper, checkpointer
from fulfillment_assets.agents.outcome import Outcome
from fulfillment_assets.agents.run_case import (
    NothingWaitsError,
    forget,
    kept_outcome,
    resume,
)
from fulfillment_assets.agents.state import Decision
from tests.agents.graph_fixtures import (
    DEAR,
    LATE_AND_HAPPY,
    Bureau,
    bureau_fixture,
    response,
    shipped_chunks_fixture,
    tools_of,
)
from tests.programs import StartPython

__all__ = ["bureau_fixture", "shipped_chunks_fixture"]

YES = Decision(approved=True, by="erin", note="")
NO = Decision(approved=False, by="erin", note="the carrier pays")

RESUME = """
import sys, uuid
from fulfillment_assets.agents.case import load_case
from fulfillment_assets.agents.checkpoints import checkpointer
from fulfillment_assets.agents.graph import build_graph
from fulfillment_assets.agents.models import models_of
from fulfillment_assets.agents.run_case import kept_outcome, resume
from fulfillment_assets.agents.tools.desk import Desk
from fulfillment_assets.knowledge.rulebook import load_rules
from fulfillment_assets.settings import Settings
from fulfillment_assets.store.connection import create_engine
from tests.agents.examples import NOW

url, deviation, thread = sys.argv[1:]
engine, settings = create_engine(url), Settings()
book = load_rules(settings.knowledge_dir)
with engine.connect() as connection:
    case = load_case(connection, uuid.UUID(deviation), now=NOW)
desk_for = lambda case, agent: Desk(engine, settings, book, case, agent, lambda *_: [])
with checkpointer(url) as kept:
    graph = build_graph(models_of(settings, book), kept)
    (wanted,) = kept_outcome(graph, thread).approvals
    decision = {"approved": True, "by": "erin", "note": ""}
    outcome = resume(graph, case, desk_for, {wanted.id: decision}, thread_id=thread)
print(outcome.status, *(one.agent_type + "=" + one.action for one in outcome.responses))
"""


def url_of(bureau: Bureau) -> str:
    return bureau.office.engine.url.render_as_string(hide_password=False)


@pytest.fixture
def keeper(bureau: Bureau) -> Iterator[Keeper]:
    with checkpointer(url_of(bureau)) as kept:
        yield kept


@pytest.fixture
def keeping(bureau: Bureau, keeper: Keeper) -> Bureau:
    """The place with a graph that can wait."""
    return bureau.with_models(bureau.models, checkpointer=keeper)


@pytest.fixture
def thread() -> str:
    """A thread of one test alone."""
    return uuid.uuid4().hex


def go_on(
    bureau: Bureau, deviation: uuid.UUID, waited: Outcome, decision: Decision, thread: str
) -> Outcome:
    [wanted] = waited.approvals
    case = bureau.office.case(deviation)
    decisions = {wanted.id: decision}
    return resume(bureau.graph, case, bureau.desk_for, decisions, thread_id=thread)


class TestARefundAboveTheLimit:
    def test_waits_and_moves_no_money_meanwhile(self, keeping: Bureau) -> None:
        outcome = keeping.work(keeping.open(LATE_AND_HAPPY, **DEAR))
        assert (outcome.status, outcome.responses) == ("awaiting_approval", ())
        [wanted] = outcome.approvals
        assert (wanted.agent_type, wanted.tool, wanted.amount) == ("payment", "issue_refund", 74.7)
        assert wanted.arguments["amount_usd"] == 74.7
        assert "approves" in wanted.why
        assert "issue_refund" not in keeping.effects()

    def test_is_paid_once_approved_and_the_others_are_not_asked_again(
        self, keeping: Bureau, thread: str
    ) -> None:
        deviation = keeping.open(LATE_AND_HAPPY, **DEAR)
        waited = keeping.work(deviation, thread_id=thread)
        before = keeping.effects()
        outcome = go_on(keeping, deviation, waited, YES, thread)
        assert outcome.status == "resolved"
        [refund] = [one for one in keeping.office.actions() if one["tool"] == "issue_refund"]
        assert (float(refund["amount_usd"]), refund["approved_by"]) == (74.7, "erin")
        assert [one for one in keeping.effects() if one in before] == before
        assert tools_of(outcome, "payment") == [
            ("check_refund_eligibility", "info"),
            ("issue_refund", "needs_approval"),
            ("issue_refund", "done"),
        ]

    def test_is_not_paid_once_rejected(self, keeping: Bureau, thread: str) -> None:
        deviation = keeping.open(LATE_AND_HAPPY, **DEAR)
        waited = keeping.work(deviation, thread_id=thread)
        outcome = go_on(keeping, deviation, waited, NO, thread)
        assert outcome.status == "resolved"
        assert response(outcome, "payment").action == "none"
        assert "the carrier pays" in response(outcome, "payment").details["reason"]
        assert "issue_refund" not in keeping.effects()

    def test_is_refused_if_the_order_was_compensated_meanwhile(
        self, keeping: Bureau, thread: str
    ) -> None:
        deviation = keeping.open(LATE_AND_HAPPY, order_id="O-1", **DEAR)
        waited = keeping.work(deviation, thread_id=thread)
        other = keeping.office.agent(
            "payment", keeping.office.deviation("O-1", kind="fulfillment_gap")
        )
        assert other("issue_refund", amount_usd=20.0, reason="x")["status"] == "done"
        outcome = go_on(keeping, deviation, waited, YES, thread)
        assert tools_of(outcome, "payment")[-1] == ("issue_refund", "refused")
        assert keeping.effects().count("issue_refund") == 1

    def test_cannot_be_decided_twice(self, keeping: Bureau, thread: str) -> None:
        deviation = keeping.open(LATE_AND_HAPPY, **DEAR)
        waited = keeping.work(deviation, thread_id=thread)
        go_on(keeping, deviation, waited, YES, thread)
        with pytest.raises(NothingWaitsError, match="was decided already"):
            go_on(keeping, deviation, waited, YES, thread)


def test_another_process_goes_on(keeping: Bureau, thread: str, start_python: StartPython) -> None:
    deviation = keeping.open(LATE_AND_HAPPY, **DEAR)
    keeping.work(deviation, thread_id=thread)
    program = start_python(RESUME, url_of(keeping), str(deviation), thread)
    out, problems = program.communicate(timeout=120)
    assert program.returncode == 0, problems
    assert out.split()[0] == "resolved"
    assert "payment=issue_refund" in out
    assert keeping.effects().count("issue_refund") == 1


class TestWhatIsKept:
    def count(self, bureau: Bureau, thread: str) -> int:
        tables = ("checkpoints", "checkpoint_blobs", "checkpoint_writes")
        counts = [
            f"(SELECT count(*) FROM {SCHEMA}.{table} WHERE thread_id = :thread)" for table in tables
        ]
        rows: int = bureau.office.value(f"SELECT {' + '.join(counts)}", thread=thread)
        return rows

    def test_nothing_of_a_case_that_did_not_wait(self, keeping: Bureau, thread: str) -> None:
        assert keeping.work(keeping.open(), thread_id=thread).status == "resolved"
        assert self.count(keeping, thread) == 0

    def test_how_a_case_ended_that_had_waited_until_it_is_forgotten(
        self, keeping: Bureau, thread: str
    ) -> None:
        deviation = keeping.open(LATE_AND_HAPPY, **DEAR)
        waited = keeping.work(deviation, thread_id=thread)
        assert self.count(keeping, thread) > 0
        assert kept_outcome(keeping.graph, thread) == waited
        outcome = go_on(keeping, deviation, waited, YES, thread)
        assert kept_outcome(keeping.graph, thread) == outcome
        forget(keeping.graph, thread)
        assert kept_outcome(keeping.graph, thread) is None
        assert self.count(keeping, thread) == 0


def test_many_may_make_the_tables_at_once(bureau: Bureau) -> None:
    bureau.office.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
    problems: list[Exception] = []

    def make() -> None:
        try:
            with checkpointer(url_of(bureau)) as kept:
                assert list(kept.list(None)) == []
        except Exception as error:
            problems.append(error)

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert problems == []
