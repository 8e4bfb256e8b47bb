"""Jobs over the scoring assets."""

from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from fulfillment_assets.defs.constants import BATCH_JOB_TAG, CORRELATION_TAG
from fulfillment_assets.defs.scoring.assets import CHECKS, score_orders

if TYPE_CHECKING:
    from fulfillment_assets.scoring.batch_jobs import BatchJob

SCORING_JOB: Final = "score_batch"

score_batch = dg.define_asset_job(
    SCORING_JOB,
    selection=dg.AssetSelection.assets(score_orders).without_checks()
    | dg.AssetSelection.checks(*(check.key for check in CHECKS)),
    description="Score one file of orders, or one day's orders again, in one transaction.",
)


def run_config(job: "BatchJob") -> dict[str, Any]:
    """Configuration of the run that scores the file of a job."""
    return {"ops": {"score_orders": {"config": {"batch_job_id": str(job.id)}}}}


def run_tags(job: "BatchJob") -> dict[str, str]:
    """Tags by which the run of a job is found again."""
    return {
        BATCH_JOB_TAG: str(job.id),
        CORRELATION_TAG: job.correlation_id,
        "fulfillment/file": job.filename,
    }
