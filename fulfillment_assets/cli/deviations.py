"""Commands about the deviations."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from sqlalchemy.engine import Connection

from fulfillment_assets.cli import deviations_report
from fulfillment_assets.cli.opened import opened
from fulfillment_assets.cli.text import Json, print_json, results
from fulfillment_assets.cli.times import moment_or_age
from fulfillment_assets.deviations import reads
from fulfillment_assets.deviations.reads import DeviationFilters, find_deviation
from fulfillment_assets.deviations.status import STATUSES
from fulfillment_assets.settings import Settings

app = typer.Typer(
    no_args_is_help=True, help="Deviations: orders, and segments of orders, that need attention."
)


def _id(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text.strip())
    except ValueError as error:
        raise typer.BadParameter(
            f"{text!r} is no id of a deviation; `fulfillment deviations list` shows them"
        ) from error


def _names(given: list[str] | None) -> tuple[str, ...]:
    """Names from options that may be repeated, and may each have several, with commas."""
    return tuple(name.strip() for text in given or () for name in text.split(",") if name.strip())


@app.command("list")
def list_deviations(
    severity: Annotated[
        list[str] | None,
        typer.Option(help=f"Only these: {', '.join(reads.DEVIATION_SEVERITIES)}."),
    ] = None,
    kind: Annotated[
        list[str] | None, typer.Option(help=f"Only these: {', '.join(reads.KINDS)}.")
    ] = None,
    status: Annotated[
        list[str] | None, typer.Option(help=f"Only these: {', '.join(STATUSES)}.")
    ] = None,
    since: Annotated[
        dt.datetime | None,
        typer.Option(
            parser=moment_or_age,
            metavar="24h|ISO",
            help="Only those opened since: an age (24h, 7d) or a moment.",
        ),
    ] = None,
    order: Annotated[str | None, typer.Option(metavar="ID", help="Only those of an order.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=reads.MAX_LIMIT, help="At most so many.")] = 50,
    after: Annotated[
        uuid.UUID | None,
        typer.Option(parser=_id, metavar="ID", help="Go on after this one, the last one shown."),
    ] = None,
    as_json: Json = False,
) -> None:
    """List deviations, the newest first."""
    filters = DeviationFilters(
        severities=_names(severity),
        kinds=_names(kind),
        statuses=_names(status),
        since=since,
        order_id=order,
    )
    with _connection() as connection:
        page = reads.list_deviations(connection, filters, limit=limit, after=after)
    if as_json:
        print_json(deviations_report.page_summary(page))
        return
    results.print(deviations_report.deviation_table(page.deviations))
    if page.after is not None:
        results.print(f"There are more: --after {page.after}", soft_wrap=True)


@app.command()
def show(
    deviation_id: Annotated[
        uuid.UUID, typer.Argument(parser=_id, metavar="ID", help="As `deviations list` shows it.")
    ],
    as_json: Json = False,
) -> None:
    """Show everything that is known of a deviation."""
    with _connection() as connection:
        found = find_deviation(connection, deviation_id)
    if found is None:
        raise ValueError(
            f"there is no deviation {deviation_id}; `fulfillment deviations list` shows them"
        )
    if as_json:
        print_json(deviations_report.details(found))
    else:
        deviations_report.print_deviation(found)


@contextmanager
def _connection() -> Iterator[Connection]:
    with opened(Settings()) as engine, engine.connect() as connection:
        yield connection
