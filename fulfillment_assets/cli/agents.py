"""Commands about the agents: what they did, and what they ask a person."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fulfillment_assets.agents import approvals, tickets, trail
from fulfillment_assets.cli import agents_report
from fulfillment_assets.cli.opened import opened
from fulfillment_assets.cli.text import Json, notes, print_json, results
from fulfillment_assets.cli.user import user_name
from fulfillment_assets.local import platform
from fulfillment_assets.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

    from fulfillment_assets.agents.workshop import Workshop

app = typer.Typer(no_args_is_help=True, help="The agents that resolve deviations.")


def _id(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text.strip())
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no id, such as the lists show") from error


Deviation = Annotated[
    uuid.UUID, typer.Argument(parser=_id, metavar="DEVIATION_ID", help="See `deviations list`.")
]
ApprovalId = Annotated[
    uuid.UUID, typer.Argument(parser=_id, metavar="APPROVAL_ID", help="See `agents approvals`.")
]
By = Annotated[str | None, typer.Option(help="Who decides; you, if left out.")]
Note = Annotated[str | None, typer.Option(help="What the agents should know, as data.")]


@app.command()
def run(deviation_id: Deviation, note: Note = None, as_json: Json = False) -> None:
    """Have the agents work on a deviation now, in this process.

    It may be of any severity, and one that failed or was escalated is tried again.
    """
    from fulfillment_assets.agents.work import work_one

    with _workshop() as shop:
        with notes.status("the agents are at work ..."):
            worked = work_one(
                shop, deviation_id, f"cli-{uuid.uuid4()}", by=user_name() or "a person", note=note
            )
        if worked.error is not None:
            raise RuntimeError(f"deviation {deviation_id} was not settled: {worked.error}")
        _print_trail(shop.engine, deviation_id, as_json=as_json)


@app.command()
def show(deviation_id: Deviation, as_json: Json = False) -> None:
    """Show the whole trail of a deviation: what was retrieved, decided and done."""
    with _engine() as engine:
        _print_trail(engine, deviation_id, as_json=as_json)


@app.command("approvals")
def list_approvals(
    status: Annotated[
        str, typer.Option(help=f"{', '.join(approvals.STATUSES)}, or all.")
    ] = "pending",
    limit: Annotated[int, typer.Option(min=1, max=approvals.MAX_LIMIT)] = 50,
    as_json: Json = False,
) -> None:
    """List the actions that wait for a person, or that one has decided about."""
    with _engine() as engine, engine.connect() as connection:
        found = approvals.list_approvals(
            connection, status=None if status == "all" else status, limit=limit
        )
    if as_json:
        print_json({"approvals": [agents_report.plain(one) for one in found]})
    else:
        results.print(agents_report.approval_table(found))


@app.command()
def approve(
    approval_id: ApprovalId, by: By = None, note: Note = None, as_json: Json = False
) -> None:
    """Approve an action; the case goes on at once."""
    _decide(approval_id, "approved", by, note, as_json=as_json)


@app.command()
def reject(
    approval_id: ApprovalId, by: By = None, note: Note = None, as_json: Json = False
) -> None:
    """Reject an action; the case goes on without it."""
    _decide(approval_id, "rejected", by, note, as_json=as_json)


@app.command("tickets")
def list_tickets(
    closed: Annotated[bool, typer.Option("--closed", help="Those that are settled.")] = False,
    queue: Annotated[str | None, typer.Option(help="Only those for a team.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=tickets.MAX_LIMIT)] = 50,
    as_json: Json = False,
) -> None:
    """List the cases that agents handed to a person, the most urgent first."""
    with _engine() as engine, engine.connect() as connection:
        found = tickets.list_tickets(connection, closed=closed, queue=queue, limit=limit)
    if as_json:
        print_json({"tickets": [agents_report.plain(one) for one in found]})
    else:
        results.print(agents_report.ticket_table(found))


@app.command()
def close(
    ticket_id: Annotated[
        uuid.UUID, typer.Argument(parser=_id, metavar="TICKET_ID", help="See `agents tickets`.")
    ],
) -> None:
    """Close a ticket that is settled."""
    with _engine() as engine, engine.begin() as connection:
        found = tickets.close_ticket(connection, ticket_id)
    results.print(f"Ticket {found.id} is closed.")


@app.command("opt-out")
def opt_out(
    customer_id: Annotated[str, typer.Argument(help="Who wants no message any more.")],
) -> None:
    """Note that a customer is not to be written to; the agents then send no message."""
    from fulfillment_assets.agents.tools import customer

    with _engine() as engine, engine.begin() as connection:
        source = f"entered by {user_name() or 'a person'}"
        customer.opt_out(connection, customer_id, source, dt.datetime.now(dt.UTC))
    results.print(f"{customer_id} is written to no more.", markup=False)


def _decide(
    approval_id: uuid.UUID,
    decision: Literal["approved", "rejected"],
    by: str | None,
    note: str | None,
    *,
    as_json: bool,
) -> None:
    from fulfillment_assets.agents.groups import claim_group
    from fulfillment_assets.agents.work import work_group

    worker = f"cli-{uuid.uuid4()}"
    with _workshop() as shop:
        with shop.engine.begin() as connection:
            decided = approvals.decide(
                connection, approval_id, decision, by=by or user_name() or "", note=note
            )
        with shop.engine.begin() as connection:
            claim_group(connection, worker)
        with notes.status("the agents go on ..."):
            work_group(shop, worker)
        _print_trail(shop.engine, decided.deviation_id, as_json=as_json)


def _print_trail(engine: Engine, deviation_id: uuid.UUID, *, as_json: bool) -> None:
    with engine.connect() as connection:
        found = trail.read_trail(connection, deviation_id)
    if as_json:
        print_json(agents_report.plain(found))
    else:
        agents_report.print_trail(found)


@contextmanager
def _engine() -> Iterator[Engine]:
    with opened(Settings()) as engine:
        yield engine


@contextmanager
def _workshop() -> Iterator[Workshop]:
    from fulfillment_assets.agents.workshop import workshop

    with (
        _engine() as engine,
        platform.vector_store(Settings()) as settings,
        workshop(engine, settings) as shop,
    ):
        yield shop
