"""What is known of one order at one moment: its state, what agents did, and who was written to.

The feed owns every column of `orders`: each event of an order replaces them all, the KPIs count
by them, and the promised date there tells in the end whether the order came late. So what agents
decide is written beside them, into `order_interventions`, with what the feed said at that time.
A decision is in force while the feed still says the same; once it says something else, the feed
has the newer truth and counts. Only a refund stays in force: the money has gone.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, cast

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from fulfillment_assets.knowledge.rules import (
    Block,
    Importance,
    Mode,
    OrderStatus,
    PaymentStatus,
)
from fulfillment_assets.orders.contract import FIELDS

COMPENSATIONS: Final = ("issue_refund", "apply_credit")
"""Tools that give money or credit; an order gets one of them, once."""

DECIDED_FIELDS: Final[Mapping[str, str]] = {
    "delivery_date_planned": "promised_delivery_date",
    "warehouse_block": "warehouse_block",
    "mode_of_shipment": "mode_of_shipment",
    "carrier_name": "carrier_name",
    "payment_status": "payment_status",
}
"""What may be decided about an order, and the feed's field that it stands beside."""


@dataclass(frozen=True, slots=True)
class Order:
    """An order as it stands: the feed's fields, with decisions that are in force.

    Attributes:
        promised_delivery_date: as first promised; a decision never changes it.
        delivery_date_planned: the day that was agreed on since; None: as promised.
        delay_probability: the latest prediction.
        feed: what the feed says of each field that may be decided, as text.
    """

    order_id: str
    customer_id: str | None
    order_date: dt.datetime | None
    promised_delivery_date: dt.datetime | None
    ship_date: dt.datetime | None
    delivery_date: dt.datetime | None
    warehouse_block: Block
    mode_of_shipment: Mode
    carrier_name: str | None
    customer_care_calls: int
    customer_rating: int
    prior_purchases: int
    gender: str
    product_importance: Importance
    cost_of_product: float
    discount_offered: float
    weight_in_gms: float
    payment_status: PaymentStatus | None
    order_status: OrderStatus | None
    delay_probability: float
    delivery_date_planned: dt.date | None
    feed: Mapping[str, str | None]

    @property
    def due(self) -> dt.datetime | None:
        """When the promise is broken; midnight sharp is a date without a time, and lasts all day.

        Outcomes of predictions are told by the same rule.
        """
        promised = self.promised_delivery_date
        return None if promised is None else _end_of(promised)

    @property
    def planned(self) -> dt.datetime | None:
        """Until when delivery is planned: the end of the day agreed on, or the promise."""
        if self.delivery_date_planned is None:
            return self.due
        return end_of_day(self.delivery_date_planned)


@dataclass(frozen=True, slots=True)
class Action:
    """A row of the ledger."""

    id: uuid.UUID
    key: str
    deviation_id: uuid.UUID
    agent_type: str | None
    tool: str
    amount: Decimal | None
    acted_at: dt.datetime
    result: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Message:
    """A message to the customer about the order, sent or waiting for the end of quiet hours."""

    channel: str
    template: str | None
    send_at: dt.datetime


@dataclass(frozen=True, slots=True)
class Dossier:
    """All that the rules ask about an order.

    Attributes:
        actions: every effect that agents had on the order, the oldest first.
        messages: to the customer about this order, the oldest first.
    """

    order: Order
    actions: tuple[Action, ...] = ()
    messages: tuple[Message, ...] = ()
    opted_out: bool = False

    def count(self, *tools: str) -> int:
        """How many effects these tools had."""
        return sum(action.tool in tools for action in self.actions)

    @property
    def compensation(self) -> Action | None:
        """The refund or credit that the order got."""
        return next((one for one in self.actions if one.tool in COMPENSATIONS), None)


_READ: Final = sa.text(f"""
SELECT {", ".join(f"o.{field.name}" for field in FIELDS)}, o.delay_probability,
       EXISTS (SELECT FROM customer_opt_outs c WHERE c.customer_id = o.customer_id) AS opted_out,
       (SELECT jsonb_object_agg(i.field, jsonb_build_array(i.feed_value, i.new_value))
        FROM (SELECT DISTINCT ON (field) field, feed_value, new_value FROM order_interventions
              WHERE order_id = o.order_id ORDER BY field, id DESC) AS i) AS decided,
       (SELECT jsonb_agg(jsonb_build_object(
            'id', a.id, 'key', a.idempotency_key, 'deviation_id', a.deviation_id,
            'agent_type', a.agent_type, 'tool', a.tool, 'amount', a.amount_usd::text,
            'acted_at', a.acted_at, 'result', a.result) ORDER BY a.id)
        FROM tool_actions a WHERE a.order_id = o.order_id) AS actions,
       (SELECT jsonb_agg(jsonb_build_object(
            'channel', c.channel, 'template', c.template, 'send_at', c.send_at) ORDER BY c.id)
        FROM customer_contacts c
        WHERE c.order_id = o.order_id AND c.kind = 'message') AS messages
FROM orders o WHERE o.order_id = :order_id
""")

_LOCK: Final = sa.text("SELECT FROM orders WHERE order_id = :order_id FOR UPDATE")


def read_dossier(connection: Connection, order_id: str, *, lock: bool = False) -> Dossier | None:
    """What is known of an order; None if there is none of that id.

    Args:
        connection: of the transaction in which it is read.
        order_id: the order.
        lock: keep everybody else from changing the order until the transaction ends.
    """
    if lock:
        # On its own: what is read after the wait must not come from a snapshot before it.
        connection.execute(_LOCK, {"order_id": order_id})
    found = connection.execute(_READ, {"order_id": order_id}).one_or_none()
    if found is None:
        return None
    row = found._asdict()
    return Dossier(
        order=order_of(row, row["decided"] or {}),
        actions=tuple(_action(one) for one in row["actions"] or ()),
        messages=tuple(
            Message(one["channel"], one["template"], dt.datetime.fromisoformat(one["send_at"]))
            for one in row["messages"] or ()
        ),
        opted_out=row["opted_out"],
    )


def order_of(fields: Mapping[str, Any], decided: Mapping[str, tuple[str | None, str]]) -> Order:
    """An order from the feed's fields and the latest decision on each field.

    Args:
        fields: by contract name, with `delay_probability`.
        decided: what the feed said then, and what was decided, by field.
    """
    feed = {name: as_text(fields[beside]) for name, beside in DECIDED_FIELDS.items()}
    values = {field.name: fields[field.name] for field in FIELDS}
    planned: dt.date | None = None
    for name, (feed_then, value) in decided.items():
        if name != "payment_status" and feed_then != feed[name]:
            continue
        if name == "delivery_date_planned":
            planned = dt.date.fromisoformat(value)
        else:
            values[name] = value
    return Order(
        **values,
        delay_probability=fields["delay_probability"],
        delivery_date_planned=planned,
        feed=feed,
    )


def as_text(value: Any) -> str | None:
    """A value of the feed as `order_interventions` keeps it."""
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).isoformat()
    return cast(str | None, value)


def end_of_day(day: dt.date) -> dt.datetime:
    """Midnight UTC at the end of a day."""
    return dt.datetime.combine(day + dt.timedelta(days=1), dt.time(), dt.UTC)


def _end_of(promised: dt.datetime) -> dt.datetime:
    promised = promised.astimezone(dt.UTC)
    return end_of_day(promised.date()) if promised.time() == dt.time() else promised


def _action(found: Mapping[str, Any]) -> Action:
    return Action(
        id=uuid.UUID(found["id"]),
        key=found["key"],
        deviation_id=uuid.UUID(found["deviation_id"]),
        agent_type=found["agent_type"],
        tool=found["tool"],
        amount=None if found["amount"] is None else Decimal(found["amount"]),
        acted_at=dt.datetime.fromisoformat(found["acted_at"]),
        result=found["result"],
    )
