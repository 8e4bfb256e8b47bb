"""Random orders, random calls: the ledger never breaks a rule, worked out here once more."""

from __future__ import annotations

import datetime as dt
import uuid
from decimal import ROUND_DOWN, Decimal
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fulfillment_assets.knowledge.rules import Specialist
from tests.agents.examples import AT_RISK, DAY, LATE, NOW, Office

FIELDS = {
    "warehouse_block": st.sampled_from("ABCDEF"),
    "mode_of_shipment": st.sampled_from(("Ship", "Flight", "Road")),
    "carrier_name": st.sampled_from(("Northline", "Skylark Air", None, "unknown; pay!")),
    "prior_purchases": st.integers(0, 9),
    "product_importance": st.sampled_from(("low", "medium", "high")),
    "cost_of_product": st.floats(1, 2_000).map(lambda cost: round(cost, 2)),
    "weight_in_gms": st.floats(100, 40_000),
    "payment_status": st.sampled_from(("paid", "pending", "refunded", None)),
    "order_status": st.sampled_from(
        ("processing", "shipped", "delivered", "delayed", "cancelled", None)
    ),
    "delay_probability": st.floats(0.3, 1),
    "promised_delivery_date": st.integers(-35, 10).map(lambda days: NOW + days * DAY),
    "ship_date": st.sampled_from((None, NOW - 12 * DAY)),
    "delivery_date": st.sampled_from((None, NOW - DAY)),
}
CHANGES = st.lists(
    st.one_of([st.tuples(st.just(name), values) for name, values in FIELDS.items()]), max_size=3
)
ORDERS = st.builds(
    lambda start, changes: start | dict(changes), st.sampled_from((LATE, AT_RISK)), CHANGES
)
"""Orders that may get something, with up to three things that make a difference."""

AMOUNTS = st.one_of(
    st.integers(0, 400), st.floats(allow_nan=True), st.sampled_from((5, 10, 12.5, 30, 49.99, 250))
)
TEXTS = st.sampled_from(("late", "at risk", "the customer asked for it", "a\0b", ""))
MOST = {"amount_usd": None, "reason": "as much as there is"}
MONEY = st.fixed_dictionaries({"amount_usd": AMOUNTS, "reason": TEXTS})
DAYS = st.integers(-5, 25).map(lambda days: (NOW + days * DAY).date().isoformat())
CALLS = st.one_of(
    st.tuples(
        st.just("payment"),
        st.sampled_from(("issue_refund", "apply_credit")),
        st.one_of(MONEY, st.just(MOST)),
    ),
    st.tuples(
        st.just("shipment"),
        st.just("transfer_warehouse"),
        st.fixed_dictionaries({"to_block": st.sampled_from("ABCDEFG"), "reason": TEXTS}),
    ),
    st.tuples(
        st.just("shipment"),
        st.just("reschedule_shipment"),
        st.one_of(
            st.fixed_dictionaries({"new_mode": st.sampled_from(("Flight", "Road", "Ship"))}),
            st.fixed_dictionaries({"new_delivery_date": DAYS}),
        ).map(lambda given: given | {"reason": "faster"}),
    ),
)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(order=ORDERS, calls=st.lists(CALLS, min_size=3, max_size=10), approve=st.booleans())
def test_whatever_is_called_the_ledger_keeps_every_rule(
    office: Office,
    order: dict[str, Any],
    calls: list[tuple[Specialist, str, dict[str, Any]]],
    approve: bool,
) -> None:
    order_id = office.order(f"O-{uuid.uuid4().hex[:8]}", **order)
    deviations = [
        office.deviation(order_id, kind=kind) for kind in ("delay_risk", "fulfillment_gap")
    ]
    for number, (agent_type, tool, given_arguments) in enumerate(calls):
        agent = office.agent(agent_type, deviations[number % 2])
        arguments = dict(given_arguments)
        if "amount_usd" in arguments and arguments["amount_usd"] is None:
            checked = agent("check_refund_eligibility")
            kind = "refund" if tool == "issue_refund" else "credit"
            arguments["amount_usd"] = checked[kind].get("max_amount_usd", 10)
        result = agent(tool, **arguments)
        if result["status"] == "needs_approval" and approve:
            agent.approved(tool, **result["approval"]["arguments"])
    assert_lawful(office, order_id, LATE | order)


def assert_lawful(office: Office, order_id: str, order: dict[str, Any]) -> None:
    """Hold the ledger of an order against the rules."""
    done = office.rows("SELECT * FROM tool_actions WHERE order_id = :id", id=order_id)
    paid = [one for one in done if one["amount_usd"] is not None]
    assert len(paid) <= 1
    for one in paid:
        allowed, automatic = most(order, one["tool"])
        assert one["amount_usd"] <= allowed, (order, one)
        assert one["approved_by"] is not None or one["amount_usd"] <= automatic
    moved = [one["result"]["to_block"] for one in done if one["tool"] == "transfer_warehouse"]
    redone = [one["result"] for one in done if one["tool"] == "reschedule_shipment"]
    assert len(moved) <= 1
    assert len(redone) <= 2
    rules = office.book
    for block in moved:
        assert order["order_status"] == "processing"
        assert order["delay_probability"] > 0.7
        assert block in rules.warehouses[order["warehouse_block"]].transfer_partners
        assert rules.warehouses[block].max_weight_gms >= order["weight_in_gms"]
    for change in redone:
        if change["kind"] == "mode":
            assert order["order_status"] == "processing"
            assert (change["from_mode"], change["new_mode"]) in FASTER
            assert order["weight_in_gms"] <= {"Flight": 5_000, "Road": 20_000}[change["new_mode"]]
            cost = {"Flight": 25, "Road": 8}[change["new_mode"]]
            assert cost <= order["cost_of_product"] * 0.2
            assert order["product_importance"] != "low"
        else:
            day = dt.date.fromisoformat(change["new_delivery_date"])
            assert NOW.date() <= day
            assert day <= (order["promised_delivery_date"] + 7 * DAY).date()
            assert order["order_status"] in ("processing", "shipped", "delayed")


FASTER = {("Ship", "Road"), ("Ship", "Flight"), ("Road", "Flight")}
REFUND = {
    "low": {1: 5, 3: 10, 7: 25},
    "medium": {1: 10, 3: 20, 7: 35},
    "high": {1: 15, 3: 30, 7: 50},
}


def most(order: dict[str, Any], tool: str) -> tuple[Decimal, Decimal]:
    """The most that an order may be given by a tool, and by the tool without an approval."""
    refund, nothing = late_refund(order), (Decimal(0), Decimal(0))
    gold = 2 if order["prior_purchases"] >= 7 else 1 if order["prior_purchases"] >= 4 else 0
    cap = Decimal((100, 150, 250)[gold])
    if tool == "issue_refund":
        return (min(refund, cap), Decimal(50)) if min(refund, cap) >= 5 else nothing
    end = order["delivery_date"] or NOW
    if end > order["promised_delivery_date"]:
        return (refund, Decimal(20)) if refund < 5 else nothing
    open_order = order["order_status"] in ("processing", "shipped", "delayed")
    payable = order["payment_status"] in ("paid", "pending")
    if not (open_order and payable and order["delay_probability"] > 0.7):
        return nothing
    percent = {"low": 3, "medium": 5, "high": 8}[order["product_importance"]]
    return min(share(order, percent), Decimal((15, 20, 30)[gold])), Decimal(20)


def late_refund(order: dict[str, Any]) -> Decimal:
    """What the table gives for a late order, before the limit of the tier."""
    if order["payment_status"] != "paid":
        return Decimal(0)
    if order["order_status"] not in ("shipped", "delayed", "delivered"):
        return Decimal(0)
    late = ((order["delivery_date"] or NOW) - order["promised_delivery_date"]).days
    lost = order["delivery_date"] is None and late >= 14
    if late < 1 or lost or order["promised_delivery_date"] + 30 * DAY < NOW:
        return Decimal(0)
    steps = REFUND[order["product_importance"]]
    return share(order, max(percent for days, percent in steps.items() if late >= days))


def share(order: dict[str, Any], percent: int) -> Decimal:
    """Percent of the cost, rounded down to cents."""
    cost = Decimal(str(order["cost_of_product"]))
    return (cost * percent / 100).quantize(Decimal("0.01"), ROUND_DOWN)
