"""How the order is kept moving: the decisions of the shipment specialist."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Any

from fulfillment_assets.agents.facts import Facts
from fulfillment_assets.agents.policy.conversation import Conversation, Taken
from fulfillment_assets.agents.policy.move import Move, call, finished
from fulfillment_assets.knowledge.rulebook import Rulebook
from fulfillment_assets.knowledge.rules import Block, Mode

TRANSFER = "transfer_warehouse"
RESCHEDULE = "reschedule_shipment"
CARRIERS_NOTICE = "CA-2.1"


def next_move(conversation: Conversation, book: Rulebook) -> Move:
    """Ask the carrier; then take the first measure that the rules allow and that helps."""
    asked = conversation.last("check_carrier_status")
    if asked is None:
        says = "The carrier is asked before anything is changed."
        return call("SH-1.1", says, "check_carrier_status")
    for tool in (TRANSFER, RESCHEDULE):
        if (step := conversation.succeeded(tool)) is not None:
            return finished(_rule(step), f"{step.result.get('reason')} The shipment is settled.")
    facts, carrier = conversation.facts, asked.result
    if facts.closed or "expected_at" not in carrier:
        return finished("SH-1.2", f"Nothing is changed: {carrier.get('reason')}")
    if carrier["on_schedule"] and carrier["scan_is_fresh"]:
        return finished("SH-1.3", f"{carrier['reason']} It is left alone.")
    open_measures = (
        move
        for move in _measures(conversation, carrier, book)
        if not _was_tried(conversation, move)
    )
    return next(open_measures, None) or _nothing_left(conversation)


def _nothing_left(conversation: Conversation) -> Move:
    tried = [*conversation.of(TRANSFER), *conversation.of(RESCHEDULE)]
    if left_to_arrive([(step.result.get("rule")) for step in tried], conversation.facts):
        says = "The carrier can no longer be told of a new date, and the promised one is not past"
        return finished("SH-5.5", f"{says}: the order is left to arrive.")
    if tried:
        reasons = " ".join(str(step.result.get("reason")) for step in tried)
        return finished("SH-5.4", f"No measure was allowed; a person takes over. {reasons}")
    return finished("SH-1.1", "The carrier has no news that would change the date; it stands.")


def left_to_arrive(refused_by: Sequence[str | None], facts: Facts) -> bool:
    """Whether nothing but the carrier's notice kept an order that is not late from a new date."""
    return bool(refused_by) and set(refused_by) == {CARRIERS_NOTICE} and not facts.late


def _measures(
    conversation: Conversation, carrier: dict[str, Any], book: Rulebook
) -> Iterator[Move]:
    """Measures that the rules allow, as far as the case tells, the best first (SH-5)."""
    facts = conversation.facts
    if (block := _faster_block(facts, book)) is not None:
        hours = book.warehouses[block].processing_hours
        yield call(
            "SH-5.1",
            f"Not shipped yet: block {block} needs only {hours} hours.",
            TRANSFER,
            to_block=block,
            reason=f"delay probability {facts.probability:.2f}; block {block} is faster",
        )
    if (mode := _faster_mode(facts, book)) is not None:
        yield call(
            "SH-3.3",
            f"The retailer pays for {mode} here.",
            RESCHEDULE,
            new_mode=mode,
            reason=f"delay probability {facts.probability:.2f}, importance {facts.importance}",
        )
    for day in _days(conversation, carrier, book):
        yield call(
            "SH-2.1",
            f"The delivery gets the date that can be kept, {day}.",
            RESCHEDULE,
            new_delivery_date=day.isoformat(),
            reason="the carrier does not expect to keep the promised date",
        )


def _faster_block(facts: Facts, book: Rulebook) -> Block | None:
    """The partner with the shortest processing that takes the order, if it beats the own block."""
    rules = book.shipping
    allowed = (
        facts.status in rules.transfer_statuses
        and facts.probability > rules.transfer_above_probability
        and facts.done_before("transfers") < rules.max_transfers_per_order
    )
    own = book.warehouses.get(facts.order["warehouse_block"])
    if not allowed or own is None:
        return None
    fitting = [
        partner
        for partner in (book.warehouses[block] for block in own.transfer_partners)
        if facts.mode in partner.modes
        and facts.weight_gms <= partner.max_weight_gms
        and partner.processing_hours < own.processing_hours
    ]
    best = min(fitting, key=lambda one: (one.processing_hours, one.block), default=None)
    return None if best is None else best.block


def _faster_mode(facts: Facts, book: Rulebook) -> Mode | None:
    """The fastest mode that weight, price and block allow."""
    rules = book.shipping
    own = book.warehouses.get(facts.order["warehouse_block"])
    allowed = (
        facts.status in rules.mode_change_statuses
        and facts.probability > rules.mode_change_above_probability
        and facts.importance in rules.mode_change_importances
        and facts.done_before("reschedules") < rules.max_reschedules_per_order
    )
    if not allowed or own is None:
        return None
    fitting = [
        mode
        for mode in rules.mode_changes[facts.mode]
        if mode in own.modes
        and facts.weight_gms <= own.max_weight_gms
        and book.carriers.serving(mode, facts.weight_gms)
        and float(rules.mode_surcharge_usd[mode]) * 100
        <= facts.cost_usd * rules.max_surcharge_percent
    ]
    return fitting[-1] if fitting else None


def _days(conversation: Conversation, carrier: dict[str, Any], book: Rulebook) -> Iterator[dt.date]:
    """The day that the carrier expects, then the nearest one that the tool named as possible."""
    facts = conversation.facts
    promised, planned = facts.moment("promised_delivery_date"), facts.planned_day
    if promised is None or planned is None:
        return
    latest = promised.date() + dt.timedelta(days=book.shipping.max_days_after_promise)
    expected = dt.datetime.fromisoformat(carrier["expected_at"]).date()
    wanted = min(max(expected, facts.now.date() + dt.timedelta(days=1)), latest)
    if expected <= planned and planned >= facts.now.date():
        return
    yield wanted
    refusal = next(
        (step for step in conversation.of(RESCHEDULE) if "earliest" in step.result), None
    )
    if refusal is not None:
        first = dt.date.fromisoformat(refusal.result["earliest"])
        last = dt.date.fromisoformat(refusal.result["latest"])
        if first <= last:
            yield min(max(wanted, first), last)


def _was_tried(conversation: Conversation, move: Move) -> bool:
    """Whether the same was asked for, whatever the reason given."""
    wanted = {name: value for name, value in (move.arguments or {}).items() if name != "reason"}
    return any(
        all(step.arguments.get(name) == value for name, value in wanted.items())
        for step in conversation.of(move.tool or "")
    )


def _rule(step: Taken) -> str:
    return str(step.result.get("rule") or "SH-5.1")
