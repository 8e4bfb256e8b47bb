"""How the stream stands, and what became of its messages, as text and as JSON."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table

from fulfillment_assets.cli.text import print_json, results
from fulfillment_assets.scoring.dead_letters import DeadLetter
from fulfillment_assets.scoring.stream_repair import RepairResult
from fulfillment_assets.scoring.stream_status import StreamStatus


def summary(found: StreamStatus) -> dict[str, Any]:
    """How the stream stands, for `--json`."""
    now = dt.datetime.now(dt.UTC)
    names = ("lag", "produced", "predicted", "dead_lettered", "passed_over", "missing")
    return {
        "topic": found.topic,
        **{name: found.total(name) for name in names},
        "gaps": len(found.gaps),
        "oldest_waiting_seconds": round(found.oldest_age(now), 3),
        "last_commit": _iso(found.last_commit),
        "partitions": [
            {
                "partition": partition.partition,
                "next_offset": partition.next_offset,
                "log_end": partition.log_end,
                "waits_since": _iso(partition.waits_since),
                **{name: getattr(partition, name) for name in names},
            }
            for partition in found.partitions
        ],
        "recorded_gaps": [
            {
                "partition": gap.partition,
                "first": gap.first,
                "last": gap.last,
                "reason": gap.reason,
            }
            for gap in found.gaps
        ],
    }


def print_status(found: StreamStatus) -> None:
    """How the stream stands, for people."""
    now = dt.datetime.now(dt.UTC)
    table = Table(title=f"Stream of {found.topic}", title_justify="left")
    for name in ("partition", "next", "end", "lag", "waits", "predicted", "dead letters"):
        table.add_column(name, justify="right")
    for one in found.partitions:
        since = one.waits_since
        waits = "-" if since is None else f"{(now - since).total_seconds():.1f} s"
        counts = (one.next_offset, one.log_end, one.lag)
        table.add_row(
            str(one.partition),
            *(f"{count:,}" for count in counts),
            waits,
            f"{one.predicted:,}",
            f"{one.dead_lettered:,}",
        )
    results.print(table)
    last = "nothing committed yet"
    if found.last_commit is not None:
        last = f"last commit {_shown(found.last_commit)}"
    results.print(
        f"{found.total('produced'):,} produced: {found.total('predicted'):,} predicted, "
        f"{found.total('dead_lettered'):,} dead-lettered, {found.total('passed_over'):,} passed "
        f"over, {found.total('lag'):,} waiting; {last}.",
        soft_wrap=True,
    )
    for gap in found.gaps:
        results.print(f"Gap: {gap}", markup=False, soft_wrap=True)
    if missing := found.total("missing"):
        results.print(f"[bold red]{missing:,} messages are missing.[/]")


def print_repair(what: str, found: RepairResult, *, as_json: bool) -> None:
    """What became of messages out of turn."""
    if as_json:
        print_json(
            {
                "predicted": found.predicted,
                "dead_lettered": found.dead_lettered,
                "left_alone": found.known,
            }
        )
        return
    results.print(
        f"{what}: {found.predicted:,} predicted now, {found.dead_lettered:,} cannot be scored, "
        f"{found.known:,} left alone.",
        markup=False,
        soft_wrap=True,
    )


def print_letters(letters: Sequence[DeadLetter]) -> None:
    """Dead letters, for people."""
    table = Table(title="Dead letters", title_justify="left")
    for name in ("id", "partition", "offset"):
        table.add_column(name, justify="right")
    table.add_column("rejected at")
    table.add_column("reason", overflow="fold")
    for letter in letters:
        row = letter.rejected.row
        place = (str(letter.id), str(letter.partition), str(row.row_number))
        table.add_row(*place, _shown(letter.created_at), escape(row.reasons))
    results.print(table)


def described(letter: DeadLetter) -> dict[str, Any]:
    """A dead letter, for `--json`."""
    rejected = letter.rejected
    key, value = rejected.message.key, rejected.message.value
    return {
        "id": letter.id,
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": rejected.message.offset,
        "produced_at": _iso(rejected.message.produced_at),
        "rejected_at": _iso(letter.created_at),
        "reason": rejected.row.reasons,
        "key": None if key is None else key.decode(errors="replace"),
        "value": None if value is None else value.decode(errors="replace"),
    }


def _shown(moment: dt.datetime) -> str:
    return f"{moment.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S} UTC"


def _iso(moment: dt.datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
