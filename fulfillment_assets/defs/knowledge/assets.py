"""The index in which the agents look up the company's policies."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from fulfillment_assets.defs.constants import AGENTS_GROUP, DATABASE_RETRY, OPERATIONS_OWNER
from fulfillment_assets.defs.metadata import table
from fulfillment_assets.defs.resources import Platform

if TYPE_CHECKING:
    from fulfillment_assets.knowledge.documents import StoredDocument
    from fulfillment_assets.knowledge.embedders import Embedder
    from fulfillment_assets.knowledge.evaluation import Evaluation

NAME: Final = "knowledge_index"
HIT_AT_5: Final = "hit_at_5"
LEAST_HIT_AT_5: Final = 0.85
MAY_FALL: Final = 0.02
"""By so much the share of answered questions may be below that of the last index."""

CHECKS: Final = [
    dg.AssetCheckSpec(
        "documents_are_indexed",
        asset=NAME,
        description="Every document in force is in the collection that serves.",
    ),
    dg.AssetCheckSpec(
        "every_specialist_is_covered",
        asset=NAME,
        description="Each specialist has documents of its own, besides those for all.",
    ),
    dg.AssetCheckSpec(
        "questions_are_answered",
        asset=NAME,
        description=(
            f"At least {LEAST_HIT_AT_5:.0%} of the evaluation set's questions find a rule that "
            "answers them among the first five chunks, and no fewer than with the last index."
        ),
    ),
]


@dg.asset(
    name=NAME,
    check_specs=CHECKS,
    description=(
        "Policies, agreements, templates and learned resolutions as chunks with vectors in Chroma, "
        "made from `fulfillment.knowledge_documents` after the files of `knowledge_base/` were "
        "taken in. A new collection replaces the old one once it is complete."
    ),
    group_name=AGENTS_GROUP,
    owners=[OPERATIONS_OWNER],
    kinds={"chroma", "postgres"},
    retry_policy=DATABASE_RETRY,
)
def knowledge_index(
    context: dg.AssetExecutionContext, platform: Platform
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """Take in the files that changed, refresh the index, and put the evaluation set to it."""
    from fulfillment_assets.knowledge.documents import ingest_files, live_documents
    from fulfillment_assets.knowledge.errors import KnowledgeError
    from fulfillment_assets.knowledge.evaluation import evaluate, read_questions
    from fulfillment_assets.knowledge.index import refresh
    from fulfillment_assets.knowledge.vector_store import store_of

    settings = platform.settings
    try:
        with platform.engine.begin() as connection:
            taken = ingest_files(connection, settings.knowledge_dir)
        with _embedder(context, platform) as embedder:
            refreshed = refresh(settings, platform.engine, embedder=embedder)
            with platform.engine.connect() as connection:
                documents = live_documents(connection)
            questions = read_questions(settings.knowledge_dir)
            found = evaluate(store_of(settings), embedder, documents, questions)
    except KnowledgeError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    before = _last_score(context.instance)
    state = refreshed.state
    yield dg.MaterializeResult(
        metadata={
            "documents": state.documents,
            "chunks": state.chunks,
            "embedder": state.embedder,
            "collection": state.collection,
            "rebuilt": refreshed.rebuilt,
            "new_files": taken.new,
            "changed_files": taken.changed,
            "removed_files": taken.removed,
            HIT_AT_5: found.groups["all"].hit_at_5,
            "quality": _quality(found),
            "unanswered": found.failed,
        }
    )
    yield dg.AssetCheckResult(
        check_name="documents_are_indexed",
        passed=state.documents == len(documents),
        metadata={"indexed": state.documents, "in_force": len(documents)},
    )
    yield _coverage(documents)
    yield _answered(found, before)


@contextlib.contextmanager
def _embedder(context: dg.AssetExecutionContext, platform: Platform) -> Iterator["Embedder"]:
    """The embedder of the settings; one of OpenAI's logs its usage on this materialisation."""
    from fulfillment_assets.knowledge.embedders import embedder_of

    settings = platform.settings
    key = settings.openai_api_key
    if key is None or settings.knowledge_embedder not in (None, "openai"):
        yield embedder_of(settings)
        return
    from dagster_openai import OpenAIResource

    made = OpenAIResource(api_key=key.get_secret_value(), base_url=settings.openai_base_url)
    with (
        dg.build_resources({"openai": made}) as resources,
        resources.openai.get_client_for_asset(context, context.asset_key) as client,
    ):
        yield embedder_of(settings, client)


def _quality(found: "Evaluation") -> dg.MetadataValue[Any]:
    return table(
        [
            {
                "questions": name,
                "number": quality.questions,
                "hit@1": quality.hit_at_1,
                "hit@5": quality.hit_at_5,
                "MRR": quality.mrr,
            }
            for name, quality in found.groups.items()
        ]
    )


def _coverage(documents: list["StoredDocument"]) -> dg.AssetCheckResult:
    from typing import get_args

    from fulfillment_assets.knowledge.rules import Specialist

    counts = {
        name: sum(name in (document.audience.agent_type or ()) for document in documents)
        for name in get_args(Specialist)
    }
    return dg.AssetCheckResult(
        check_name="every_specialist_is_covered", passed=all(counts.values()), metadata=counts
    )


def _answered(found: "Evaluation", before: float | None) -> dg.AssetCheckResult:
    score = found.groups["all"].hit_at_5
    fallen = before is not None and score < before - MAY_FALL
    return dg.AssetCheckResult(
        check_name="questions_are_answered",
        passed=score >= LEAST_HIT_AT_5 and not fallen,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={HIT_AT_5: score, "before": before if before is not None else "none"},
    )


def _last_score(instance: dg.DagsterInstance) -> float | None:
    event = instance.get_latest_materialization_event(dg.AssetKey(NAME))
    if event is None or event.asset_materialization is None:
        return None
    score = event.asset_materialization.metadata.get(HIT_AT_5)
    return score.value if isinstance(score, dg.FloatMetadataValue) else None
