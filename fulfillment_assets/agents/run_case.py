"""Work a case through the graph, and go on with one that waited for a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from langchain_core.runnables import RunnableConfig
from langgraph.types import Command

from fulfillment_assets.agents.case import Case, case_json
from fulfillment_assets.agents.checkpoints import Keeper
from fulfillment_assets.agents.context import CaseContext, DeskFor
from fulfillment_assets.agents.graph import CaseGraph
from fulfillment_assets.agents.outcome import Outcome, ended, waiting
from fulfillment_assets.agents.state import CaseInput, CaseState, Decision

_STEPS: Final = 200
"""LangGraph's own bound; the bound on turns of the specialists is reached long before."""


class NothingWaitsError(LookupError):
    """No case of that thread waits for a person, or not for that decision."""


def resolve(graph: CaseGraph, case: Case, desk_for: DeskFor, *, thread_id: str) -> Outcome:
    """Work a case until it is done, or waits for a person.

    A model that fails is replaced, or the case is escalated; errors of the database pass, and the
    same case may be worked again: effects that were had already are not had twice.

    Args:
        graph: with a checkpointer (`checkpoints`), if the case may wait.
        case: what is to be resolved.
        desk_for: makes the desks of the specialists.
        thread_id: under which a case that waits is kept; one that was never used before.
    """
    given = CaseInput(case=case_json(case))
    context = CaseContext(case, desk_for)
    if not isinstance(graph.checkpointer, Keeper):
        return _run(graph, given, context, thread_id)
    with graph.checkpointer.fresh(thread_id) as keep:
        outcome = _run(graph, given, context, thread_id)
        if outcome.status == "awaiting_approval":
            keep()
    return outcome


def resume(
    graph: CaseGraph,
    case: Case,
    desk_for: DeskFor,
    decisions: Mapping[str, Decision],
    *,
    thread_id: str,
) -> Outcome:
    """Go on with a case that waited, in this process or another.

    Args:
        graph: with the checkpointer that kept the case.
        case: as it stands now; what is decided is done by its facts.
        desk_for: makes the desks of the specialists.
        decisions: by the id of the approval; others go on waiting.
        thread_id: under which the case was kept.

    How it ended is kept, so that it is not lost in a crash, until it is stored and forgotten.

    Raises:
        NothingWaitsError: no such approval waits under that thread.
    """
    waits = {one.id for one in graph.get_state(_config(thread_id)).interrupts}
    if unknown := set(decisions) - waits:
        raise NothingWaitsError(
            f"Nothing waits for the decision {', '.join(sorted(unknown))} under {thread_id}: it "
            "was decided already, or the case was worked anew."
        )
    command: Command[Any] = Command(resume=dict(decisions))
    return _run(graph, command, CaseContext(case, desk_for), thread_id)


def kept_outcome(graph: CaseGraph, thread_id: str) -> Outcome | None:
    """What is kept of a case: that it waits, or how it ended after it had waited; else None."""
    state = graph.get_state(_config(thread_id))
    if state.interrupts:
        return waiting(state.interrupts)
    if state.values and not state.next:
        return ended(cast(CaseState, state.values))
    return None


def forget(graph: CaseGraph, thread_id: str) -> None:
    """Drop what is kept of a case, once its outcome is stored elsewhere."""
    if isinstance(graph.checkpointer, Keeper):
        graph.checkpointer.delete_thread(thread_id)


def _run(
    graph: CaseGraph, given: CaseInput | Command[Any], context: CaseContext, thread_id: str
) -> Outcome:
    kept = isinstance(graph.checkpointer, Keeper)
    found = graph.invoke(
        given,
        _config(thread_id),
        context=context,
        durability="exit" if kept else None,
        version="v2",
    )
    return waiting(found.interrupts) if found.interrupts else ended(found.value)


def _config(thread_id: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread_id}, "recursion_limit": _STEPS}
