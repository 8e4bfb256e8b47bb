"""The escalation specialist's tools: tickets, the people who get them, and how urgent they are."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from fulfillment_assets.agents.dossier import Dossier
from fulfillment_assets.agents.ledger import Effect, act_on_case, effect_key
from fulfillment_assets.agents.tools.desk import Desk, Refused, Result
from fulfillment_assets.agents.tools.text import check_no_card, checked
from fulfillment_assets.knowledge.rules import EscalationRules, Priority, Specialist

_OPEN: Final = sa.text("""
SELECT id, priority, queue, opened_at, work_starts_at, respond_by, resolve_by
FROM escalation_tickets
WHERE status = 'open' AND (order_id = :order_id OR deviation_id = :deviation_id)
ORDER BY id LIMIT 1 FOR UPDATE
""")
_INSERT: Final = sa.text("""
INSERT INTO escalation_tickets (id, deviation_id, order_id, priority, queue, question, findings,
    opened_at, work_starts_at, respond_by, resolve_by)
VALUES (:id, :deviation_id, :order_id, :priority, :queue, :question, CAST(:findings AS jsonb),
    :opened_at, :work_starts_at, :respond_by, :resolve_by)
""")
_ADD: Final = sa.text("""
UPDATE escalation_tickets SET findings = findings || CAST(:finding AS jsonb) WHERE id = :id
""")
_MOVE: Final = sa.text("""
UPDATE escalation_tickets SET priority = :priority, queue = :queue,
    work_starts_at = :work_starts_at, respond_by = :respond_by, resolve_by = :resolve_by
WHERE id = :id
""")
_FLAGGED: Final = sa.text("""
SELECT result ->> 'priority' FROM tool_actions
WHERE tool = 'flag_priority' AND deviation_id = :deviation_id
""")


@dataclass(frozen=True, slots=True)
class _Ticket:
    id: uuid.UUID
    priority: str
    queue: str
    opened_at: dt.datetime
    work_starts_at: dt.datetime
    respond_by: dt.datetime
    resolve_by: dt.datetime


def create_ticket(
    desk: Desk,
    question: str,
    tried: str | None = None,
    priority: str | None = None,
    concerns: Specialist = "escalation",
) -> Result:
    """Ask a person; an order that has an open ticket gets the question added to it."""
    question = _checked(question, "question")
    tried = None if tried is None else _checked(tried, "tried")
    arguments = {"question": question, "tried": tried, "priority": priority, "concerns": concerns}

    def decide(connection: Connection, _dossier: Dossier | None) -> Effect:
        found = _open_ticket(connection, desk)
        urgency = _at_least(desk, connection, found, priority)
        finding = {
            "deviation_id": str(desk.case.deviation_id),
            "question": question,
            "tried": tried,
            "added_at": desk.now.isoformat(),
        }
        findings = json.dumps([finding])
        if found is None:
            ticket = _new_ticket(desk, urgency, desk.rulebook.escalation.queues[concerns])
            row = _owner(desk) | asdict(ticket) | {"question": question, "findings": findings}
            connection.execute(_INSERT, row)
            told = f"Ticket of priority {ticket.priority} opened in {ticket.queue}."
            return Effect(told, "ES-4.1", _shown(ticket))
        connection.execute(_ADD, {"id": found.id, "finding": findings})
        ticket = _moved(connection, desk, found, urgency, found.queue)
        told = "The order has an open ticket: the question was added to it."
        return Effect(told, "ES-4.2", _shown(ticket))

    key = effect_key(desk, "create_ticket", "ticket")
    return act_on_case(desk, "create_ticket", key, arguments, decide)


def assign_human(desk: Desk, queue: str, reason: str) -> Result:
    """Hand the open ticket to another queue."""
    arguments = {"queue": queue, "reason": _checked(reason, "reason")}
    known = sorted(set(desk.rulebook.escalation.queues.values()))
    if queue not in known:
        raise Refused("ES-3.1", f"There is no queue {queue!r:.80}; there are {', '.join(known)}.")

    def decide(connection: Connection, _dossier: Dossier | None) -> Effect:
        found = _open_ticket(connection, desk)
        if found is None:
            raise Refused("ES-4.1", "There is no open ticket: create it first.")
        urgency = _at_least(desk, connection, found, None)
        ticket = _moved(connection, desk, found, urgency, queue)
        as_asked = ticket.queue == queue
        elsewhere = "" if as_asked else f" instead of {queue}, which is not staffed now"
        return Effect(
            f"The ticket is in the queue {ticket.queue}{elsewhere}.",
            "ES-3.1" if as_asked else "ES-3.2",
            _shown(ticket),
        )

    key = effect_key(desk, "assign_human", queue)
    return act_on_case(desk, "assign_human", key, arguments, decide)


def flag_priority(desk: Desk, priority: str, reason: str) -> Result:
    """Raise the priority of the case, and of its ticket if there is one."""
    arguments = {"priority": priority, "reason": _checked(reason, "reason")}
    _check_priority(desk.rulebook.escalation, priority)

    def decide(connection: Connection, _dossier: Dossier | None) -> Effect:
        found = _open_ticket(connection, desk)
        urgency = _at_least(desk, connection, found, priority)
        numbers: dict[str, Any] = {"priority": urgency.name}
        if found is not None:
            numbers = _shown(_moved(connection, desk, found, urgency, found.queue))
        return Effect(f"The priority is {urgency.name}.", "ES-2.1", numbers)

    key = effect_key(desk, "flag_priority", priority)
    return act_on_case(desk, "flag_priority", key, arguments, decide)


def _checked(text: str, name: str) -> str:
    text = checked(text, name)
    check_no_card(text, name, "ES-4.3")
    return text


def _owner(desk: Desk) -> dict[str, Any]:
    order = desk.case.order
    return {
        "deviation_id": desk.case.deviation_id,
        "order_id": None if order is None else order.order_id,
    }


def _open_ticket(connection: Connection, desk: Desk) -> _Ticket | None:
    row = connection.execute(_OPEN, _owner(desk)).one_or_none()
    return None if row is None else _Ticket(*row)


def _check_priority(rules: EscalationRules, wanted: str) -> None:
    names = [one.name for one in rules.priorities]
    if wanted not in names:
        raise Refused(
            "ES-2.1", f"There is no priority {wanted!r:.80}; there are {', '.join(names)}."
        )


def _at_least(
    desk: Desk, connection: Connection, found: _Ticket | None, wanted: str | None
) -> Priority:
    """The highest priority of the table, the ticket, what was flagged, and what is wanted.

    Raises:
        Refused: there is no such priority, or it would be lowered.
    """
    rules = desk.rulebook.escalation
    names = [one.name for one in rules.priorities]
    if wanted is not None:
        _check_priority(rules, wanted)
    by_rule = rules.priority(desk.case.probability, desk.case.importance).name
    flagged = connection.scalars(_FLAGGED, {"deviation_id": desk.case.deviation_id})
    held = [by_rule, *flagged, *([] if found is None else [found.priority])]
    highest = min((name for name in held if name in names), key=names.index)
    if wanted is not None and names.index(wanted) > names.index(highest):
        raise Refused(
            "ES-2.2",
            f"The priority is {highest}, and is never lowered to {wanted} by an agent.",
            priority=highest,
        )
    return rules.priorities[names.index(wanted or highest)]


def _queue(desk: Desk, urgency: Priority, wanted: str) -> str:
    """Where a ticket goes; the highest priority does not wait for the morning."""
    rules = desk.rulebook.escalation
    highest = rules.priorities[0].name
    if _work_starts(rules, desk.now) > desk.now and urgency.name == highest:
        return rules.out_of_hours_queue
    return wanted


def _work_starts(rules: EscalationRules, now: dt.datetime) -> dt.datetime:
    """When somebody of the queues can begin: now, or when they are staffed again."""
    now = now.astimezone(dt.UTC)
    if rules.staffed_from <= now.time() < rules.staffed_until:
        return now
    tomorrow = now.time() >= rules.staffed_until
    day = now.date() + dt.timedelta(days=1 if tomorrow else 0)
    return dt.datetime.combine(day, rules.staffed_from, dt.UTC)


def _new_ticket(desk: Desk, urgency: Priority, queue: str) -> _Ticket:
    rules = desk.rulebook.escalation
    highest = urgency.name == rules.priorities[0].name
    starts = desk.now if highest else _work_starts(rules, desk.now)
    return _Ticket(
        id=uuid.uuid4(),
        priority=urgency.name,
        queue=_queue(desk, urgency, queue),
        opened_at=desk.now,
        work_starts_at=starts,
        respond_by=starts + dt.timedelta(minutes=urgency.response_minutes),
        resolve_by=starts + dt.timedelta(hours=urgency.resolve_hours),
    )


def _moved(
    connection: Connection, desk: Desk, found: _Ticket, urgency: Priority, queue: str
) -> _Ticket:
    """The ticket in a queue and with a priority; its deadlines only ever come nearer."""
    ticket = replace(found, queue=_queue(desk, urgency, queue), priority=urgency.name)
    if urgency.name != found.priority:
        anew = _new_ticket(desk, urgency, queue)
        ticket = replace(
            ticket,
            work_starts_at=min(found.work_starts_at, anew.work_starts_at),
            respond_by=min(found.respond_by, anew.respond_by),
            resolve_by=min(found.resolve_by, anew.resolve_by),
        )
    if ticket != found:
        connection.execute(_MOVE, asdict(ticket))
    return ticket


def _shown(ticket: _Ticket) -> dict[str, Any]:
    return {
        "ticket_id": str(ticket.id),
        "priority": ticket.priority,
        "queue": ticket.queue,
        "respond_by": ticket.respond_by.isoformat(),
        "resolve_by": ticket.resolve_by.isoformat(),
    }
