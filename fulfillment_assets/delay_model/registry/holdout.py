"""The holdout: orders with known outcomes that no model learnt from, and that judge models.

It is frozen on request from data that are trusted, never as a side effect of training: whoever
trains on corrupted labels must not be judged by them. Before the first is frozen, simulated
orders judge.
"""

from __future__ import annotations

import datetime as dt
import functools
import io
from dataclasses import dataclass, replace
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from fulfillment_assets.delay_model import label
from fulfillment_assets.delay_model.errors import TrainingDataError
from fulfillment_assets.delay_model.metadata import SourceKind
from fulfillment_assets.delay_model.training.data import (
    TrainingData,
    content_sha256,
    simulated_training_data,
)
from fulfillment_assets.delay_model.training.split import split
from fulfillment_assets.orders.contract import BY_NAME, FEATURES, Kind

MINIMUM_ROWS: Final = 200
MINIMUM_PER_CLASS: Final = 50
"""Fewer orders than these cannot tell two models apart."""

_SIMULATED_ROWS: Final = 33_400
"""Of these, about 5,000 are held out."""

_SEED: Final = 1_009


@dataclass(frozen=True, slots=True)
class Holdout:
    """Orders that judge models.

    Attributes:
        features: the ten features of the contract, canonical; n rows.
        late: labels, shape (n,).
        kind: kind of the data that they were taken from.
        name: name of those data.
        sha256: digest of features and labels.
        frozen_at: None for the simulated orders that judge before any are frozen.
    """

    features: pa.Table
    late: label.Labels
    kind: SourceKind
    name: str
    sha256: str
    frozen_at: dt.datetime | None


@functools.cache
def reference_holdout() -> Holdout:
    """Simulated orders, about 5,000; always the same."""
    return _held_out(simulated_training_data(rows=_SIMULATED_ROWS, seed=_SEED))


def current_holdout(connection: Connection) -> Holdout:
    """The orders that were frozen last; `reference_holdout` if none were."""
    row = connection.execute(
        sa.text("SELECT * FROM model_holdouts ORDER BY frozen_at DESC, id DESC LIMIT 1")
    ).one_or_none()
    if row is None:
        return reference_holdout()
    table = pq.read_table(pa.BufferReader(bytes(row.content)))
    return Holdout(
        features=table.drop_columns([label.IS_LATE]),
        late=table[label.IS_LATE].to_numpy(),
        kind=row.kind,
        name=row.name,
        sha256=row.sha256,
        frozen_at=row.frozen_at,
    )


def freeze(connection: Connection, data: TrainingData, *, by: str | None = None) -> Holdout:
    """Make the held-out side of data the holdout, in the caller's transaction.

    The same orders are kept once; frozen again, they are the newest again.

    Args:
        connection: in a transaction.
        data: orders whose outcomes are trusted.
        by: who asked for it; the database's user if not given.

    Raises:
        TrainingDataError: too few orders are held out, or too few late or punctual ones.
    """
    holdout = _held_out(data)
    _require_enough(holdout)
    frozen_at = connection.scalar(
        sa.text(
            "INSERT INTO model_holdouts "
            "(kind, name, sha256, rows, late_share, content, frozen_by, frozen_at) "
            "VALUES (:kind, :name, :sha256, :rows, :late_share, :content, "
            "coalesce(:by, current_user), clock_timestamp()) "
            "ON CONFLICT (sha256) DO UPDATE "
            "SET frozen_at = excluded.frozen_at, frozen_by = excluded.frozen_by "
            "RETURNING frozen_at"
        ),
        {
            "kind": holdout.kind,
            "name": holdout.name,
            "sha256": holdout.sha256,
            "rows": len(holdout.late),
            "late_share": float(holdout.late.mean()),
            "content": _parquet(holdout),
            "by": by,
        },
    )
    return replace(holdout, frozen_at=frozen_at)


def _held_out(data: TrainingData) -> Holdout:
    _, aside = split(data)
    features = pa.table({name: _canonical(name, aside.features.column(name)) for name in FEATURES})
    digest = content_sha256(features, aside.late)
    return Holdout(features, aside.late, data.source.kind, data.source.name, digest, None)


def _canonical(name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """One type per feature, whatever the data were read from: equal orders, equal digest."""
    if BY_NAME[name].kind is Kind.CATEGORY:
        return column.cast(pa.string())
    return column.cast(pa.float64(), safe=False)


def _require_enough(holdout: Holdout) -> None:
    late = int((holdout.late == label.LATE).sum())
    on_time = len(holdout.late) - late
    if len(holdout.late) < MINIMUM_ROWS or min(late, on_time) < MINIMUM_PER_CLASS:
        raise TrainingDataError(
            f"{holdout.name} holds out {len(holdout.late)} orders, {late} of them late and "
            f"{on_time} on time. A holdout needs at least {MINIMUM_ROWS}, with at least "
            f"{MINIMUM_PER_CLASS} of each; about one order in seven is held out, so give a file "
            "with more orders."
        )


def _parquet(holdout: Holdout) -> bytes:
    sink = io.BytesIO()
    pq.write_table(holdout.features.append_column(label.IS_LATE, pa.array(holdout.late)), sink)
    return sink.getvalue()
