"""Deviations, as text and as JSON."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

from rich.markup import escape
from rich.table import Table

from fulfillment_assets.cli.text import results
from fulfillment_assets.deviations.reads import Deviation, DeviationDetails, DeviationPage

_COLOURS: Final = {"critical": "bold red", "warning": "yellow", "info": "cyan"}


def page_summary(page: DeviationPage) -> dict[str, Any]:
    """A page of deviations, for `--json`."""
    return {
        "deviations": [_plain(asdict(deviation)) for deviation in page.deviations],
        "after": None if page.after is None else str(page.after),
    }


def details(found: DeviationDetails) -> dict[str, Any]:
    """One deviation with its context, for `--json`."""
    known = asdict(found)
    return _plain(known.pop("deviation") | known)


def deviation_table(deviations: Sequence[Deviation]) -> Table:
    """Deviations, a row each."""
    table = Table(title="Deviations, the newest first", title_justify="left")
    table.add_column("id", no_wrap=True)
    table.add_column("opened (UTC)", no_wrap=True)
    for name in ("severity", "status"):
        table.add_column(name)
    table.add_column("what", overflow="fold")
    for one in deviations:
        subject = f"{one.order_id}: " if one.order_id is not None else ""
        table.add_row(
            str(one.id),
            f"{one.created_at:%m-%d %H:%M}",
            f"[{_COLOURS[one.severity]}]{one.severity}[/]",
            one.status,
            escape(f"{subject}{one.reason}"),
        )
    return table


def print_deviation(found: DeviationDetails) -> None:
    """One deviation with its context."""
    one = found.deviation
    lines = {
        "deviation": one.id,
        "order": one.order_id,
        "segment": one.segment_key,
        "kind": one.kind,
        "severity": one.severity,
        "status": one.status,
        "reason": one.reason,
        "opened": _moment(one.created_at),
        "updated": _moment(one.updated_at),
        "breach over": _moment(found.ended_at),
        "prediction": found.prediction_id,
        "batch job": found.batch_job_id,
    }
    for name, value in lines.items():
        if value is not None:
            results.print(f"{name:<12} {value}", markup=False, soft_wrap=True)
    results.print("context", markup=False)
    text = json.dumps(found.context, indent=2, ensure_ascii=False)
    results.print(text, markup=False, soft_wrap=True)


def _moment(moment: dt.datetime | None) -> str | None:
    return None if moment is None else f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, dt.datetime) else value
        for name, value in values.items()
    }
