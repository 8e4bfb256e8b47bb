"""What a model may hand to each tool: it never names an order, a customer or a deviation.

A tool acts on the order of its desk's case alone.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from fulfillment_assets.knowledge.rules import Block, Channel, Mode, Specialist


class Arguments(BaseModel):
    """Arguments of which none is unknown."""

    model_config = ConfigDict(extra="forbid")


class Nothing(Arguments):
    """The tool needs no arguments."""


class SearchKnowledgeBase(Arguments):
    """What to look for."""

    query: str = Field(description="A question, in a few words.")


class RescheduleShipment(Arguments):
    """A new date or a faster mode; one of them."""

    reason: str = Field(description="Why, in a sentence.")
    new_delivery_date: str | None = Field(default=None, description="A day as YYYY-MM-DD.")
    new_mode: Mode | None = Field(default=None, description="A faster mode of shipment.")


class TransferWarehouse(Arguments):
    """Another block."""

    to_block: Block = Field(description="The block that shall pick the order.")
    reason: str = Field(description="Why, in a sentence.")


class DraftEmail(Arguments):
    """A template, or subject and body."""

    template: str | None = Field(default=None, description="Name of a template.")
    subject: str | None = Field(default=None, description="Subject, without a template.")
    body: str | None = Field(default=None, description="Text, without a template.")
    reason: str | None = Field(
        default=None, description="For a template: why the order is late, in half a sentence."
    )


class SendNotification(DraftEmail):
    """A template, or subject and body, and the channel by which it goes out."""

    channel: Channel = Field(description="How it is sent.")


class LogInteraction(Arguments):
    """An entry of the contact history."""

    summary: str = Field(description="What happened and what was agreed.")
    channel: Literal["email", "sms", "in_app", "phone", "internal"] = Field(
        default="internal", description="By which way."
    )
    direction: Literal["outbound", "inbound"] = Field(
        default="outbound", description="inbound: the customer wrote or called."
    )


class Compensation(Arguments):
    """An amount; the rules give the most that is possible."""

    amount_usd: float = Field(description="US dollars, with at most two decimals.")
    reason: str = Field(description="Why, in a sentence.")


class CreateTicket(Arguments):
    """A question to a person."""

    question: str = Field(description="The one question that the person has to answer.")
    tried: str | None = Field(default=None, description="What was tried, with what result.")
    priority: str | None = Field(
        default=None, description="Higher than the rules say; left out: as they say."
    )
    concerns: Specialist = Field(
        default="escalation",
        description="shipment: carriers, dates, warehouses; customer: messages, complaints; "
        "payment: money; escalation: everything else.",
    )


class AssignHuman(Arguments):
    """A queue for the open ticket."""

    queue: str = Field(description="Name of the queue.")
    reason: str = Field(description="Why, in a sentence.")


class FlagPriority(Arguments):
    """A priority that is not lower than the present one."""

    priority: str = Field(description="Name of the priority.")
    reason: str = Field(description="Why, in a sentence.")
