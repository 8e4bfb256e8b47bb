"""Effects of tools: each in one transaction with its row in `tool_actions`, and never twice."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, TypeAlias

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from fulfillment_assets.agents.dossier import Action, Dossier, Order, read_dossier
from fulfillment_assets.agents.tools.desk import Desk, Refused, Result, answer

_EARLIER: Final = sa.text("""
SELECT id, idempotency_key, deviation_id, agent_type, tool, amount_usd, acted_at, result
FROM tool_actions WHERE idempotency_key = :key
""")
_LOCK_DEVIATION: Final = sa.text("SELECT FROM deviations WHERE id = :id FOR NO KEY UPDATE")
_RECORD: Final = sa.text("""
INSERT INTO tool_actions (idempotency_key, deviation_id, order_id, agent_type, tool, arguments,
    result, amount_usd, approved_by, acted_at)
VALUES (:key, :deviation_id, :order_id, :agent_type, :tool, CAST(:arguments AS jsonb),
    CAST(:result AS jsonb), :amount_usd, :approved_by, :acted_at)
RETURNING id
""")
_INTERVENE: Final = sa.text("""
INSERT INTO order_interventions
    (tool_action_id, order_id, field, feed_value, new_value, decided_at)
VALUES (:action, :order_id, :field, :feed_value, :new_value, :decided_at)
""")

Write: TypeAlias = Callable[[Connection, uuid.UUID], None]
"""Writes rows beside the ledger's, by the id of its row."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What a tool decided to do.

    Attributes:
        reason: what is done, in a sentence.
        rule: by which rule.
        numbers: of the result, JSON-able.
        amount: money or credit that is given.
        decided: new values of the order's fields (`dossier.DECIDED_FIELDS`).
        write: writes what else belongs to the effect.
    """

    reason: str
    rule: str | None
    numbers: Mapping[str, Any] = field(default_factory=dict)
    amount: Decimal | None = None
    decided: Mapping[str, str] = field(default_factory=dict)
    write: Write | None = None


Decide: TypeAlias = Callable[[Connection, Dossier], Effect]
"""Applies the rules to the locked order; raises `Refused` or `NeedsApproval`."""

Repeated: TypeAlias = Callable[[Action], Result]
"""What is answered where the key is taken."""


def effect_key(desk: Desk, tool: str, subject: str) -> str:
    """The idempotency key of an effect that a deviation has once."""
    return f"{desk.case.deviation_id}:{desk.agent_type}:{tool}:{subject}"


def compensation_key(order_id: str) -> str:
    """The idempotency key of the one compensation of an order, whichever deviation asks."""
    return f"{order_id}:compensation"


def repeated(earlier: Action) -> Result:
    """The first result again, marked as repeated."""
    return {**earlier.result, "status": "repeated"}


def act_on_order(
    desk: Desk,
    tool: str,
    key: str,
    arguments: Mapping[str, Any],
    decide: Decide,
    *,
    if_taken: Repeated = repeated,
) -> Result:
    """Have one effect on the order of the case, with its row in the ledger, or none at all.

    The order is locked first, so that agents on one order act one after another and see what the
    others did. A key that is taken is answered by `if_taken`, and nothing is done.

    Raises:
        Refused: by `decide`, or because the case has no order.
        NeedsApproval: by `decide`.
    """
    order = order_of_case(desk)
    with desk.engine.begin() as connection:
        dossier = read_dossier(connection, order.order_id, lock=True)
        if dossier is None:
            raise Refused(None, "The order is no longer known: nothing can be done about it.")
        if (earlier := _earlier(connection, key)) is not None:
            return if_taken(earlier)
        effect = decide(connection, dossier)
        return _record(connection, desk, dossier.order, tool, key, arguments, effect)


def act_on_case(
    desk: Desk,
    tool: str,
    key: str,
    arguments: Mapping[str, Any],
    decide: Callable[[Connection, Dossier | None], Effect],
) -> Result:
    """The same for effects that a segment's deviation may have, too; then it is locked itself."""
    order = desk.case.order
    with desk.engine.begin() as connection:
        dossier = None
        if order is not None:
            dossier = read_dossier(connection, order.order_id, lock=True)
        if dossier is None:
            connection.execute(_LOCK_DEVIATION, {"id": desk.case.deviation_id})
        if (earlier := _earlier(connection, key)) is not None:
            return repeated(earlier)
        effect = decide(connection, dossier)
        known = order if dossier is None else dossier.order
        return _record(connection, desk, known, tool, key, arguments, effect)


def order_of_case(desk: Desk) -> Order:
    """The order of the case.

    Raises:
        Refused: the deviation is a segment's.
    """
    if desk.case.order is None:
        raise Refused(None, "This deviation is of a segment of orders: there is no one order.")
    return desk.case.order


def _earlier(connection: Connection, key: str) -> Action | None:
    row = connection.execute(_EARLIER, {"key": key}).one_or_none()
    return None if row is None else Action(*row)


def _record(
    connection: Connection,
    desk: Desk,
    order: Order | None,
    tool: str,
    key: str,
    arguments: Mapping[str, Any],
    effect: Effect,
) -> Result:
    result = answer("done", effect.reason, effect.rule, **effect.numbers)
    row = {
        "key": key,
        "deviation_id": desk.case.deviation_id,
        "order_id": None if order is None else order.order_id,
        "agent_type": desk.agent_type,
        "tool": tool,
        "arguments": json.dumps(dict(arguments)),
        "result": json.dumps(result),
        "amount_usd": effect.amount,
        "approved_by": desk.approved_by,
        "acted_at": desk.now,
    }
    action: uuid.UUID = connection.execute(_RECORD, row).scalar_one()
    if order is not None and effect.decided:
        connection.execute(_INTERVENE, _interventions(desk, order, action, effect.decided))
    if effect.write is not None:
        effect.write(connection, action)
    return result


def _interventions(
    desk: Desk, order: Order, action: uuid.UUID, decided: Mapping[str, str]
) -> list[dict[str, Any]]:
    return [
        {
            "action": action,
            "order_id": order.order_id,
            "field": name,
            "feed_value": order.feed[name],
            "new_value": value,
            "decided_at": desk.now,
        }
        for name, value in decided.items()
    ]
