"""The table `model_quality`: how good the predictions were whose outcomes became known on a day.

The day's orders as a whole, and those that the champion itself predicted, are held against the
metrics that its cross-validation promised. Other segments are held against calibration alone:
some have more easy orders than others, so their Brier score and ROC-AUC rightly differ. What is
found there warns, and fails nothing.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine, Row

from fulfillment_assets.delay_model.label import Labels
from fulfillment_assets.delay_model.metadata import ModelMetadata
from fulfillment_assets.delay_model.verdict import Finding, Verdict, gravest
from fulfillment_assets.monitoring.days import day_bounds
from fulfillment_assets.monitoring.measures import (
    Floats,
    Measures,
    against_validated,
    calibration,
    measure,
)
from fulfillment_assets.monitoring.rows import read_table

MINIMUM_OUTCOMES_PER_DAY: Final = 300
"""Fewer outcomes tell a bad model from bad luck only when it is very bad."""

SEGMENTS: Final = (
    "warehouse_block",
    "mode_of_shipment",
    "product_importance",
    "gender",
    "model_version",
    "foreseen",
)
"""By what the outcomes of a day are told apart."""

ALL: Final = "all"
"""Dimension and segment of the row that counts every outcome of the day."""

_DIMENSIONS: Final = (ALL, *SEGMENTS)
"""In the order of a report."""

_READ: Final = f"""
SELECT is_late::int, delay_probability, {", ".join(f"{name}::text" for name in SEGMENTS)}
FROM outcomes
WHERE known_at >= :day AND known_at < :next_day
ORDER BY order_id
"""

_SCHEMA: Final = pa.schema(
    [
        pa.field("is_late", pa.int8()),
        pa.field("delay_probability", pa.float64()),
        *(pa.field(name, pa.string()) for name in SEGMENTS),
    ]
)

_INSERT: Final = """
INSERT INTO model_quality (day, dimension, segment, validated_version, orders, late, foreseen,
                           mean_probability, accuracy, roc_auc, brier, ece, status, findings)
VALUES (:day, :dimension, :segment, :validated_version, :orders, :late, :foreseen,
        :mean_probability, :accuracy, :roc_auc, :brier, :ece, :status, CAST(:findings AS jsonb))
"""

_NEWEST: Final = """
SELECT * FROM model_quality
WHERE day = (
    SELECT max(day) FROM model_quality
    WHERE NOT :champion_judged
       OR dimension = 'model_version' AND segment = validated_version AND status <> 'too_few'
)
"""


@dataclass(frozen=True, slots=True)
class SegmentQuality:
    """The predictions of one segment, and what was found of them.

    Attributes:
        dimension: one of `SEGMENTS`, or `ALL`.
        segment: its value, or `ALL`.
        measures: the figures.
        foreseen: of how many orders the prediction was made before the outcome was known.
        findings: what is worse than chance explains; none where the outcomes are too few.
    """

    dimension: str
    segment: str
    measures: Measures
    foreseen: int
    findings: tuple[Finding, ...]

    @property
    def status(self) -> Verdict:
        """The gravest finding; `ok` without any."""
        if self.measures.orders < MINIMUM_OUTCOMES_PER_DAY:
            return "too_few"
        return gravest(("ok", *(finding.verdict for finding in self.findings)))

    @property
    def name(self) -> str:
        """The segment in words."""
        return "all orders" if self.dimension == ALL else f"{self.dimension} {self.segment}"


@dataclass(frozen=True, slots=True)
class QualityReport:
    """The quality of one day's predictions.

    Attributes:
        day: the UTC day on which the outcomes became known.
        validated_version: the model against whose validated metrics they were held; None where
            no outcome became known.
        measured_at: when they were.
        segments: all orders first; none where no outcome became known.
    """

    day: dt.date
    validated_version: str | None
    measured_at: dt.datetime
    segments: tuple[SegmentQuality, ...]

    @property
    def overall(self) -> SegmentQuality | None:
        """All outcomes of the day."""
        return self.segments[0] if self.segments else None

    @property
    def champion(self) -> SegmentQuality | None:
        """The outcomes that the champion itself predicted."""
        key = ("model_version", self.validated_version)
        return next((s for s in self.segments if (s.dimension, s.segment) == key), None)

    @property
    def status(self) -> Verdict:
        """The gravest of all."""
        return gravest(segment.status for segment in self.segments)

    @property
    def findings(self) -> tuple[str, ...]:
        """What is worse than chance explains, in words, the gravest first."""
        found = [(f, segment.name) for segment in self.segments for f in segment.findings]
        found.sort(key=lambda one: one[0].verdict != "fail")
        return tuple(f"{name}: {finding.message}" for finding, name in found)

    @property
    def message(self) -> str:
        """The verdict in words."""
        if self.overall is None:
            return f"No outcome became known on {self.day}."
        measures = self.overall.measures
        known = f"{measures.orders:,} outcomes became known on {self.day}"
        if self.status == "too_few":
            return f"{known}, too few to judge by; {MINIMUM_OUTCOMES_PER_DAY} are not."
        if not self.findings:
            auc = "" if measures.roc_auc is None else f", ROC-AUC {measures.roc_auc:.3f}"
            return (
                f"{known}, and the predictions were as good as validation promised: "
                f"Brier score {measures.brier:.3f}{auc}, calibration error {measures.ece:.3f}."
            )
        return f"{known}, and the predictions were worse than promised. {'. '.join(self.findings)}."


def measure_quality(engine: Engine, day: dt.date, metadata: ModelMetadata) -> QualityReport:
    """Measure the predictions whose outcomes became known on the UTC day `day`.

    The day's rows of `model_quality` are replaced in one transaction; a second call writes the
    same.

    Args:
        engine: of the application's database.
        day: of `outcomes.known_at`.
        metadata: of the champion, whose validated metrics are the yardstick.
    """
    with engine.begin() as connection:
        connection.execute(sa.text("LOCK TABLE model_quality IN SHARE ROW EXCLUSIVE MODE"))
        outcomes = read_table(connection, _READ, dict(day_bounds(day)), _SCHEMA)
        segments = tuple(_segments(outcomes, metadata))
        report = QualityReport(
            day,
            metadata.version if segments else None,
            connection.execute(sa.text("SELECT now()")).scalar_one(),
            segments,
        )
        connection.execute(sa.text("DELETE FROM model_quality WHERE day = :day"), {"day": day})
        if segments:
            connection.execute(sa.text(_INSERT), [_row(report, segment) for segment in segments])
    return report


def latest_quality(
    connection: Connection, *, champion_judged: bool = False
) -> QualityReport | None:
    """The newest day that was measured and had outcomes; None before the first.

    Args:
        connection: of the application's database.
        champion_judged: pass over days with too few outcomes that the champion had predicted.
    """
    rows = connection.execute(sa.text(_NEWEST), {"champion_judged": champion_judged}).all()
    if not rows:
        return None
    segments = sorted(
        map(_segment, rows), key=lambda s: (_DIMENSIONS.index(s.dimension), s.segment)
    )
    day, version, measured_at = rows[0].day, rows[0].validated_version, rows[0].measured_at
    return QualityReport(day, version, measured_at, tuple(segments))


def _segments(outcomes: pa.Table, metadata: ModelMetadata) -> Iterator[SegmentQuality]:
    late = outcomes["is_late"].to_numpy()
    probability = outcomes["delay_probability"].to_numpy()
    foreseen = outcomes["foreseen"].to_numpy() == "true"
    if not len(late):
        return
    yield _measured(ALL, ALL, late, probability, foreseen, metadata)
    for dimension in SEGMENTS:
        values = outcomes[dimension].to_numpy()
        for segment in sorted(set(values)):
            rows = values == segment
            yield _measured(
                dimension, segment, late[rows], probability[rows], foreseen[rows], metadata
            )


def _measured(
    dimension: str,
    segment: str,
    late: Labels,
    probability: Floats,
    foreseen: np.ndarray[Any, np.dtype[np.bool_]],
    metadata: ModelMetadata,
) -> SegmentQuality:
    measures, validated = measure(late, probability), metadata.metrics
    findings: Iterable[Finding] = ()
    if len(late) >= MINIMUM_OUTCOMES_PER_DAY:
        if dimension == ALL or (dimension, segment) == ("model_version", metadata.version):
            folds = metadata.validation.folds
            findings = against_validated(measures, late, probability, validated, folds)
        else:
            findings = (
                Finding("warn", found.message)
                for found in calibration(measures, probability, validated)
            )
    return SegmentQuality(dimension, segment, measures, int(foreseen.sum()), tuple(findings))


def _row(report: QualityReport, segment: SegmentQuality) -> dict[str, Any]:
    return {
        "day": report.day,
        "validated_version": report.validated_version,
        "dimension": segment.dimension,
        "segment": segment.segment,
        "foreseen": segment.foreseen,
        **asdict(segment.measures),
        "status": segment.status,
        "findings": json.dumps([asdict(finding) for finding in segment.findings]),
    }


def _segment(row: Row[Any]) -> SegmentQuality:
    measures = Measures(**{name: row._mapping[name] for name in Measures.__slots__})
    findings = tuple(Finding(**finding) for finding in row.findings)
    return SegmentQuality(row.dimension, row.segment, measures, row.foreseen, findings)
