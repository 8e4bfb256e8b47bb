"""Knowledge and agents in Dagster: the index, its checks, and deviations that become runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import dagster as dg
import pytest
from sqlalchemy.engine import Engine

from fulfillment_assets.definitions import defs
from fulfillment_assets.defs.resources import RESOURCES
from fulfillment_assets.knowledge.index import serving
from tests.defs.runs import checks, execute, failures, metadata, records
from tests.knowledge.embedding_server import embedding_server
from tests.knowledge.fixtures import chroma
from tests.scoring.workplace import Workplace

__all__ = ["chroma"]


@pytest.fixture
def knowing(
    instance: dg.DagsterInstance, chroma: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Runs and sensors that find the vector store, and no model to ask."""
    monkeypatch.setenv("CHROMA_URL", chroma)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    yield
    for run in instance.get_runs():
        instance.delete_run(run.run_id)


def looked(instance: dg.DagsterInstance, name: str) -> Sequence[dg.RunRequest] | str:
    """What a sensor requests, or why it does not."""
    with dg.build_sensor_context(
        instance=instance, resources=RESOURCES, repository_def=defs.get_repository_def()
    ) as context:
        found = defs.resolve_sensor_def(name).evaluate_tick(context)
    return found.run_requests or str(found.skip_message)


def indexed(instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    run = execute(instance, "index_knowledge")
    assert run.success, failures(run)
    return run


@pytest.mark.usefixtures("knowing")
def test_the_knowledge_base_is_indexed_once_and_again_when_it_changes(
    instance: dg.DagsterInstance, workplace: Workplace
) -> None:
    assert not isinstance(looked(instance, "knowledge_sensor"), str)
    run = indexed(instance)
    assert checks(run) == {
        "documents_are_indexed": True,
        "every_specialist_is_covered": True,
        "questions_are_answered": True,
    }
    told = metadata(run, "knowledge_index")
    assert told["documents"] == len(told["new_files"]) > 10
    assert told["hit_at_5"] >= 0.85
    assert looked(instance, "knowledge_sensor") == "the index is up to date"
    assert metadata(indexed(instance), "knowledge_index")["rebuilt"] is False


@pytest.mark.usefixtures("knowing")
def test_critical_deviations_are_claimed_and_worked(
    instance: dg.DagsterInstance, workplace: Workplace, engine: Engine
) -> None:
    workplace.score(workplace.simulated(120, seed=5))
    assert "no index yet" in str(looked(instance, "deviation_sensor"))
    indexed(instance)
    with engine.connect() as connection:
        assert serving(connection) is not None
    (waiting,) = workplace.rows(
        "SELECT count(*) AS n FROM deviations WHERE severity = 'critical' AND status = 'pending'"
    )
    assert waiting["n"] > 5

    requests = looked(instance, "deviation_sensor")
    assert not isinstance(requests, str)
    claimed = 0
    for request in requests:
        run = execute(
            instance, "resolve_deviations", run_config=request.run_config, tags=request.tags
        )
        assert run.success, failures(run)
        told = metadata(run, "agent_responses")
        assert told["not_settled"] == 0
        assert len(records(told["resolutions"])) == told["deviations"]
        claimed += told["deviations"]
    assert claimed == waiting["n"]
    (left,) = workplace.rows(
        "SELECT count(*) AS n FROM deviations "
        "WHERE severity = 'critical' AND status IN ('pending', 'agent_triggered')"
    )
    assert left["n"] == 0
    assert looked(instance, "deviation_sensor") == "no deviation waits"


@pytest.mark.usefixtures("knowing")
def test_no_more_groups_than_runs_may_work_are_claimed(
    instance: dg.DagsterInstance, workplace: Workplace
) -> None:
    workplace.score(workplace.simulated(60, seed=6))
    indexed(instance)
    job = defs.resolve_job_def("resolve_deviations")
    for _ in range(2):
        instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    assert looked(instance, "deviation_sensor") == "2 runs are at work"
    (claimed,) = workplace.rows(
        "SELECT count(*) AS n FROM deviations WHERE status <> 'pending' AND severity = 'critical'"
    )
    assert claimed["n"] == 0


def test_the_usage_of_openais_embeddings_is_logged_on_the_materialisation(
    knowing: None,
    instance: dg.DagsterInstance,
    workplace: Workplace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with embedding_server() as server:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        told = metadata(indexed(instance), "knowledge_index")
    assert told["embedder"] == "openai-text-embedding-3-small"
    usage = "openai.text-embedding-3-small"
    assert told[f"{usage}.calls"] == len(server.requests) > 0
    assert told[f"{usage}.total_tokens"] > told["chunks"]
