"""What the agents did, as text and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from rich.markup import escape
from rich.table import Table

from fulfillment_assets.agents.approvals import Approval
from fulfillment_assets.agents.tickets import Ticket
from fulfillment_assets.cli.text import results

if TYPE_CHECKING:
    from fulfillment_assets.agents.trail import StoredResponse, Trail

_CHUNKS: Final = 3
_COLOURS: Final = {
    "done": "green",
    "refused": "yellow",
    "needs_approval": "magenta",
    "resolved": "green",
    "escalated": "yellow",
}


def plain(found: Any) -> dict[str, Any]:
    """A dataclass for `--json`: ids, dates and amounts as text."""
    shown: dict[str, Any] = json.loads(json.dumps(asdict(found), default=str))
    return shown


def approval_table(approvals: Sequence[Approval]) -> Table:
    """Requests for approval, a row each."""
    table = Table(title="Actions for a person to decide", title_justify="left")
    for name in ("id", "asks", "action", "USD", "why", "status"):
        table.add_column(name, no_wrap=name == "id", overflow="fold")
    for one in approvals:
        answered = one.status if one.decided_by is None else f"{one.status} by {one.decided_by}"
        amount = "" if one.amount_usd is None else f"{one.amount_usd:,.2f}"
        table.add_row(
            str(one.id), one.agent_type, one.tool, amount, escape(one.reason), escape(answered)
        )
    return table


def ticket_table(tickets: Sequence[Ticket]) -> Table:
    """Tickets, a row each."""
    table = Table(title="Cases for a person", title_justify="left")
    for name in ("id", "priority", "queue", "answer by (UTC)", "order", "question"):
        table.add_column(name, no_wrap=name == "id", overflow="fold")
    for one in tickets:
        table.add_row(
            str(one.id),
            one.priority,
            one.queue,
            f"{one.respond_by:%m-%d %H:%M}",
            escape(one.order_id or ""),
            escape(one.question),
        )
    return table


def print_trail(found: Trail) -> None:
    """Order, risk, what was retrieved, what each agent did, and how it ended."""
    deviation = found.deviation.deviation
    order = found.deviation.context.get("order", {})
    subject = deviation.order_id or f"segment {deviation.segment_key}"
    _line(f"[bold]{escape(subject)}[/]: {deviation.kind}, {deviation.severity}")
    if order:
        names = ("order_status", "warehouse_block", "mode_of_shipment", "product_importance")
        known = [str(order[name]) for name in names if order.get(name) is not None]
        cost, weight = order.get("cost_of_product"), order.get("weight_in_gms")
        _line(f"  order      {', '.join(known)}, {cost:,.0f} USD, {weight:,.0f} g")
    _line(f"  at risk    {escape(deviation.reason)}")
    _line(f"  logged as  {escape(found.correlation_id)}")
    for response in found.responses:
        if response.agent_type != "orchestrator":
            _print_response(response)
    for approval in found.approvals:
        by = f" by {approval.decided_by}" if approval.decided_by else ""
        _line(f"  [bold]a person[/]   {approval.tool}: {approval.status}{escape(by)}")
    if found.summary is not None:
        _line(f"  [bold]summary[/]    {escape(found.summary)}")
    colour = _COLOURS.get(deviation.status, "bold")
    _line(f"  [bold]outcome[/]    [{colour}]{deviation.status}[/]")


def _print_response(response: StoredResponse) -> None:
    details = response.details_json
    _line(f"  [bold]{response.agent_type}[/] ({escape(response.model)}): {response.action}")
    for chunk in details.get("chunks", ())[:_CHUNKS]:
        where = f"{chunk['source']}, {chunk['section']}"
        _line(f"    retrieved  {chunk['score']:.2f}  {escape(where)}")
    for step in details.get("steps", ()):
        result = step["result"]
        status = str(result.get("status"))
        rule = f" (rule {step['rule']})" if step["rule"] else ""
        shown = f"[{_COLOURS.get(status, 'cyan')}]{status}[/]"
        _line(f"    {step['tool']}: {shown} {escape(str(result.get('reason', '')))}{escape(rule)}")


def _line(text: str) -> None:
    results.print(text, soft_wrap=True)
