"""Whether all that is served is as described: thousands of generated requests over real HTTP.

A worker of uvicorn serves a real database with orders, deviations, responses and documents, and a
real Chroma. Schemathesis generates requests from the served OpenAPI: such as it allows, such as it
does not, and such as it allows about things that are there. Each answer is held against it.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import schemathesis
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import CHECKS
from schemathesis.core.failures import Failure, FailureGroup
from sqlalchemy.engine import Connection, Engine

from benchmarks.api import Worker, worker_of
from benchmarks.api_history import add_history
from benchmarks.kpi import DAYS, filled
from fulfillment_api.roles import PREFIX, ROLES, Role
from fulfillment_api.security.keys import create_key
from fulfillment_assets.delay_model.registry.champion import ensure_champion
from fulfillment_assets.delay_model.scorer import DelayScorer
from fulfillment_assets.knowledge.documents import ingest_files
from fulfillment_assets.knowledge.index import refresh
from fulfillment_assets.local.chroma import EmbeddedChroma
from fulfillment_assets.local.ports import any_port
from fulfillment_assets.local.postgres import EmbeddedPostgres
from fulfillment_assets.settings import Settings

SEED: Final = 20_260_301
ORDERS: Final = 2_000
ENDLESS: Final = ("GET", "/live")
"""Its answer goes on for ever."""

CHECKED: Final = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
_PASSES: Final = 20
_PATIENCE_SECONDS: Final = 60.0
_SOME: Final = {
    "order_id": "SELECT order_id FROM orders LIMIT 1",
    "deviation_id": "SELECT deviation_id::text FROM agent_responses LIMIT 1",
    "batch_id": "SELECT id::text FROM batch_jobs LIMIT 1",
    "document_id": "SELECT id::text FROM knowledge_documents LIMIT 1",
    "version": "SELECT version FROM model_versions LIMIT 1",
    "name": "SELECT 'severity_critical_above'",
}
"""For path parameters: what is there."""

_BATCH: Final = """
WITH job AS (
    INSERT INTO batch_jobs (filename, archive_name, sha256, size_bytes)
    VALUES ('orders.csv', 'orders.csv', repeat('0', 64), 1) RETURNING id
)
UPDATE deviations SET batch_job_id = job.id FROM job WHERE order_id < 'ORD-0001-000000500'
"""


@dataclass(slots=True)
class Operation:
    """What one method of one path answered.

    Attributes:
        statuses: how many answers were of which class, such as 4xx.
        broken: what was promised and not held, in words.
    """

    name: str
    cases: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Contract:
    """What all operations answered; `broken` counts answers that are not as described."""

    seed: int
    cases: int
    statuses: dict[str, int]
    broken: int
    operations: list[Operation]


def run(cases: int = 5_000) -> Contract:
    """Put at least so many requests to the API, spread evenly over its operations.

    Raises:
        RuntimeError: no pass found requests that were not made before.
    """
    wanted = [route for route in ROLES if route != ENDLESS]
    with _served() as (worker, key, parameters):
        described = schemathesis.openapi.from_url(f"http://127.0.0.1:{worker.port}/openapi.json")
        operations = {route: Operation(" ".join(route)) for route in wanted}
        for number in range(_PASSES):
            missing = cases - sum(operation.cases for operation in operations.values())
            if missing <= 0:
                break
            for (method, path), operation in operations.items():
                each = max(1, -(-missing // (2 * len(wanted))))
                asked = described[PREFIX + path][method]
                for mode in GenerationMode:
                    _ask(asked.as_strategy(mode), operation, each, key, SEED + number)
                if known := {
                    name: parameters[name] for name in parameters if f"{{{name}}}" in path
                }:
                    strategy = asked.as_strategy(path_parameters=known)
                    _ask(strategy, operation, each, key, SEED + number)
    return _summary(list(operations.values()))


def _ask(strategy: Any, operation: Operation, cases: int, key: str, number: int) -> None:
    checks: list[Any] = CHECKS.get_by_names(CHECKED)

    @seed(number)
    @given(case=strategy)
    @settings(
        max_examples=cases,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def put(case: Case[Any]) -> None:
        response = case.call(headers={"X-API-Key": key}, timeout=_PATIENCE_SECONDS)
        operation.cases += 1
        operation.statuses[f"{response.status_code // 100}xx"] += 1
        try:
            case.validate_response(response, checks=checks)
        except (Failure, FailureGroup) as failure:
            operation.broken.append(str(failure))

    with contextlib.suppress(Unsatisfiable):  # nothing is wrong where nothing is asked for
        put()


def _summary(operations: list[Operation]) -> Contract:
    statuses: Counter[str] = Counter()
    for operation in operations:
        statuses += operation.statuses
    return Contract(
        seed=SEED,
        cases=sum(operation.cases for operation in operations),
        statuses=dict(sorted(statuses.items())),
        broken=sum(len(operation.broken) for operation in operations),
        operations=operations,
    )


@contextlib.contextmanager
def _served() -> Iterator[tuple[Worker, str, dict[str, str]]]:
    """A worker over a filled database, the key of an administrator, and ids of what is there."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fulfillment-bench-")))
        server = stack.enter_context(EmbeddedPostgres(folder, any_port()).running())
        chroma = stack.enter_context(EmbeddedChroma(folder, any_port()).running())
        scorer = DelayScorer.load(Settings().models_dir)
        engine = stack.enter_context(filled(server.url, "contract", scorer, ORDERS)).engine
        add_history(engine, orders=ORDERS, days=DAYS)
        _add_the_rest(engine, chroma.url)
        with engine.begin() as connection:
            _, key = create_key(connection, name="bench", role=Role.ADMIN)
            parameters = _parameters(connection)
        variables = {"CHROMA_URL": chroma.url, "FULFILLMENT_KNOWLEDGE_EMBEDDER": "lexical"}
        worker = stack.enter_context(worker_of(engine, folder / "api.log", **variables))
        yield worker, key, parameters


def _add_the_rest(engine: Engine, chroma: str) -> None:
    """The champion, a batch job, and the company's documents with their index."""
    chosen = {"chroma_url": chroma, "knowledge_embedder": "lexical"}
    configured = Settings().model_copy(update=chosen)
    ensure_champion(engine, configured.models_dir)
    with engine.begin() as connection:
        connection.execute(sa.text(_BATCH))
        ingest_files(connection, configured.knowledge_dir)
    refresh(configured, engine)


def _parameters(connection: Connection) -> dict[str, str]:
    found = {name: connection.scalar(sa.text(query)) for name, query in _SOME.items()}
    return {name: str(value) for name, value in found.items() if value is not None}


def markdown(contract: Contract) -> Iterator[str]:
    """The results as lines of a Markdown table, and what was not as described."""
    classes = list(contract.statuses)
    yield f"| operation | cases | {' | '.join(classes)} | not as described |"
    yield f"| --- | ---: |{' ---: |' * (len(classes) + 1)}"
    total = Operation("all", contract.cases, Counter(contract.statuses))
    for one in (*contract.operations, total):
        counts = " | ".join(str(one.statuses[name]) for name in classes)
        broken = contract.broken if one is total else len(one.broken)
        yield f"| `{one.name}` | {one.cases:,} | {counts} | {broken} |"
    for operation in contract.operations:
        for text in operation.broken[:3]:
            yield f"\n{operation.name}:\n{text}"
