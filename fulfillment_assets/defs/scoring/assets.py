"""The tables that one scoring transaction writes: one multi-asset, because it is one commit."""

import datetime as dt
import time
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from fulfillment_assets.defs.constants import DATABASE_RETRY, DAYS, OPERATIONS_OWNER, ORDERS_GROUP
from fulfillment_assets.defs.resources import Platform
from fulfillment_assets.defs.scoring import metadata

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from fulfillment_assets.scoring.reports import Scope

PREDICTIONS: Final = dg.AssetKey("predictions")
KPI_ROLLUPS: Final = dg.AssetKey("kpi_rollups")
DEVIATIONS: Final = dg.AssetKey("deviations")

_COMMON: Final[dict[str, Any]] = {
    "group_name": ORDERS_GROUP,
    "owners": [OPERATIONS_OWNER],
    "freshness_policy": dg.FreshnessPolicy.time_window(
        fail_window=dt.timedelta(hours=24), warn_window=dt.timedelta(hours=6)
    ),
}

SPECS: Final = [
    dg.AssetSpec(
        PREDICTIONS,
        deps=["champion"],
        description=(
            "Delay probability, severity and reasons of every order received on a day. Written "
            "when a file of orders is scored; materialising a day without a batch job scores "
            "its orders again with the champion. Table `fulfillment.predictions`."
        ),
        kinds={"postgres", "lightgbm", "table"},
        **_COMMON,
    ),
    dg.AssetSpec(
        KPI_ROLLUPS,
        deps=[PREDICTIONS],
        description=(
            "Hourly counts by warehouse block, mode of shipment and product importance; each "
            "order counts once, by its latest prediction. Table `fulfillment.kpi_rollups`."
        ),
        kinds={"postgres", "table"},
        **_COMMON,
    ),
    dg.AssetSpec(
        DEVIATIONS,
        deps=[PREDICTIONS],
        description=(
            "Orders at risk of arriving late, and shipped orders not expected on time; one open "
            "deviation per order and kind. Table `fulfillment.deviations`."
        ),
        kinds={"postgres", "table"},
        **_COMMON,
    ),
]

CHECKS: Final = [
    dg.AssetCheckSpec(
        "row_counts_balance",
        asset=PREDICTIONS,
        description="Every row that was received was either predicted or rejected.",
    ),
    dg.AssetCheckSpec(
        "probabilities_in_range",
        asset=PREDICTIONS,
        description="Probabilities lie in [0.001, 0.999] and agree with their severity.",
    ),
    dg.AssetCheckSpec(
        "no_orphans",
        asset=DEVIATIONS,
        description="Every open deviation belongs to a prediction and to an order.",
    ),
]


class ScoringConfig(dg.Config):
    """What to score.

    Attributes:
        batch_job_id: the batch job whose claimed file is scored. Empty: the predictions of the
            chosen days are scored again with the champion.
    """

    batch_job_id: str | None = None


@dg.multi_asset(
    name="score_orders",
    specs=SPECS,
    check_specs=CHECKS,
    partitions_def=DAYS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    retry_policy=DATABASE_RETRY,
)
def score_orders(
    context: dg.AssetExecutionContext, config: ScoringConfig, platform: Platform
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """Score a file of orders, or the orders of whole days again, in one transaction each."""
    if config.batch_job_id is None:
        scored = _rescore_days(context, platform)
    else:
        scored = _score_file(context, platform, uuid.UUID(config.batch_job_id))
    with platform.engine.connect() as connection:
        yield dg.MaterializeResult(
            asset_key=PREDICTIONS, metadata=metadata.of_predictions(connection, scored)
        )
        yield dg.MaterializeResult(
            asset_key=KPI_ROLLUPS, metadata=metadata.of_rollups(connection, scored)
        )
        yield dg.MaterializeResult(
            asset_key=DEVIATIONS, metadata=metadata.of_deviations(connection, scored)
        )
        yield from _check(connection, scored.scope)


def _score_file(
    context: dg.AssetExecutionContext, platform: Platform, batch_job_id: uuid.UUID
) -> metadata.Scored:
    from fulfillment_assets.scoring.events import tell_deviations, tell_scored
    from fulfillment_assets.scoring.pipeline import score_file
    from fulfillment_assets.scoring.reports import Scope

    result = score_file(
        platform.engine,
        platform.settings,
        platform.scorer,
        batch_job_id,
        run_id=context.run.run_id,
    )
    job = result.job
    if job.status == "failed":
        raise dg.Failure(
            f"{job.filename} could not be scored: {job.error_message}",
            metadata={"batch_job_id": str(job.id), "file": job.filename},
            allow_retries=False,
        )
    tell_scored(
        "batch",
        result.severities,
        rejected=job.rejected_count,
        model_version=job.model_version,
        seconds=job.seconds,
        batch_job_id=str(job.id),
    )
    tell_deviations(job.id, result.deviations)
    numbers = {
        "file": job.filename,
        "batch_job_id": str(job.id),
        "received": job.row_count,
        "rows": result.predictions,
        "rejected": job.rejected_count,
        "seconds": round(job.seconds, 3),
        "model_version": job.model_version or "",
    }
    return metadata.Scored(Scope(job.day, job.day, job.id), numbers)


def _rescore_days(context: dg.AssetExecutionContext, platform: Platform) -> metadata.Scored:
    from fulfillment_assets.scoring.reports import Scope
    from fulfillment_assets.scoring.rescore import rescore_day

    started = time.perf_counter()
    days = [dt.date.fromisoformat(key) for key in context.partition_keys]
    rows = 0
    for day in days:
        result = rescore_day(platform.engine, platform.scorer, day)
        context.log.info(f"{day}: {result.predictions:,} predictions scored again")
        rows += result.predictions
    numbers = {
        "rows": rows,
        "days": len(days),
        "seconds": round(time.perf_counter() - started, 3),
        "model_version": platform.scorer.version,
    }
    return metadata.Scored(Scope(min(days), max(days)), numbers)


def _check(connection: "Connection", scope: "Scope") -> Iterator[dg.AssetCheckResult]:
    from fulfillment_assets.deviations.severity import load_thresholds
    from fulfillment_assets.scoring import reports

    thresholds = load_thresholds(connection)
    faults = {
        (PREDICTIONS, "row_counts_balance"): reports.unbalanced_jobs(connection, scope),
        (PREDICTIONS, "probabilities_in_range"): reports.implausible_predictions(
            connection, scope, thresholds
        ),
        (DEVIATIONS, "no_orphans"): reports.orphan_deviations(connection, scope),
    }
    for (asset, name), faulty in faults.items():
        yield dg.AssetCheckResult(
            passed=faulty == 0, asset_key=asset, check_name=name, metadata={"faulty": faulty}
        )
