"""The `fulfillment` command: options in, text out. The work is done by the packages."""

from __future__ import annotations

import logging
import sys

import typer

from fulfillment_assets.agents.claims import ClaimError
from fulfillment_assets.agents.errors import UnknownDeviationError
from fulfillment_assets.cli import (
    agents,
    bench,
    database,
    deviations,
    keys,
    knowledge,
    kpis,
    model,
    orders,
    platform,
    settings,
    simulate,
    stream,
    train,
)
from fulfillment_assets.cli.text import complain
from fulfillment_assets.delay_model.errors import DelayModelError
from fulfillment_assets.events.client import KafkaUnavailableError
from fulfillment_assets.events.offsets import PartitionBusyError, TopicReplacedError
from fulfillment_assets.events.reader import LogTruncatedError
from fulfillment_assets.knowledge.errors import KnowledgeUnavailableError
from fulfillment_assets.local.errors import LocalServiceError
from fulfillment_assets.store.connection import DatabaseUnavailableError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="See a late delivery before it happens: score orders for delay risk.",
)
app.command()(platform.up)
app.command()(platform.demo)
app.command()(orders.score)
app.command()(simulate.simulate)
app.command()(train.train)
app.add_typer(model.app, name="model")
app.add_typer(database.app, name="db")
app.add_typer(stream.app, name="stream")
app.add_typer(kpis.app, name="kpis")
app.add_typer(knowledge.app, name="knowledge")
app.add_typer(deviations.app, name="deviations")
app.add_typer(agents.app, name="agents")
app.add_typer(settings.app, name="settings")
app.add_typer(keys.app, name="keys")
app.add_typer(bench.app, name="bench")

EXPECTED = (
    ClaimError,
    UnknownDeviationError,
    LocalServiceError,
    DatabaseUnavailableError,
    KafkaUnavailableError,
    KnowledgeUnavailableError,
    LogTruncatedError,
    PartitionBusyError,
    TopicReplacedError,
    DelayModelError,
    OSError,
    ValueError,
)
"""Errors whose text is written for the user; any other shows its traceback."""


def main() -> None:
    """Run the command; expected errors end it with one line and status 1."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except EXPECTED as error:
        complain(error)
        sys.exit(1)
