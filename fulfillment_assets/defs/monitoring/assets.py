"""The tables that watch the model, a partition a day."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

import dagster as dg

from fulfillment_assets.defs.constants import DATABASE_RETRY, DAYS, ML_OWNER, MONITORING_GROUP
from fulfillment_assets.defs.monitoring import metadata
from fulfillment_assets.defs.resources import Platform

if TYPE_CHECKING:
    from fulfillment_assets.monitoring.drift import DriftReport
    from fulfillment_assets.monitoring.quality import QualityReport


@dg.asset(
    deps=["predictions"],
    description=(
        "What became of each order that was last heard of on a day: its truth (delivered after the "
        "promise, or overdue) joined with what had been predicted. Table `fulfillment.outcomes`."
    ),
    group_name=MONITORING_GROUP,
    owners=[ML_OWNER],
    kinds={"postgres", "table"},
    partitions_def=DAYS,
    retry_policy=DATABASE_RETRY,
)
def outcomes(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult[None]:
    """Learn the outcomes that the records of the day tell."""
    from fulfillment_assets.monitoring.outcomes import learn_outcomes

    learned = asdict(learn_outcomes(platform.engine, _day(context)))
    del learned["day"]
    return dg.MaterializeResult(metadata={"dagster/row_count": learned["known"], **learned})


@dg.asset(
    deps=[outcomes, "champion"],
    check_specs=[
        dg.AssetCheckSpec(
            "as_good_as_validated",
            asset="model_quality",
            description=(
                "The predictions whose outcomes became known are as good as validation promised, "
                "beyond what chance explains. Warns when worse, fails when worse by a margin."
            ),
        )
    ],
    description=(
        "Accuracy, ROC-AUC, Brier score and calibration of the predictions whose outcomes became "
        "known on a day, overall and by segment. Table `fulfillment.model_quality`."
    ),
    group_name=MONITORING_GROUP,
    owners=[ML_OWNER],
    kinds={"postgres", "table"},
    partitions_def=DAYS,
    retry_policy=DATABASE_RETRY,
)
def model_quality(
    context: dg.AssetExecutionContext, platform: Platform
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """Measure the predictions of the day against the champion's validated metrics."""
    from fulfillment_assets.monitoring.quality import measure_quality

    report = measure_quality(platform.engine, _day(context), platform.scorer.metadata)
    yield dg.MaterializeResult(metadata=metadata.of_quality(report))
    yield _check("as_good_as_validated", report)


@dg.asset(
    deps=["predictions", "champion"],
    check_specs=[
        dg.AssetCheckSpec(
            "like_the_training_orders",
            asset="data_drift",
            description=(
                "The orders received are distributed as those that the champion learnt from. Warns "
                "above a population stability index of 0.1, fails above 0.25, where a chi-square "
                "test rules out chance."
            ),
        )
    ],
    description=(
        "How far the features of the orders received on a day are from the champion's training "
        "orders: population stability index and chi-square. Table `fulfillment.data_drift`."
    ),
    group_name=MONITORING_GROUP,
    owners=[ML_OWNER],
    kinds={"postgres", "table"},
    partitions_def=DAYS,
    retry_policy=DATABASE_RETRY,
)
def data_drift(
    context: dg.AssetExecutionContext, platform: Platform
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """Hold the orders of the day against the champion's training profile."""
    from fulfillment_assets.monitoring.drift import measure_drift

    report = measure_drift(platform.engine, _day(context), platform.scorer.metadata)
    yield dg.MaterializeResult(metadata=metadata.of_drift(report))
    yield _check("like_the_training_orders", report)


def _day(context: dg.AssetExecutionContext) -> dt.date:
    return dt.date.fromisoformat(context.partition_key)


def _check(name: str, report: "QualityReport | DriftReport") -> dg.AssetCheckResult:
    failed = report.status == "fail"
    return dg.AssetCheckResult(
        passed=report.status in ("ok", "too_few"),
        check_name=name,
        severity=dg.AssetCheckSeverity.ERROR if failed else dg.AssetCheckSeverity.WARN,
        description=report.message,
        metadata={"status": report.status},
    )
