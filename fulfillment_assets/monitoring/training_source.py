"""What a model is trained on: the retailer's own orders, a file, or simulated orders."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from fulfillment_assets.delay_model.errors import TrainingDataError
from fulfillment_assets.delay_model.metadata import SourceKind, TrainingSource
from fulfillment_assets.delay_model.training.data import (
    TrainingData,
    content_sha256,
    load_training_data,
    read_training_file,
)
from fulfillment_assets.monitoring.rows import read_table
from fulfillment_assets.orders.contract import BY_NAME, FEATURES
from fulfillment_assets.orders.schema import ARROW_TYPES
from fulfillment_assets.settings import Settings

MINIMUM_OUTCOMES: Final = 2_000
"""Fewer orders give a model that is worse than one of the public data."""

MAXIMUM_OUTCOMES: Final = 50_000
"""The newest are learnt from; a model of a few leaves gains nothing from more."""

WantedSource: TypeAlias = SourceKind | Literal["auto"]

_COUNT: Final = """
SELECT count(*) AS known, count(*) FILTER (WHERE foreseen) AS foreseen
FROM outcomes WHERE known_at < CAST(:until AS timestamptz)
"""

_READ: Final = f"""
SELECT is_late::int, known_at, {", ".join(FEATURES)}
FROM (
    SELECT * FROM outcomes
    WHERE known_at < CAST(:until AS timestamptz) AND (foreseen OR NOT :foreseen)
    ORDER BY known_at DESC, order_id
    LIMIT :most
) newest
ORDER BY order_id
"""

_SCHEMA: Final = pa.schema(
    [
        pa.field("is_late", pa.int8()),
        pa.field("known_at", pa.timestamp("us", "UTC")),
        *(pa.field(name, ARROW_TYPES[BY_NAME[name].kind]) for name in FEATURES),
    ]
)


def choose_source(
    connection: Connection,
    settings: Settings,
    *,
    source: WantedSource = "auto",
    file: Path | None = None,
    simulated_allowed: bool,
) -> TrainingData:
    """Training data from the wanted source; see `source_kind` for what `auto` means.

    Raises:
        TrainingDataError: see `source_kind`, `delivered_orders` and `read_training_file`.
    """
    file = file or settings.training_file
    match source_kind(
        connection, settings, source=source, file=file, simulated_allowed=simulated_allowed
    ):
        case "orders":
            return delivered_orders(connection)
        case "file" if file is not None:
            return read_training_file(file)
        case _:
            return load_training_data(None)


def source_kind(
    connection: Connection,
    settings: Settings,
    *,
    source: WantedSource = "auto",
    file: Path | None = None,
    simulated_allowed: bool,
) -> SourceKind:
    """From what kind of source the data would come; reads none of them.

    Args:
        connection: for counting the retailer's own orders.
        settings: their `training_file` stands in for `file`.
        source: `auto` means the retailer's own orders if enough of them have a known outcome,
            else a file if one is named, else simulated orders if they are allowed.
        file: orders with known outcomes.
        simulated_allowed: whether simulated orders may be trained on.

    Raises:
        TrainingDataError: there is no such source; the text says what is missing.
    """
    file = file or settings.training_file
    known = _count(connection, None).known if source in ("auto", "orders") else 0
    usable: dict[SourceKind, bool] = {
        "orders": known >= MINIMUM_OUTCOMES,
        "file": file is not None,
        "simulator": simulated_allowed,
    }
    for kind, there in usable.items():
        if there and source in ("auto", kind):
            return kind
    missing = {
        "orders": _too_few(known),
        "file": "no file of orders with known outcomes is named (FULFILLMENT_TRAINING_FILE)",
        "simulator": "simulated orders are not trained on unless they are asked for",
    }
    reasons = [reason for kind, reason in missing.items() if source in ("auto", kind)]
    raise TrainingDataError(f"There is nothing to train on: {'; '.join(reasons)}.")


def delivered_orders(connection: Connection, *, until: dt.datetime | None = None) -> TrainingData:
    """The retailer's own orders whose outcome is known, the newest `MAXIMUM_OUTCOMES` of them.

    Features of a record that already told the outcome may give it away. So where there are
    enough orders with a forecast, made before the outcome was known, only these are taken; else
    all, and the name of the data says so. Equal rows give equal data.

    Args:
        connection: of the application's database.
        until: outcomes that became known at this moment or later are left out.

    Raises:
        TrainingDataError: fewer than `MINIMUM_OUTCOMES` orders have a known outcome.
    """
    counts = _count(connection, until)
    if counts.known < MINIMUM_OUTCOMES:
        raise TrainingDataError(f"There is nothing to train on: {_too_few(counts.known)}.")
    foreseen = bool(counts.foreseen >= MINIMUM_OUTCOMES)
    parameters = {**_until(until), "foreseen": foreseen, "most": MAXIMUM_OUTCOMES}
    rows = read_table(connection, _READ, parameters, _SCHEMA)
    features, late = rows.select(FEATURES), rows["is_late"].to_numpy().astype(np.int8)
    first, last = (day.as_py().date() for day in pc.min_max(rows["known_at"]).values())
    seen = "seen before" if foreseen else "some seen only after"
    source = TrainingSource(
        kind="orders",
        name=f"{len(late):,} own orders, {seen} their outcome, known {first} to {last}",
        sha256=content_sha256(features, late),
    )
    return TrainingData(features, late, source)


def _count(connection: Connection, until: dt.datetime | None) -> sa.Row[Any]:
    return connection.execute(sa.text(_COUNT), _until(until)).one()


def _until(until: dt.datetime | None) -> dict[str, Any]:
    return {"until": until or "infinity"}


def _too_few(known: int) -> str:
    return (
        f"{known:,} of the retailer's own orders have a known outcome, {MINIMUM_OUTCOMES:,} are "
        "needed"
    )
