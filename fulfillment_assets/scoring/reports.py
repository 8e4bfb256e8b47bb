"""What was just scored, read back: the riskiest orders, and whether the tables hold together."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from fulfillment_assets.delay_model.artifacts import read_metadata
from fulfillment_assets.delay_model.bands import SEVERITIES
from fulfillment_assets.delay_model.errors import ArtifactError
from fulfillment_assets.delay_model.metadata import ModelMetadata
from fulfillment_assets.delay_model.registry.champion import champion_version
from fulfillment_assets.delay_model.registry.errors import UnknownVersionError
from fulfillment_assets.delay_model.registry.versions import read_version
from fulfillment_assets.delay_model.wording import in_brief
from fulfillment_assets.deviations.rules import ORDER_KINDS
from fulfillment_assets.deviations.severity import Thresholds
from fulfillment_assets.deviations.status import OPEN_STATUSES
from fulfillment_assets.orders.contract import CLOSED_STATUSES
from fulfillment_assets.store.partitions import start_of

LOWEST, HIGHEST = 0.001, 0.999


@dataclass(frozen=True, slots=True)
class Scope:
    """Predictions received from `first` to `last` (UTC days), of one batch job or of all."""

    first: dt.date
    last: dt.date
    batch_job_id: uuid.UUID | None = None

    @property
    def condition(self) -> str:
        """SQL over `predictions p`; days first, so that other partitions are not touched."""
        days = "p.created_at >= :first AND p.created_at < :end"
        return days if self.batch_job_id is None else f"{days} AND p.batch_job_id = :job"

    @property
    def parameters(self) -> dict[str, object]:
        """The values of `condition`."""
        end = start_of(self.last + dt.timedelta(days=1))
        return {"first": start_of(self.first), "end": end, "job": self.batch_job_id}


@dataclass(frozen=True, slots=True)
class RiskyOrder:
    """One order and why it is at risk.

    Attributes:
        order_id: the order.
        delay_probability: of its prediction.
        severity: of its prediction.
        features: the ten features that were scored.
        reasons: feature and contribution, the greatest first.
        model: tells what is usual: the model that made the prediction, or the champion where
            that one's files are not at hand.
    """

    order_id: str
    delay_probability: float
    severity: str
    features: dict[str, Any]
    reasons: list[dict[str, Any]]
    model: ModelMetadata

    @property
    def reasons_in_words(self) -> str:
        """For example `discount 58 % (far above usual), weight 1,350 g`."""
        names = [str(reason["feature"]) for reason in self.reasons]
        return ", ".join(in_brief(name, self.features[name], self.model) for name in names)


def riskiest(connection: Connection, scope: Scope, *, limit: int = 10) -> list[RiskyOrder]:
    """The orders of a scope with the highest delay probability that are still to be delivered.

    Raises:
        UnknownVersionError: the files of a model are not at hand, and there is no champion.
    """
    rows = connection.execute(
        sa.text(
            "SELECT p.order_id, p.delay_probability, p.severity, p.features_json, p.reasons, "
            f"p.model_version FROM predictions p WHERE {scope.condition} "
            f"AND coalesce(p.order_status, '') NOT IN {CLOSED_STATUSES} "
            "ORDER BY p.delay_probability DESC, p.order_id LIMIT :limit"
        ),
        scope.parameters | {"limit": limit},
    ).all()
    versions = {row.model_version for row in rows}
    models = {version: _model(connection, version) for version in versions}
    return [
        RiskyOrder(
            order_id=row.order_id,
            delay_probability=row.delay_probability,
            severity=row.severity,
            features=row.features_json,
            reasons=row.reasons,
            model=models[row.model_version],
        )
        for row in rows
    ]


def _model(connection: Connection, version: str) -> ModelMetadata:
    try:
        return read_metadata(read_version(connection, version))
    except (UnknownVersionError, ArtifactError):
        champion = champion_version(connection) or version
        return read_metadata(read_version(connection, champion))


def severity_counts(connection: Connection, scope: Scope) -> dict[str, int]:
    """How many predictions of a scope fall to each severity, the gravest first."""
    rows = connection.execute(
        sa.text(
            f"SELECT p.severity, count(*) AS n FROM predictions p WHERE {scope.condition} "
            "GROUP BY p.severity"
        ),
        scope.parameters,
    )
    counted = {row.severity: int(row.n) for row in rows}
    return {name: counted.get(name, 0) for name in reversed(SEVERITIES)}


def implausible_predictions(connection: Connection, scope: Scope, thresholds: Thresholds) -> int:
    """Predictions whose probability is out of range, or does not agree with their severity."""
    expected = (
        "CASE WHEN p.delay_probability > :critical THEN 'critical' "
        "WHEN p.delay_probability > :warning THEN 'warning' "
        "WHEN p.delay_probability > :info THEN 'info' ELSE 'none' END"
    )
    return _count(
        connection,
        f"FROM predictions p WHERE {scope.condition} AND (p.severity <> {expected} "
        "OR p.delay_probability NOT BETWEEN :lowest AND :highest)",
        scope.parameters
        | {"lowest": LOWEST, "highest": HIGHEST}
        | {name: getattr(thresholds, name) for name in ("critical", "warning", "info")},
    )


def unbalanced_jobs(connection: Connection, scope: Scope) -> int:
    """Completed batch jobs whose rows are not exactly their predictions and rejected records."""
    return _count(
        connection,
        "FROM batch_jobs b "
        "LEFT JOIN (SELECT p.batch_job_id, count(*) AS n FROM predictions p "
        f"WHERE {scope.condition} GROUP BY 1) predicted ON predicted.batch_job_id = b.id "
        "LEFT JOIN (SELECT batch_job_id, count(*) AS n FROM rejected_records "
        "WHERE CAST(:job AS uuid) IS NULL OR batch_job_id = :job GROUP BY 1) refused "
        "ON refused.batch_job_id = b.id "
        "WHERE b.status = 'completed' AND b.created_at >= :first AND b.created_at < :end "
        "AND (CAST(:job AS uuid) IS NULL OR b.id = :job) "
        "AND b.row_count <> coalesce(predicted.n, 0) + coalesce(refused.n, 0)",
        scope.parameters,
    )


def orphan_deviations(connection: Connection, scope: Scope) -> int:
    """Open order deviations that a scope should hold, without their prediction or order."""
    return _count(
        connection,
        f"FROM deviations d WHERE d.status IN {OPEN_STATUSES} AND d.kind IN {ORDER_KINDS} "
        "AND d.updated_at >= :first AND (CAST(:job AS uuid) IS NULL OR d.batch_job_id = :job) "
        "AND (NOT EXISTS (SELECT FROM predictions p WHERE p.id = d.prediction_id) "
        "OR NOT EXISTS (SELECT FROM orders o WHERE o.order_id = d.order_id))",
        scope.parameters,
    )


def _count(connection: Connection, query: str, parameters: dict[str, object]) -> int:
    return int(connection.scalar(sa.text(f"SELECT count(*) {query}"), parameters) or 0)
