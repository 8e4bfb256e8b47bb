"""A worker: the cases of a group, side by side, each settled in one transaction.

Imports LangGraph: import this module only where the agents work.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from sqlalchemy.engine import Engine
from sqlalchemy.exc import SQLAlchemyError

from fulfillment_assets.agents import approvals, claims, events, requests, responses
from fulfillment_assets.agents.case import Case, load_case
from fulfillment_assets.agents.claims import ClaimError
from fulfillment_assets.agents.giving_up import given_up
from fulfillment_assets.agents.groups import claim_group
from fulfillment_assets.agents.outcome import Outcome, waiting
from fulfillment_assets.agents.run_case import forget, kept_outcome, resolve, resume
from fulfillment_assets.agents.state import Decision
from fulfillment_assets.agents.workshop import Workshop
from fulfillment_assets.knowledge.errors import KnowledgeUnavailableError
from fulfillment_assets.knowledge.index import refresh
from fulfillment_assets.observability.correlation import bound, here

THREADS: Final = 4
"""Cases at a time: while one waits for a model or the database, others go on."""

STRETCH_SECONDS: Final = 45.0
"""So long a worker goes on claiming groups."""

_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Worked:
    """One deviation that was worked.

    Attributes:
        outcome: what came of it; None where an error kept it from being settled.
        seconds: how long it took.
        error: why there is no outcome; the deviation goes to whoever claims it next.
    """

    deviation_id: uuid.UUID
    outcome: Outcome | None
    seconds: float
    error: str | None = None


def work_group(shop: Workshop, worker: str) -> list[Worked]:
    """Work all that a worker has claimed, and add what was learned to the knowledge base.

    Safe to repeat after a crash: what is settled is not claimed any more, and effects of tools are
    not had twice.
    """
    with shop.engine.connect() as connection:
        fresh = claims.held(connection, worker)
        decided = claims.held(connection, f"{claims.RESUMES}{worker}")
        attempts = claims.attempts(connection, [*fresh, *decided])
    events.tell_claimed(len(fresh), len(decided))
    with _renewing(shop.engine, worker), ThreadPoolExecutor(THREADS) as threads:
        tasks = [
            *(threads.submit(here(_work, shop, one, worker, attempts[one])) for one in fresh),
            *(threads.submit(here(_go_on, shop, one, worker, attempts[one])) for one in decided),
        ]
        worked = [task.result() for task in tasks]
    learn(shop)
    return worked


def work_groups(shop: Workshop, worker: str, *, seconds: float = STRETCH_SECONDS) -> list[Worked]:
    """Work what a worker has claimed, then group after group of what waits, for some time.

    The graph, the rules and what was looked up serve all of them.
    """
    deadline = time.monotonic() + seconds
    worked = work_group(shop, worker)
    while time.monotonic() < deadline:
        with shop.engine.begin() as connection:
            claimed = claim_group(connection, worker)
        if not claimed:
            break
        worked += work_group(shop, worker)
    return worked


def work_one(
    shop: Workshop, deviation_id: uuid.UUID, worker: str, *, by: str, note: str | None = None
) -> Worked:
    """Ask for one deviation of any severity, and work it here and now.

    Args:
        shop: what is needed.
        deviation_id: which one.
        worker: under which name it is claimed.
        by: who asks.
        note: of who asks, shown to the agents as data.

    Raises:
        UnknownDeviationError: there is none.
        AskError: it cannot be worked as it stands.
    """
    with shop.engine.begin() as connection:
        requests.ask(connection, deviation_id, by=by, note=note)
        claims.claim_one(connection, deviation_id, worker)
        attempts = claims.attempts(connection, [deviation_id])
    with _renewing(shop.engine, worker):
        worked = _work(shop, deviation_id, worker, attempts[deviation_id])
    learn(shop)
    return worked


def learn(shop: Workshop) -> None:
    """Add new resolutions to the index; if it cannot be reached, they wait in PostgreSQL."""
    try:
        refresh(shop.settings, shop.engine)
    except KnowledgeUnavailableError as error:
        _LOG.warning("What was learned is not in the index yet: %s", error)


def _work(shop: Workshop, deviation_id: uuid.UUID, worker: str, attempt: int) -> Worked:
    def outcome_of(case: Case) -> Outcome:
        most = shop.rulebook.escalation.max_attempts
        if attempt > most:
            return given_up(shop, case, f"The agents tried {most} times and never finished.")
        return resolve(shop.graph, case, shop.desk, thread_id=_thread(deviation_id, attempt))

    return _settled(shop, deviation_id, worker, outcome_of)


def _go_on(shop: Workshop, deviation_id: uuid.UUID, worker: str, attempt: int) -> Worked:
    def outcome_of(case: Case) -> Outcome:
        thread = _thread(deviation_id, attempt)
        kept = kept_outcome(shop.graph, thread)
        if kept is not None and kept.status != "awaiting_approval":
            return kept
        decisions = _decisions(shop, deviation_id, thread)
        if not decisions:
            return given_up(shop, case, "What waited for a person cannot be found any more.")
        return resume(shop.graph, case, shop.desk, decisions, thread_id=thread)

    worked = _settled(shop, deviation_id, f"{claims.RESUMES}{worker}", outcome_of)
    if worked.outcome is not None and worked.outcome.status != "awaiting_approval":
        forget(shop.graph, _thread(deviation_id, attempt))
    return worked


def _settled(
    shop: Workshop,
    deviation_id: uuid.UUID,
    worker: str,
    outcome_of: Callable[[Case], Outcome],
) -> Worked:
    started = time.monotonic()
    outcome, problem = None, None
    with contextlib.ExitStack() as context:
        context.enter_context(bound(deviation_id=str(deviation_id)))
        try:
            with shop.engine.connect() as connection:
                case = load_case(connection, deviation_id)
            context.enter_context(bound(correlation_id=case.correlation_id))
            outcome = _recorded(shop, case, worker, outcome_of)
        except ClaimError as error:
            problem = str(error)
        except Exception as error:  # one case that fails must not take the others with it
            _LOG.exception("deviation %s was not settled", deviation_id)
            problem = f"{type(error).__name__}: {error}"
            with contextlib.suppress(SQLAlchemyError), shop.engine.begin() as connection:
                claims.give_back(connection, deviation_id, worker)
    return Worked(deviation_id, outcome, time.monotonic() - started, problem)


def _recorded(
    shop: Workshop, case: Case, worker: str, outcome_of: Callable[[Case], Outcome]
) -> Outcome:
    started = time.monotonic()
    events.tell_case_started(case.kind, case.severity)
    outcome = outcome_of(case)
    with shop.engine.begin() as connection:
        responses.record(connection, case, outcome, worker, shop.rulebook)
    events.tell_settled(outcome, time.monotonic() - started)
    return outcome


def _decisions(shop: Workshop, deviation_id: uuid.UUID, thread: str) -> dict[str, Decision]:
    """What was decided about each call that waits, by LangGraph's id of it."""
    with shop.engine.connect() as connection:
        decided = approvals.list_approvals(connection, status=None, deviation_id=deviation_id)
    found: dict[str, Decision] = {}
    state = shop.graph.get_state({"configurable": {"thread_id": thread}})
    for wanted in waiting(state.interrupts).approvals:
        answer = next(
            (
                one
                for one in decided
                if (one.agent_type, one.tool, one.arguments)
                == (wanted.agent_type, wanted.tool, wanted.arguments)
            ),
            None,
        )
        if answer is not None and answer.status != "pending":
            found[wanted.id] = Decision(
                approved=answer.status == "approved",
                by=answer.decided_by or "",
                note=answer.note or "",
            )
    return found


def _thread(deviation_id: uuid.UUID, attempt: int) -> str:
    return f"{deviation_id}:{attempt}"


@contextlib.contextmanager
def _renewing(engine: Engine, worker: str) -> Iterator[None]:
    """Keep a worker's lease while the block lasts."""
    done = threading.Event()

    def renew() -> None:
        while not done.wait(claims.LEASE.total_seconds() / 4):
            with contextlib.suppress(SQLAlchemyError), engine.begin() as connection:
                claims.renew(connection, worker)

    keeper = threading.Thread(target=renew, name="lease", daemon=True)
    keeper.start()
    try:
        yield
    finally:
        done.set()
        keeper.join()
