"""The company's rules as data, read from the front matter of the knowledge base.

What stands in `Rulebook` is what the agents' tools enforce; the text that agents read has its
numbers filled in from the same rules, so the two cannot disagree.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Final, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

Mode: TypeAlias = Literal["Ship", "Flight", "Road"]
Block: TypeAlias = Literal["A", "B", "C", "D", "E", "F"]
Importance: TypeAlias = Literal["low", "medium", "high"]
PaymentStatus: TypeAlias = Literal["paid", "pending", "refunded"]
OrderStatus: TypeAlias = Literal["processing", "shipped", "delivered", "delayed", "cancelled"]
Severity: TypeAlias = Literal["critical", "warning", "info"]
Tier: TypeAlias = Literal["standard", "silver", "gold"]
Specialist: TypeAlias = Literal["shipment", "customer", "payment", "escalation"]
Channel: TypeAlias = Literal["email", "sms", "in_app"]

Usd: TypeAlias = Annotated[Decimal, Field(ge=0, max_digits=9, decimal_places=2)]
Share: TypeAlias = Annotated[float, Field(ge=0, le=1)]
Percent: TypeAlias = Annotated[int, Field(ge=0, le=100)]
Count: TypeAlias = Annotated[int, Field(ge=0)]
Positive: TypeAlias = Annotated[int, Field(gt=0)]

TIERS: Final[tuple[Tier, ...]] = ("standard", "silver", "gold")


class Rules(BaseModel):
    """Rules that cannot be changed, and of which none is unknown."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ShippingRules(Rules):
    """When an order may be rescheduled, sent by a faster mode, or moved to another warehouse."""

    reschedulable_statuses: tuple[OrderStatus, ...]
    max_reschedules_per_order: Positive
    max_days_after_promise: Positive
    mode_change_statuses: tuple[OrderStatus, ...]
    mode_changes: Mapping[Mode, tuple[Mode, ...]]
    mode_change_above_probability: Share
    mode_change_importances: tuple[Importance, ...]
    mode_surcharge_usd: Mapping[Mode, Usd]
    max_surcharge_percent: Percent
    transfer_statuses: tuple[OrderStatus, ...]
    max_transfers_per_order: Positive
    transfer_above_probability: Share
    tracking_max_age_hours: Positive
    tell_customer_within_hours: Positive


class LatenessPercent(Rules):
    """Percent of the cost that is paid back from a number of days late on, by importance."""

    from_days: Positive
    low: Percent
    medium: Percent
    high: Percent


class RefundRules(Rules):
    """Who is paid back how much, and who decides it."""

    eligible_payment_statuses: tuple[PaymentStatus, ...]
    eligible_order_statuses: tuple[OrderStatus, ...]
    tier_min_prior_purchases: Mapping[Tier, Count]
    limit_usd_by_tier: Mapping[Tier, Usd]
    automatic_limit_usd: Usd
    approval_limit_usd: Usd
    minimum_usd: Usd
    percent_by_days_late: tuple[LatenessPercent, ...] = Field(min_length=1)
    max_compensations_per_order: Positive
    claim_window_days: Positive
    lost_after_days: Positive
    payout_days: Positive

    @model_validator(mode="after")
    def _ascends(self) -> Self:
        days = [step.from_days for step in self.percent_by_days_late]
        if days != sorted(set(days)):
            raise ValueError(f"percent_by_days_late: from_days must ascend, not {days}")
        if not self.minimum_usd <= self.automatic_limit_usd <= self.approval_limit_usd:
            raise ValueError(
                "minimum_usd, automatic_limit_usd and approval_limit_usd must ascend, not "
                f"{self.minimum_usd}, {self.automatic_limit_usd}, {self.approval_limit_usd}"
            )
        for name in ("tier_min_prior_purchases", "limit_usd_by_tier"):
            _check_tiers(name, getattr(self, name))
        if self.tier_min_prior_purchases["standard"] != 0:
            raise ValueError("tier_min_prior_purchases.standard must be 0: every customer has it")
        return self

    def tier(self, prior_purchases: int) -> Tier:
        """The tier of a customer with so many earlier purchases."""
        return next(
            tier
            for tier in reversed(TIERS)
            if prior_purchases >= self.tier_min_prior_purchases[tier]
        )

    def percent(self, days_late: int, importance: Importance) -> int:
        """Percent of the cost that is paid back; 0 for an order that is not late."""
        reached = [step for step in self.percent_by_days_late if days_late >= step.from_days]
        return getattr(reached[-1], importance) if reached else 0


class CreditRules(Rules):
    """Goodwill for an order at risk that is not late yet."""

    above_probability: Share
    eligible_payment_statuses: tuple[PaymentStatus, ...]
    percent_by_importance: Mapping[Importance, Percent]
    limit_usd_by_tier: Mapping[Tier, Usd]
    automatic_limit_usd: Usd
    validity_days: Positive

    @model_validator(mode="after")
    def _ascends(self) -> Self:
        _check_tiers("limit_usd_by_tier", self.limit_usd_by_tier)
        return self


class Priority(Rules):
    """One line of the table of priorities."""

    name: str
    at_least_probability: Share
    importances: tuple[Importance, ...]
    response_minutes: Positive
    resolve_hours: Positive


class EscalationRules(Rules):
    """When a person takes over, how fast, and in which queue."""

    priorities: tuple[Priority, ...] = Field(min_length=1)
    high_value_usd: Usd
    care_calls_at_least: Positive
    rating_at_most: Annotated[int, Field(ge=1, le=5)]
    confidence_below: Share
    max_attempts: Positive
    approval_expires_hours: Positive
    queues: Mapping[Specialist, str]
    staffed_from: dt.time
    staffed_until: dt.time
    out_of_hours_queue: str

    @model_validator(mode="after")
    def _covers(self) -> Self:
        last = self.priorities[-1]
        if last.at_least_probability > 0 or len(set(last.importances)) < 3:
            raise ValueError("priorities: the last one must fit every order")
        if missing := {"shipment", "customer", "payment", "escalation"} - set(self.queues):
            raise ValueError(f"queues: {', '.join(sorted(missing))} is missing")
        if self.out_of_hours_queue not in self.queues.values():
            raise ValueError(f"out_of_hours_queue {self.out_of_hours_queue!r} is none of `queues`")
        return self

    def priority(self, probability: float, importance: Importance) -> Priority:
        """The first priority that fits an order."""
        return next(
            p
            for p in self.priorities
            if probability >= p.at_least_probability and importance in p.importances
        )


class CommunicationRules(Rules):
    """How, when and in which words customers are written to."""

    channels: tuple[Channel, ...] = Field(min_length=1)
    max_length: Mapping[Channel, Positive]
    channel_by_severity: Mapping[Severity, Channel]
    quiet_from: dt.time
    quiet_until: dt.time
    max_messages_per_day: Positive
    languages: tuple[str, ...]
    default_language: str
    messages_despite_opt_out: tuple[str, ...]
    forbidden_phrases: tuple[str, ...]
    log_within_minutes: Positive

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.default_language not in self.languages:
            raise ValueError(f"default_language {self.default_language!r} is none of `languages`")
        if missing := set(self.channels) - set(self.max_length):
            raise ValueError(f"max_length: {', '.join(sorted(missing))} is missing")
        return self


class CarrierRules(Rules):
    """What one carrier has committed itself to; weights in grams, times in UTC."""

    mode: Mode
    min_transit_days: Positive
    max_transit_days: Positive
    max_weight_gms: Positive
    cut_off: dt.time
    reschedule_notice_hours: Positive
    tracking_hours: Positive
    on_time_percent: Percent
    claim_days: Positive

    @model_validator(mode="after")
    def _ascends(self) -> Self:
        if self.min_transit_days > self.max_transit_days:
            raise ValueError("min_transit_days is greater than max_transit_days")
        return self


class CarriersRules(Rules):
    """All carriers, and what their modes can carry."""

    max_weight_gms_by_mode: Mapping[Mode, Positive]
    by_name: Mapping[str, CarrierRules]

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        for name, carrier in self.by_name.items():
            limit = self.max_weight_gms_by_mode.get(carrier.mode)
            if limit is None:
                raise ValueError(f"max_weight_gms_by_mode: {carrier.mode} is missing")
            if carrier.max_weight_gms > limit:
                raise ValueError(
                    f"by_name.{name}.max_weight_gms {carrier.max_weight_gms} is above the "
                    f"{limit} of {carrier.mode}"
                )
        return self

    def serving(self, mode: Mode, weight_gms: float) -> tuple[str, ...]:
        """Names of the carriers that take a parcel of this weight by this mode, fastest first."""
        fit = [
            (carrier.max_transit_days, name)
            for name, carrier in self.by_name.items()
            if carrier.mode == mode and weight_gms <= carrier.max_weight_gms
        ]
        return tuple(name for _, name in sorted(fit))


class WarehouseRules(Rules):
    """What one block can do; weights in grams, times in UTC."""

    block: Block
    place: str
    modes: tuple[Mode, ...] = Field(min_length=1)
    processing_hours: Positive
    cut_off: dt.time
    docks: Positive
    max_weight_gms: Positive
    daily_transfer_capacity: Count
    transfer_partners: tuple[Block, ...]


class TemplateRules(Rules):
    """A message with placeholders in single braces."""

    name: str
    channel: Channel
    subject: str
    placeholders: tuple[str, ...]
    body: str

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        for name in self.placeholders:
            if f"{{{name}}}" not in self.subject + self.body:
                raise ValueError(f"placeholders: {name} occurs neither in subject nor in body")
        try:
            self.subject.format(**dict.fromkeys(self.placeholders, ""))
            self.body.format(**dict.fromkeys(self.placeholders, ""))
        except (KeyError, IndexError) as error:
            raise ValueError(f"placeholders: {error.args[0]!r} is used but not listed") from None
        return self


def _check_tiers(name: str, by_tier: Mapping[Tier, Decimal] | Mapping[Tier, int]) -> None:
    if missing := set(TIERS) - set(by_tier):
        raise ValueError(f"{name}: {', '.join(sorted(missing))} is missing")
    amounts = [by_tier[tier] for tier in TIERS]
    if amounts != sorted(amounts):
        raise ValueError(f"{name} must ascend from standard to gold, not {amounts}")
