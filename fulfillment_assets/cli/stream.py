"""Commands about the stream: how it stands, and what to do about messages that went astray."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Final

import typer

from fulfillment_assets.cli.opened import opened
from fulfillment_assets.cli.stream_report import (
    described,
    print_letters,
    print_repair,
    print_status,
    summary,
)
from fulfillment_assets.cli.text import Json, print_json, results
from fulfillment_assets.local import platform
from fulfillment_assets.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

    from fulfillment_assets.delay_model.scorer import DelayScorer

app = typer.Typer(
    no_args_is_help=True, help="The stream of orders from Kafka: its state, and repairs."
)
dlq = typer.Typer(no_args_is_help=True, help="Dead letters: messages that could not be scored.")
app.add_typer(dlq, name="dlq")

_PAGE: Final = 1_000

Partition = Annotated[int, typer.Option(min=0, help="Partition of the events' topic.")]


@app.command()
def status(as_json: Json = False) -> None:
    """Tell how the stream stands: what was produced, what became of it, what waits."""
    from fulfillment_assets.events.backlog import watching
    from fulfillment_assets.scoring.stream_status import stream_status

    with _stream() as (settings, engine), watching(settings, engine) as waiting:
        backlogs = waiting()
        with engine.connect() as connection:
            found = stream_status(connection, settings.events_topic, backlogs)
    if as_json:
        print_json(summary(found))
    else:
        print_status(found)


@app.command()
def replay(
    partition: Partition,
    start: Annotated[int, typer.Option("--from", min=0, help="First offset.")],
    end: Annotated[
        int | None,
        typer.Option("--to", min=0, help="Last offset and one; unset: as far as was read."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Read messages again that the stream has passed, and score those that are missing.

    Those are the ones that were skipped, or that Kafka has again. What has a prediction or a dead
    letter is left alone, so nothing is doubled; to score it with another model, backfill its day
    of `predictions` in Dagster.
    """
    from fulfillment_assets.events.offsets import positions
    from fulfillment_assets.events.ranges import StreamRange
    from fulfillment_assets.scoring.stream_repair import replay_range

    with _stream() as (settings, engine):
        topic = settings.events_topic
        if end is None:
            with engine.connect() as connection:
                stands = {p.partition: p.next_offset for p in positions(connection, topic)}
            end = stands.get(partition, 0)
        if end <= start:
            raise ValueError(
                f"there is nothing to replay from offset {start}: the range ends at {end}"
            )
        wanted = StreamRange(topic, partition, start, end)
        found = replay_range(engine, settings, _scorer(engine, settings), wanted)
    print_repair(str(wanted), found, as_json=as_json)


@app.command()
def skip(
    partition: Partition,
    to: Annotated[int, typer.Option(min=1, help="The offset to go on at.")],
    as_json: Json = False,
) -> None:
    """Let a partition go on at a later offset, past messages that cannot be read.

    They are recorded as a gap, which `stream status` shows. `stream replay` scores what can be
    read of them after all.
    """
    from fulfillment_assets.events.client import admin, broker_errors
    from fulfillment_assets.events.offsets import skip as skip_to
    from fulfillment_assets.events.topic_log import look_at

    with _stream() as (settings, engine):
        topic = settings.events_topic
        with broker_errors(settings), admin(settings) as client:
            ends = look_at(client, topic).ends
        if to > ends.get(partition, 0):
            raise ValueError(
                f"{topic}[{partition}] ends at offset {ends[partition]}; it cannot go on at {to}"
                if partition in ends
                else f"{topic} has no partition {partition}; it has 0 to {max(ends)}"
            )
        with engine.begin() as connection:
            gap = skip_to(connection, topic, partition, to)
    if as_json:
        print_json({"topic": topic, "partition": partition, "from": gap.first, "to": to})
        return
    results.print(
        f"Skipped {gap.offsets:,} offsets, {gap.first} to {gap.last}, of {topic}[{partition}].",
        markup=False,
        soft_wrap=True,
    )


@dlq.command("list")
def list_dead_letters(
    limit: Annotated[int, typer.Option(min=1, help="How many to show, the oldest first.")] = 20,
    after: Annotated[int, typer.Option(min=0, help="Only those with a greater id.")] = 0,
    as_json: Json = False,
) -> None:
    """List the messages that could not be scored, each with its position and what is wrong."""
    from fulfillment_assets.scoring.dead_letters import dead_letters

    with _database() as (settings, engine), engine.connect() as connection:
        found = dead_letters(connection, settings.events_topic, limit=limit, after=after)
    if as_json:
        print_json({"dead_letters": [described(letter) for letter in found]})
        return
    print_letters(found)


@dlq.command("retry")
def retry_dead_letters(
    ids: Annotated[
        list[int] | None, typer.Argument(help="As `fulfillment stream dlq list` shows them.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All there are.")] = False,
    as_json: Json = False,
) -> None:
    """Judge dead letters again by the rules of today; those that pass become predictions.

    The others stay. A message that was mended at its source needs no retry: it comes anew.
    """
    from fulfillment_assets.scoring.stream_repair import RepairResult
    from fulfillment_assets.scoring.stream_repair import retry_dead_letters as retry

    if bool(ids) == every:
        raise typer.BadParameter("name the dead letters, or give --all", param_hint="IDS")
    with _database() as (settings, engine):
        pages = _pages(engine, settings.events_topic) if every else iter([ids or []])
        scorer = _scorer(engine, settings)
        found = [retry(engine, scorer, page) for page in pages]
    total = RepairResult(
        sum(one.predicted for one in found),
        sum(one.dead_lettered for one in found),
        sum(one.known for one in found),
    )
    print_repair("Dead letters", total, as_json=as_json)


def _pages(engine: Engine, topic: str) -> Iterator[list[int]]:
    from fulfillment_assets.scoring.dead_letters import dead_letters

    last = 0
    while True:
        with engine.connect() as connection:
            page = [d.id for d in dead_letters(connection, topic, limit=_PAGE, after=last)]
        if not page:
            return
        yield page
        last = page[-1]


@contextmanager
def _database() -> Iterator[tuple[Settings, Engine]]:
    settings = Settings()
    with opened(settings) as engine:
        yield settings, engine


@contextmanager
def _stream() -> Iterator[tuple[Settings, Engine]]:
    """The settings, pointing at the broker, and the database."""
    with _database() as (settings, engine), platform.broker(settings) as found:
        yield found, engine


def _scorer(engine: Engine, settings: Settings) -> DelayScorer:
    from fulfillment_assets.delay_model.registry.champion import Champion

    return Champion(engine, settings.models_dir).scorer()
