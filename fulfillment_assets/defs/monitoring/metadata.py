"""Metadata of the assets that watch the model."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from fulfillment_assets.defs.metadata import table

if TYPE_CHECKING:
    from fulfillment_assets.monitoring.drift import DriftReport
    from fulfillment_assets.monitoring.quality import QualityReport


def of_quality(report: "QualityReport") -> dict[str, Any]:
    """Figures of every segment; the overall ones as numbers to plot."""
    measured = {} if report.overall is None else asdict(report.overall.measures)
    return {
        "dagster/row_count": len(report.segments),
        "status": report.status,
        "message": report.message,
        **{name: float(value) for name, value in measured.items() if value is not None},
        "segments": table(
            [
                {"segment": segment.name, "status": segment.status} | asdict(segment.measures)
                for segment in report.segments
            ]
        ),
    }


def of_drift(report: "DriftReport") -> dict[str, Any]:
    """Every feature's measures; the greatest index as a number to plot."""
    return {
        "dagster/row_count": len(report.features),
        "status": report.status,
        "message": report.message,
        "orders": report.orders,
        "greatest_psi": max((feature.psi for feature in report.features), default=0.0),
        "features": table(
            [
                {
                    "feature": feature.feature,
                    "psi": feature.psi,
                    "chi_square": feature.test.statistic,
                    "p_value": feature.test.p_value,
                    "status": feature.verdict,
                }
                for feature in report.features
            ]
        ),
    }
