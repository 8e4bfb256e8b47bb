"""Hours of traffic in the rollups, and what the segment rules make of them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from fulfillment_assets.deviations.rules import watch_segments
from fulfillment_assets.deviations.segments import Segment
from fulfillment_assets.deviations.severity import SegmentThresholds, Thresholds
from fulfillment_assets.scoring.staging import open_staging
from tests.deviations.examples import rows

NOON: Final = dt.datetime(2026, 3, 10, 12, tzinfo=dt.UTC)
HOUR: Final = dt.timedelta(hours=1)
MINUTE: Final = dt.timedelta(minutes=1)

LEAVES: Final = tuple(
    f"{warehouse}/{mode}/{importance}"
    for warehouse in "AF"
    for mode in ("Ship", "Road")
    for importance in ("low", "high")
)
"""Eight segments of equal traffic."""

MEAN: Final = 0.6
SQUARE: Final = 0.42
"""Mean of the squared probabilities: their variance is 0.06, as that of the committed model's."""

_NAMES: Final = (
    "warehouse_block, mode_of_shipment, product_importance, orders, probability_sum, "
    "probability_square_sum, critical, warning, info, gap"
)
_ADD: Final = f"""
INSERT INTO kpi_rollups AS k (bucket, {_NAMES})
VALUES (:bucket, :warehouse_block, :mode_of_shipment, :product_importance, :orders,
    :total, :squares, :late, 0, 0, 0)
ON CONFLICT (bucket, warehouse_block, mode_of_shipment, product_importance) DO UPDATE SET
    orders = k.orders + excluded.orders,
    probability_sum = k.probability_sum + excluded.probability_sum,
    probability_square_sum = k.probability_square_sum + excluded.probability_square_sum,
    critical = k.critical + excluded.critical
"""

_REPEAT: Final = f"""
INSERT INTO kpi_rollups (bucket, {_NAMES})
SELECT bucket - back * interval '1 hour', {_NAMES}
FROM kpi_rollups, generate_series(1, :hours - 1) AS back WHERE bucket = :last
"""


def add(
    engine: Engine,
    hour: dt.datetime,
    orders: int = 50,
    means: Mapping[str, float] | None = None,
    *,
    late_share: float = 0.3,
    leaves: tuple[str, ...] = LEAVES,
) -> None:
    """Count orders of an hour in each leaf, with the usual mean or, below some segments, another.

    Args:
        engine: of the database.
        hour: the bucket.
        orders: in each leaf.
        means: mean delay probability of the leaves below a segment, by its key.
        late_share: share of the orders that are not expected on time.
        leaves: those that have traffic.
    """
    values = []
    for key in leaves:
        leaf = Segment.of(key)
        [*_, mean] = [MEAN] + [
            mean for segment, mean in (means or {}).items() if leaf.overlaps([Segment.of(segment)])
        ]
        values.append(
            {
                "bucket": hour,
                **{name: getattr(leaf, name) for name in Segment.__slots__},
                "orders": orders,
                "total": orders * mean,
                "squares": orders * (SQUARE + mean**2 - MEAN**2),
                "late": round(orders * late_share),
            }
        )
    with engine.begin() as connection:
        connection.execute(sa.text(_ADD), values)


def usual_week(engine: Engine, before: dt.datetime = NOON, *, hours: int = 168) -> None:
    """The hours before a moment, as they usually are."""
    if hours:
        last = before - HOUR
        add(engine, last)
        with engine.begin() as connection:
            connection.execute(sa.text(_REPEAT), {"last": last, "hours": hours})


def watch(
    engine: Engine, now: dt.datetime, segments: SegmentThresholds | None = None
) -> list[tuple[str, str, str, str]]:
    """Judge the segments; kind, segment, severity and status of all their deviations, oldest first.

    Thresholds that are not given are the defaults.
    """
    with engine.begin() as connection:
        open_staging(connection)
        watch_segments(connection, Thresholds(segments=segments or SegmentThresholds()), now)
    return segment_deviations(engine)


def segment_deviations(engine: Engine) -> list[tuple[str, str, str, str]]:
    """Kind, segment, severity and status of all deviations of segments, oldest first."""
    return [
        (d["kind"], d["segment_key"], d["severity"], d["status"])
        for d in rows(engine, "SELECT * FROM deviations WHERE segment_key IS NOT NULL ORDER BY id")
    ]


def only_context(engine: Engine) -> dict[str, Any]:
    """The context of the only deviation of a segment."""
    [row] = rows(engine, "SELECT context FROM deviations WHERE segment_key IS NOT NULL")
    found: dict[str, Any] = row["context"]
    return found


SHIFTED: Final = "F/Road/*"
LATE: Final = NOON + 59 * MINUTE
"""Nearly the end of the hour that begins at noon."""


def risk(
    severity: str = "critical", status: str = "pending", key: str = SHIFTED
) -> tuple[str, ...]:
    """A deviation of the risk of a segment, as `watch` tells it."""
    return ("segment_risk", key, severity, status)
