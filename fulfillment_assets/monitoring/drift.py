"""The table `data_drift`: each day's orders against those that the champion was trained on.

The bins are counted in PostgreSQL, so a day of any size takes the same memory here.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from fulfillment_assets.delay_model.drift import (
    ChiSquare,
    FeatureDrift,
    feature_bins,
    feature_drift,
)
from fulfillment_assets.delay_model.metadata import ModelMetadata
from fulfillment_assets.delay_model.profile import TrainingProfile
from fulfillment_assets.delay_model.verdict import Finding, Verdict, gravest
from fulfillment_assets.monitoring.days import day_bounds

_LATEST: Final = """
SELECT DISTINCT ON (order_id) features_json AS features
FROM predictions
WHERE created_at >= :day AND created_at < :next_day
ORDER BY order_id, event_time DESC, created_at DESC, id DESC
"""

_INSERT: Final = """
INSERT INTO data_drift (day, feature, model_version, orders, psi, chi_square,
                        degrees_of_freedom, p_value, status, message)
VALUES (:day, :feature, :model_version, :orders, :psi, :chi_square,
        :degrees_of_freedom, :p_value, :status, :message)
"""

_NEWEST: Final = """
SELECT * FROM data_drift
WHERE day = (SELECT max(day) FROM data_drift WHERE status <> 'too_few' OR NOT :judged)
ORDER BY psi DESC, feature
"""


@dataclass(frozen=True, slots=True)
class DriftReport:
    """The drift of one day.

    Attributes:
        day: the UTC day on which the orders were received.
        model_version: the model whose training orders they were held against; None where no
            order was received.
        measured_at: when they were.
        orders: how many different orders were received.
        features: the greatest index first; none where no order was received.
    """

    day: dt.date
    model_version: str | None
    measured_at: dt.datetime
    orders: int
    features: tuple[FeatureDrift, ...]

    @property
    def status(self) -> Verdict:
        """The gravest verdict of any feature."""
        return gravest(feature.verdict for feature in self.features)

    @property
    def message(self) -> str:
        """The verdict in words."""
        if not self.features:
            return f"No order was received on {self.day}."
        if self.status in ("warn", "fail"):
            moved = [f.finding.message for f in self.features if f.verdict in ("warn", "fail")]
            return f"{self.orders:,} orders of {self.day} have drifted. {'. '.join(moved)}."
        if self.status == "too_few":
            return f"{self.orders:,} orders of {self.day} are too few to tell drift from chance."
        return (
            f"{self.orders:,} orders of {self.day} are like the training orders; the feature that "
            f"moved most is {self.features[0].finding.message}."
        )


def measure_drift(engine: Engine, day: dt.date, metadata: ModelMetadata) -> DriftReport:
    """Hold the orders received on the UTC day `day` against a model's training profile.

    Each order counts once, by its latest prediction of the day. The day's rows of `data_drift`
    are replaced in one transaction; a second call writes the same.
    """
    with engine.begin() as connection:
        connection.execute(sa.text("LOCK TABLE data_drift IN SHARE ROW EXCLUSIVE MODE"))
        report = _measure(connection, day, metadata)
        connection.execute(sa.text("DELETE FROM data_drift WHERE day = :day"), {"day": day})
        if report.features:
            connection.execute(sa.text(_INSERT), [_row(report, f) for f in report.features])
    return report


def latest_drift(connection: Connection, *, judged: bool = False) -> DriftReport | None:
    """The newest day that was measured and had orders; None before the first.

    Args:
        connection: of the application's database.
        judged: pass over days with too few orders, such as one that has just begun.
    """
    rows = connection.execute(sa.text(_NEWEST), {"judged": judged}).all()
    if not rows:
        return None
    features = tuple(
        FeatureDrift(
            row.feature,
            row.orders,
            row.psi,
            ChiSquare(row.chi_square, row.degrees_of_freedom, row.p_value),
            Finding(row.status, row.message),
        )
        for row in rows
    )
    return DriftReport(
        rows[0].day, rows[0].model_version, rows[0].measured_at, rows[0].orders, features
    )


def _measure(connection: Connection, day: dt.date, metadata: ModelMetadata) -> DriftReport:
    counts = _count_bins(connection, day, metadata.profile)
    measured_at = connection.execute(sa.text("SELECT now()")).scalar_one()
    if not any(map(any, counts.values())):
        return DriftReport(day, None, measured_at, 0, ())
    features = [
        feature_drift(name, bins, metadata.training_data.rows, counts[name])
        for name, bins in feature_bins(metadata.profile).items()
    ]
    moved_most_first = sorted(features, key=lambda feature: (-feature.psi, feature.feature))
    orders = features[0].orders
    return DriftReport(day, metadata.version, measured_at, orders, tuple(moved_most_first))


def _count_bins(
    connection: Connection, day: dt.date, profile: TrainingProfile
) -> dict[str, list[int]]:
    """Orders of a day by feature, one count for each bin."""
    bins = feature_bins(profile)
    positions = {
        name: f"width_bucket((features ->> '{name}')::float8, CAST(:{name} AS float8[]))"
        for name in profile.numbers
    } | {
        name: f"array_position(CAST(:{name} AS text[]), features ->> '{name}') - 1"
        for name in profile.categories
    }
    columns = ", ".join(f"{position} AS {name}" for name, position in positions.items())
    query = (
        f"SELECT {', '.join(positions)}, count(*) AS orders "
        f"FROM (SELECT {columns} FROM ({_LATEST}) latest) sorted "
        f"GROUP BY GROUPING SETS ({', '.join(f'({name})' for name in positions)})"
    )
    parameters: dict[str, Any] = day_bounds(day)
    parameters |= {name: list(number.edges) for name, number in profile.numbers.items()}
    parameters |= {name: list(shares) for name, shares in profile.categories.items()}
    counts = {name: [0] * len(bins[name].names) for name in bins}
    for row in connection.execute(sa.text(query), parameters):
        [(name, bin_)] = [(n, row._mapping[n]) for n in positions if row._mapping[n] is not None]
        counts[name][bin_] = row.orders
    return counts


def _row(report: DriftReport, feature: FeatureDrift) -> dict[str, Any]:
    return {
        "day": report.day,
        "model_version": report.model_version,
        "feature": feature.feature,
        "orders": feature.orders,
        "psi": feature.psi,
        "chi_square": feature.test.statistic,
        "degrees_of_freedom": feature.test.degrees_of_freedom,
        "p_value": feature.test.p_value,
        "status": feature.verdict,
        "message": feature.finding.message,
    }
