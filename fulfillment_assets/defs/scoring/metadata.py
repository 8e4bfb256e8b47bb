"""Metadata of the scoring assets: numbers, and tables to look at in the UI."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from fulfillment_assets.defs.metadata import picture, table

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from fulfillment_assets.kpis.reads import Kpis
    from fulfillment_assets.scoring.reports import RiskyOrder, Scope

PREVIEW_ROWS: Final = 10


@dataclass(frozen=True, slots=True)
class Scored:
    """What a materialisation did: where its rows are, and the numbers of the run."""

    scope: "Scope"
    numbers: dict[str, Any]


def of_predictions(connection: "Connection", scored: Scored) -> dict[str, Any]:
    """Rows, severities and the riskiest orders."""
    from fulfillment_assets.scoring.reports import riskiest, severity_counts

    severities = severity_counts(connection, scored.scope)
    preview = riskiest(connection, scored.scope, limit=PREVIEW_ROWS)
    return (
        scored.numbers
        | {"dagster/row_count": scored.numbers["rows"]}
        | {f"severity_{name}": count for name, count in severities.items()}
        | {"riskiest_orders": riskiest_table(preview)}
    )


def of_rollups(connection: "Connection", scored: Scored) -> dict[str, Any]:
    """The KPIs of the rolling window, its riskiest segments, and a chart."""
    from fulfillment_assets.kpis.dashboard import read_dashboard
    from fulfillment_assets.kpis.plots import over_time, png

    found = read_dashboard(connection)
    overall = found.overall
    return {
        "rows": overall.orders,
        "orders_in_window": overall.orders,
        "mean_probability": overall.mean_probability or 0.0,
        "on_time_rate": overall.on_time_rate or 0.0,
        "high_risk": overall.high_risk,
        "fulfillment_gaps": overall.gaps,
        "seconds": scored.numbers["seconds"],
        "model_version": scored.numbers["model_version"],
        "by_warehouse_block": kpi_table(found.by("warehouse_block")),
        "riskiest_segments": table(
            [
                one.segment | {n: v for n, v in asdict(one).items() if n != "segment"}
                for one in found.riskiest
            ]
        ),
        "chart": picture(png(over_time(found.daily))),
    }


def of_deviations(connection: "Connection", scored: Scored) -> dict[str, Any]:
    """Deviations of the batch (of all, after scoring again) and the gravest open ones."""
    from fulfillment_assets.deviations.reads import deviation_counts, gravest_open

    job = scored.scope.batch_job_id
    counts = deviation_counts(connection, job)
    columns = ("order_id", "segment_key", "kind", "severity", "reason", "status", "created_at")
    return {
        "rows": sum(sum(severities.values()) for severities in counts.values()),
        **{f"{kind}_{s}": n for kind, severities in counts.items() for s, n in severities.items()},
        "seconds": scored.numbers["seconds"],
        "model_version": scored.numbers["model_version"],
        "gravest_open": table(
            [
                {name: getattr(deviation, name) for name in columns}
                for deviation in gravest_open(connection, job, limit=PREVIEW_ROWS)
            ]
        ),
    }


def riskiest_table(orders: Sequence["RiskyOrder"]) -> dg.MetadataValue[Any]:
    """The riskiest orders with their reasons in words."""
    return table(
        [
            {
                "order_id": order.order_id,
                "delay_probability": order.delay_probability,
                "severity": order.severity,
                "reasons": order.reasons_in_words,
            }
            for order in orders
        ]
    )


def kpi_table(kpis: Sequence["Kpis"]) -> dg.MetadataValue[Any]:
    """KPIs, a row a segment."""
    return table(
        [
            segment.segment
            | {
                name: value
                for name, value in asdict(segment).items()
                if name not in ("segment", "severities")
            }
            | segment.severities
            for segment in kpis
        ]
    )
