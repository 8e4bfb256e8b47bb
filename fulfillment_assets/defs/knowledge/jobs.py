"""The index as a job, run when the files of the knowledge base have changed."""

import dagster as dg

from fulfillment_assets.defs.knowledge.assets import knowledge_index
from fulfillment_assets.defs.resources import Platform
from fulfillment_assets.defs.runs import unfinished

index_knowledge = dg.define_asset_job(
    "index_knowledge",
    selection=dg.AssetSelection.assets(knowledge_index),
    description="Take in the files of the knowledge base that changed, and refresh the index.",
)


@dg.sensor(
    job=index_knowledge,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Requests a run once a file of the knowledge base, or its embedder, has changed.",
)
def knowledge_sensor(
    context: dg.SensorEvaluationContext, platform: Platform
) -> dg.RunRequest | dg.SkipReason:
    """Compare files, documents and index."""
    from fulfillment_assets.knowledge.errors import KnowledgeError
    from fulfillment_assets.knowledge.freshness import why_outdated

    if platform.settings.chroma_url is None:
        return dg.SkipReason("no Chroma server is configured (CHROMA_URL)")
    try:
        with platform.engine.connect() as connection:
            reason = why_outdated(platform.settings, connection)
    except KnowledgeError as error:
        return dg.SkipReason(str(error))
    if reason is None:
        return dg.SkipReason("the index is up to date")
    if context.instance.get_runs_count(unfinished(index_knowledge.name)):
        return dg.SkipReason("a run is at work on it")
    return dg.RunRequest(tags={"fulfillment/reason": reason})
